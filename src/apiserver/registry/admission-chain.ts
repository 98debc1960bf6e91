// Runs admission plugins in their order: first all that change the object, later, after validation, all that refuse it.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { AdmissionPlugin, AdmissionRequest } from "../admission/admission.ts";
import type { WriteAdmission } from "./write-environment.ts";

export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];

  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#plugins = plugins;
  }

  /** The object as the mutating plugins leave it; absent for deletions. */
  async mutate(request: WriteAdmission): Promise<KubernetesObject | undefined> {
    let current = request;
    for (const plugin of this.#plugins) {
      if (!plugin.admit || !plugin.handles(current)) continue;
      const object = await plugin.admit(current);
      if (object && object !== current.object) current = current.withObject(object);
    }
    return current.object;
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) if (plugin.validate && plugin.handles(request)) await plugin.validate(request);
  }
}
