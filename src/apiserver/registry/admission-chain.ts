// Runs admission plugins in their order: first all that change the object, later, after validation, all that refuse it.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { AdmissionPlugin, AdmissionRequest } from "../admission/admission.ts";

export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];

  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#plugins = plugins;
  }

  /** The object as the mutating plugins leave it; absent for deletions. */
  async mutate(request: AdmissionRequest): Promise<KubernetesObject | undefined> {
    let current = request;
    for (const plugin of this.#plugins) {
      if (!plugin.admit || !plugin.handles(current)) continue;
      const object = await plugin.admit(current);
      if (object && object !== current.object) current = withObject(current, object);
    }
    return current.object;
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) if (plugin.validate && plugin.handles(request)) await plugin.validate(request);
  }
}

/** Written out, because a spread would ask for the signal, which is made for those who ask. */
function withObject(request: AdmissionRequest, object: KubernetesObject): AdmissionRequest {
  return {
    operation: request.operation,
    resource: request.resource,
    subresource: request.subresource,
    kind: request.kind,
    namespace: request.namespace,
    name: request.name,
    object,
    ...(request.oldObject ? { oldObject: request.oldObject } : {}),
    options: request.options,
    user: request.user,
    dryRun: request.dryRun,
    warn: (text) => request.warn(text),
    get signal() {
      return request.signal;
    },
  };
}
