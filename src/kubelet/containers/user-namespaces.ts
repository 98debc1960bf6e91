// User namespaces of pods (hostUsers: false): each gets a range of (by default) 65,536 users and groups of the node for
// its own. Which one
// is kept in the pod's directory, in upstream's file, so that it stays the pod's across restarts of the kubelet.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Pod } from "../../api/types/core-v1.ts";
import type { UserNamespace } from "../../cri/generated/runtime-v1.ts";

interface Mapping {
  readonly hostId: number;
  readonly containerId: number;
  readonly length: number;
}

const defaultLength = 65_536;
/** As many as there are ids. */
const ids = 2 ** 32;

export interface UserNamespaceDependencies {
  readonly podDirectory: (podUid: string) => string;
  readonly podsOnDisk: () => Promise<readonly string[]>;
  /** Whether the runtime can do it, by the handler of the pod's RuntimeClass. */
  readonly isSupported: (runtimeHandler: string) => boolean;
  /** Users of one pod, a multiple of 65,536. Default 65,536. */
  readonly idsPerPod?: number;
}

export class UserNamespaces {
  readonly #deps: UserNamespaceDependencies;
  /** By pod; undefined until those on the disk have been read. */
  #taken: Promise<Map<string, Mapping>> | undefined;

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
    let mapping = taken.get(uid);
    if (mapping === undefined) {
      mapping = freeRange([...taken.values()], this.#deps.idsPerPod ?? defaultLength);
      taken.set(uid, mapping);
      await this.#write(uid, mapping);
    }
    return { mode: "POD", uids: [mapping], gids: [mapping] };
  }

  async forget(podUid: string): Promise<void> {
    (await this.#taken)?.delete(podUid);
  }

  async #readAll(): Promise<Map<string, Mapping>> {
    const taken = new Map<string, Mapping>();
    for (const uid of await this.#deps.podsOnDisk()) {
      const text = await readFile(this.#file(uid), "utf8").catch(() => undefined);
      if (text === undefined) continue;
      const { uidMappings } = JSON.parse(text) as { readonly uidMappings: readonly Mapping[] };
      const [mapping] = uidMappings;
      if (mapping) taken.set(uid, mapping);
    }
    return taken;
  }

  async #write(podUid: string, mapping: Mapping): Promise<void> {
    const mappings = [mapping];
    await mkdir(this.#deps.podDirectory(podUid), { recursive: true });
    await writeFile(this.#file(podUid), JSON.stringify({ uidMappings: mappings, gidMappings: mappings }), { mode: 0o600 });
  }

  #file(podUid: string): string {
    return join(this.#deps.podDirectory(podUid), "userns");
  }
}

/** The first that nobody has; those below are the node's own users'. */
function freeRange(taken: readonly Mapping[], length: number): Mapping {
  for (let hostId = length; hostId + 2 * length <= ids; hostId += length)
    if (!taken.some((of) => of.hostId < hostId + length && hostId < of.hostId + of.length)) return { hostId, containerId: 0, length };
  throw new Error("create user namespace: could not find an empty slot to allocate a user namespace");
}
