// Runs admission plugins in their order: first all that change the object, later, after validation, all that refuse it.
// When a webhook or policy has changed the object, those that change it run a second time.
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
    const once = await this.#admit(request);
    if (!once.needsSecondRound) return once.object;
    once.reinvocation.beginSecond();
    return (await this.#admit(once)).object;
  }

  async #admit(request: WriteAdmission): Promise<WriteAdmission> {
    let current = request;
    for (const plugin of this.#plugins) {
      if (!plugin.admit || !plugin.handles(current)) continue;
      const object = await plugin.admit(current);
      if (object && object !== current.object) current = current.withObject(object);
    }
    return current;
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) if (plugin.validate && plugin.handles(request)) await plugin.validate(request);
  }
}
