// Runs admission plugins in their order: first all that change the object, later, after validation, all that refuse it.
// When a webhook or policy has changed the object, those that change it run a second time.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "../admission/admission.ts";
import type { WriteAdmission } from "./write-environment.ts";

export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];
  readonly #reader: AdmissionReader;
  /** What plugins have to wait for; empty once it has been read. */
  #unread: readonly ResourceType[];

  constructor(plugins: readonly AdmissionPlugin[], reader: AdmissionReader) {
    this.#plugins = plugins;
    this.#reader = reader;
    this.#unread = [...new Set(plugins.flatMap((plugin) => plugin.waitsFor ?? []))];
  }

  /** The object as the mutating plugins leave it; absent for deletions. */
  async mutate(request: WriteAdmission): Promise<KubernetesObject | undefined> {
    if (this.#unread.length > 0) await this.#read(request.signal);
    const once = await this.#admit(request);
    if (!once.needsSecondRound) return once.object;
    once.reinvocation.beginSecond();
    return (await this.#admit(once)).object;
  }

  async #read(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#unread.map((type) => this.#reader.informer(type as ResourceType<KubernetesObject>).synced(signal)));
    this.#unread = [];
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
