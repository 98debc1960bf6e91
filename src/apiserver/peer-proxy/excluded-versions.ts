// Group versions of which peers are not asked: those of custom resource definitions and of extension servers. Their objects lie in
// the shared store, so that every server knows by itself what is served of them; what a peer has said of them may be over. One that
// is deleted stays out for five minutes, in which the peers see it go too.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { apiservices, customresourcedefinitions } from "../../api/resources.generated.ts";
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Informer } from "../../client/informer.ts";
import type { AdmissionReader } from "../admission/admission.ts";

export interface ExcludedVersionsDeps {
  readonly reader: AdmissionReader;
  readonly clock: Clock;
}

export interface ExcludedVersionsListener {
  /** Another group version is out. */
  onChange(): void;
  /** One is no longer out: what peers said of it before is old. */
  onReturn(): void;
}

const graceMs = 5 * 60_000;

export class ExcludedVersions implements Running {
  readonly #deps: ExcludedVersionsDeps;
  readonly #listener: ExcludedVersionsListener;
  /** By "group/version": the objects that name it. */
  readonly #owners = new Map<string, Set<string>>();
  /** Deleted ones, until their time is over. */
  readonly #leaving = new Map<string, Timer>();
  readonly #registrations: { remove(): void }[] = [];

  constructor(deps: ExcludedVersionsDeps, listener: ExcludedVersionsListener) {
    this.#deps = deps;
    this.#listener = listener;
  }

  /** Resolves when what is there is known. */
  async start(): Promise<void> {
    const { reader } = this.#deps;
    const [definitions, services] = [reader.informer(customresourcedefinitions), reader.informer(apiservices)];
    this.#follow(definitions, versionsOfDefinition);
    this.#follow(services, versionsOfService);
    await Promise.all([definitions.synced(), services.synced()]);
  }

  has(groupVersion: string): boolean {
    return this.#owners.has(groupVersion) || this.#leaving.has(groupVersion);
  }

  async stop(): Promise<void> {
    for (const registration of this.#registrations.splice(0)) registration.remove();
    for (const timer of this.#leaving.values()) timer.cancel();
  }

  #follow<T extends KubernetesObject>(informer: Informer<T>, versionsOf: (object: T) => readonly string[]): void {
    const note = (now: T | undefined, before: T | undefined): void => {
      const { name } = (now ?? before)?.metadata ?? { name: "" };
      this.#note(`${informer.type.resource}/${name}`, now ? versionsOf(now) : [], before ? versionsOf(before) : []);
    };
    informer.start();
    const registration = informer.addHandler({
      onAdd: (object) => note(object, undefined),
      onUpdate: (object, previous) => note(object, previous),
      onDelete: (object) => note(undefined, object),
    });
    this.#registrations.push(registration);
  }

  #note(owner: string, now: readonly string[], before: readonly string[]): void {
    let isChanged = false;
    for (const groupVersion of now) {
      isChanged ||= !this.has(groupVersion);
      this.#leaving.get(groupVersion)?.cancel();
      this.#leaving.delete(groupVersion);
      this.#owners.set(groupVersion, (this.#owners.get(groupVersion) ?? new Set()).add(owner));
    }
    for (const groupVersion of before) if (!now.includes(groupVersion)) this.#release(groupVersion, owner);
    if (isChanged) this.#listener.onChange();
  }

  #release(groupVersion: string, owner: string): void {
    const owners = this.#owners.get(groupVersion);
    if (!owners?.delete(owner) || owners.size > 0) return;
    this.#owners.delete(groupVersion);
    const over = (): void => {
      this.#leaving.delete(groupVersion);
      this.#listener.onReturn();
    };
    this.#leaving.set(groupVersion, this.#deps.clock.after(graceMs, over));
  }
}

/** Those that are not served, too. */
const versionsOfDefinition = ({ spec }: CustomResourceDefinition): readonly string[] =>
  spec.versions.map(({ name }) => `${spec.group}/${name}`);

const versionsOfService = ({ spec }: APIService): readonly string[] => (spec.service ? [`${spec.group ?? ""}/${spec.version ?? ""}`] : []);
