// The addresses of this node's pods as soon as they have them: what the library that runs the plugins notes in its cache when it
// has added a pod to a network, before the pod's containers start, and takes away with the pod. The kubelet reports them later.
import { watch } from "node:fs";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Running } from "../base/lifecycle.ts";
import { podNetworkName } from "./network-config.ts";

/** Shared by all runtimes of a machine. */
export const resultDirectory = "/var/lib/cni/results";

export interface PodAddressOptions {
  readonly dataDir: string;
  /** `pod`: "namespace/name". Without addresses the pod has lost its network. */
  readonly changed: (pod: string, addresses: readonly string[]) => void;
  /** The directory cannot be watched any more. */
  readonly failed: (error: Error) => void;
  /** Default that of the machine. */
  readonly directory?: string;
}

/** Resolves when those that are there have been told. */
export async function followPodAddresses(options: PodAddressOptions): Promise<Running> {
  const { dataDir, directory = resultDirectory } = options;
  const prefix = `${podNetworkName(dataDir)}-`;
  const results = new Results(directory, options.changed);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const watcher = watch(directory, { persistent: false }, (_event, file) => {
    if (file?.startsWith(prefix)) results.look(file);
  });
  watcher.on("error", (error: Error) => options.failed(error));
  for (const file of await readdir(directory)) if (file.startsWith(prefix)) results.look(file);
  await results.idle;
  return {
    async stop() {
      watcher.close();
      await results.idle;
    },
  };
}

interface Result {
  readonly pod: string;
  readonly addresses: readonly string[];
  readonly writtenMs: number;
}

class Results {
  readonly #directory: string;
  readonly #changed: PodAddressOptions["changed"];
  readonly #known = new Map<string, Result>();
  /** Files that are to be read; each once, however often it changes until then. */
  readonly #waiting = new Set<string>();
  idle: Promise<void> = Promise.resolve();

  constructor(directory: string, changed: PodAddressOptions["changed"]) {
    this.#directory = directory;
    this.#changed = changed;
  }

  look(file: string): void {
    if (this.#waiting.has(file)) return;
    this.#waiting.add(file);
    this.idle = this.idle.then(async () => {
      this.#waiting.delete(file);
      await this.#read(file);
    });
  }

  async #read(file: string): Promise<void> {
    const before = this.#known.get(file);
    let after: Result | undefined;
    try {
      const path = join(this.#directory, file);
      after = parseResult(await readFile(path, "utf8"), (await stat(path)).mtimeMs);
    } catch (error) {
      // Half written: the rest is another change. Gone: so is what it said.
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) return;
    }
    if (after) this.#known.set(file, after);
    else this.#known.delete(file);
    for (const pod of new Set([before, after].flatMap((result) => result?.pod ?? []))) this.#changed(pod, this.#addressesOf(pod));
  }

  /** A crash may have left results of earlier pods of the same name: the youngest counts. */
  #addressesOf(pod: string): readonly string[] {
    const results = [...this.#known.values()].filter((result) => result.pod === pod);
    return results.sort((a, b) => b.writtenMs - a.writtenMs)[0]?.addresses ?? [];
  }
}

/** Throws where the text is not a whole one; undefined where it is not about a pod. */
export function parseResult(text: string, writtenMs: number): Result | undefined {
  const { cniArgs = [], result } = JSON.parse(text) as {
    readonly cniArgs?: readonly (readonly [string, string])[];
    readonly result?: { readonly ips?: readonly { readonly address: string }[] };
  };
  const args = new Map(cniArgs);
  const [namespace, name] = [args.get("K8S_POD_NAMESPACE"), args.get("K8S_POD_NAME")];
  if (namespace === undefined || name === undefined) return undefined;
  return { pod: `${namespace}/${name}`, addresses: (result?.ips ?? []).map(({ address }) => address.replace(/\/\d+$/, "")), writtenMs };
}
