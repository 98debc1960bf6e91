// User namespaces of pods (hostUsers: false): each gets a range of 65,536 users and groups of the node for its own. Which one
// is kept in the pod's directory, in upstream's file, so that it stays the pod's across restarts of the kubelet.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Pod } from "../api/types/core-v1.ts";
import type { UserNamespace } from "../cri/generated/runtime-v1.ts";

interface Mapping {
  readonly hostId: number;
  readonly containerId: number;
  readonly length: number;
}

const length = 65_536;
/** The first range is the node's own users'. */
const firstSlot = 1;
/** As many as there are ids. */
const slots = 65_535;

export interface UserNamespaceDependencies {
  readonly podDirectory: (podUid: string) => string;
  readonly podsOnDisk: () => Promise<readonly string[]>;
  /** Whether the runtime can do it, by the handler of the pod's RuntimeClass. */
  readonly isSupported: (runtimeHandler: string) => boolean;
}

export class UserNamespaces {
  readonly #deps: UserNamespaceDependencies;
  /** By pod; undefined until those on the disk have been read. */
  #taken: Promise<Map<string, number>> | undefined;

  constructor(deps: UserNamespaceDependencies) {
    this.#deps = deps;
  }

  /** The pod's mapping, made where it has none; undefined for pods with the node's users. Throws where there can be none. */
  async mappingOf(pod: Pod, runtimeHandler: string): Promise<UserNamespace | undefined> {
    if (pod.spec.hostUsers !== false) return undefined;
    if (!this.#deps.isSupported(runtimeHandler))
      throw new Error(
        runtimeHandler === ""
          ? "can't set `spec.hostUsers: false`, runtime does not support user namespaces"
          : `can't set \`spec.hostUsers: false\`, RuntimeClass handler "${runtimeHandler}" does not support user namespaces`,
      );
    const { uid } = pod.metadata;
    this.#taken ??= this.#readAll();
    const taken = await this.#taken;
    let slot = taken.get(uid);
    if (slot === undefined) {
      slot = freeSlot(new Set(taken.values()));
      taken.set(uid, slot);
      await this.#write(uid, slot);
    }
    const mapping: Mapping = { hostId: slot * length, containerId: 0, length };
    return { mode: "POD", uids: [mapping], gids: [mapping] };
  }

  async forget(podUid: string): Promise<void> {
    (await this.#taken)?.delete(podUid);
  }

  async #readAll(): Promise<Map<string, number>> {
    const taken = new Map<string, number>();
    for (const uid of await this.#deps.podsOnDisk()) {
      const text = await readFile(this.#file(uid), "utf8").catch(() => undefined);
      if (text === undefined) continue;
      const { uidMappings } = JSON.parse(text) as { readonly uidMappings: readonly Mapping[] };
      taken.set(uid, (uidMappings[0]?.hostId ?? 0) / length);
    }
    return taken;
  }

  async #write(podUid: string, slot: number): Promise<void> {
    const mappings = [{ hostId: slot * length, containerId: 0, length }];
    await mkdir(this.#deps.podDirectory(podUid), { recursive: true });
    await writeFile(this.#file(podUid), JSON.stringify({ uidMappings: mappings, gidMappings: mappings }), { mode: 0o600 });
  }

  #file(podUid: string): string {
    return join(this.#deps.podDirectory(podUid), "userns");
  }
}

function freeSlot(taken: ReadonlySet<number>): number {
  for (let slot = firstSlot; slot < firstSlot + slots - 1; slot++) if (!taken.has(slot)) return slot;
  throw new Error("create user namespace: could not find an empty slot to allocate a user namespace");
}
