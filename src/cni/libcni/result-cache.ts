// Results of ADD, kept for CHECK and DEL as libcni keeps them, so that either finds what the other has written:
// <directory>/results/<network>-<container>-<interface>.
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseResult, renderResult } from "../spec/convert-result.ts";
import type { CniResult } from "../spec/result.ts";

export const defaultCacheDirectory = "/var/lib/cni";
const kind = "cniCacheV1";

export interface CachedAttachment {
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
  readonly netns: string;
  readonly args: Readonly<Record<string, string>>;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly result: CniResult;
}

type Key = Pick<CachedAttachment, "network" | "containerId" | "ifName">;

export class ResultCache {
  readonly #directory: string;

  constructor(directory = defaultCacheDirectory) {
    this.#directory = join(directory, "results");
  }

  /** Undefined where there is none, or what is there is broken. */
  async get(key: Key): Promise<CachedAttachment | undefined> {
    return this.#read(this.#file(key));
  }

  /** Of one network. */
  async list(network: string): Promise<readonly CachedAttachment[]> {
    const names = await readdir(this.#directory).catch(() => []);
    const found = await Promise.all(names.toSorted().map((name) => this.#read(join(this.#directory, name))));
    return found.flatMap((entry) => (entry?.network === network ? [entry] : []));
  }

  async put(attachment: CachedAttachment, { cniVersion, text }: { readonly cniVersion: string; readonly text: string }): Promise<void> {
    const file = this.#file(attachment);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const content = {
      kind,
      containerId: attachment.containerId,
      config: Buffer.from(text).toString("base64"),
      ifName: attachment.ifName,
      networkName: attachment.network,
      netns: attachment.netns,
      cniArgs: Object.entries(attachment.args),
      capabilityArgs: attachment.capabilities,
      result: renderResult(attachment.result, cniVersion),
    };
    await writeFile(`${file}.new`, JSON.stringify(content), { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  async remove(key: Key): Promise<void> {
    await rm(this.#file(key), { force: true });
  }

  #file({ network, containerId, ifName }: Key): string {
    return join(this.#directory, `${network}-${containerId}-${ifName}`);
  }

  async #read(file: string): Promise<CachedAttachment | undefined> {
    try {
      const json = JSON.parse(await readFile(file, "utf8")) as Readonly<Record<string, unknown>>;
      if (json.kind !== kind) return undefined;
      const { networkName, containerId, ifName, netns = "", cniArgs, capabilityArgs, result } = json;
      return {
        network: String(networkName),
        containerId: String(containerId),
        ifName: String(ifName),
        netns: String(netns),
        args: Object.fromEntries((cniArgs ?? []) as readonly (readonly [string, string])[]), // as put() and libcni write them
        capabilities: (capabilityArgs ?? {}) as Readonly<Record<string, unknown>>,
        result: parseResult(result, "1.0.0"),
      };
    } catch {
      return undefined; // missing, or cut off by a crash: DEL goes on without it
    }
  }
}
