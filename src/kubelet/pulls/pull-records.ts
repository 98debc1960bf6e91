// What the kubelet remembers of the images it pulled: with whose credentials, so that a pod without them is not given the
// image only because it is here. Kept on disk in upstream's files: an intent before each pull, a record after it.
//   <root>/image_manager/pulling/sha256-<hash of the image's name>
//   <root>/image_manager/pulled/sha256-<hash of the image's reference>
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface PullSecret {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly credentialHash: string;
}

export interface PullServiceAccount {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
}

/** Who can have an image: every pod of the node, or those with one of these. */
export interface PullCredentials {
  readonly nodePodsAccessible?: boolean;
  readonly kubernetesSecrets?: readonly PullSecret[];
  readonly kubernetesServiceAccounts?: readonly PullServiceAccount[];
}

export interface PulledRecord {
  readonly lastUpdatedTime: string;
  /** The image as the runtime knows it. */
  readonly imageRef: string;
  /** By the image's name without tag and digest. */
  readonly credentialMapping?: Readonly<Record<string, PullCredentials>>;
}

const apiVersion = "kubelet.config.k8s.io/v1beta1";

/** Everything is read once: nobody else writes here. */
export class PullRecords {
  readonly #pulling: string | undefined;
  readonly #pulled: string | undefined;
  #loaded: Promise<Known> | undefined;
  #current: Known | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** Without a directory nothing is written. */
  constructor(rootDirectory: string | undefined) {
    this.#pulling = rootDirectory === undefined ? undefined : join(rootDirectory, "image_manager", "pulling");
    this.#pulled = rootDirectory === undefined ? undefined : join(rootDirectory, "image_manager", "pulled");
  }

  /** How many intents and records there are on disk; undefined until somebody has asked for one. */
  get counts(): { readonly intents: number; readonly records: number } | undefined {
    return this.#pulled === undefined || !this.#current
      ? undefined
      : { intents: this.#current.intents.size, records: this.#current.records.size };
  }

  async intend(image: string): Promise<void> {
    const { intents } = await this.#known();
    await this.#inTurn(async () => {
      // One file for all pods that pull the image at the same time.
      if (!intents.has(image)) await write(this.#pulling, image, { kind: "ImagePullIntent", apiVersion, image });
      intents.add(image);
    });
  }

  async isIntended(image: string): Promise<boolean> {
    return (await this.#known()).intents.has(image);
  }

  /** Images whose pulls nobody has seen the end of. */
  async intended(): Promise<readonly string[]> {
    return [...(await this.#known()).intents];
  }

  async forgetIntent(image: string): Promise<void> {
    const { intents } = await this.#known();
    await this.#inTurn(async () => {
      if (this.#pulling !== undefined) await rm(join(this.#pulling, fileName(image)), { force: true });
      intents.delete(image);
    });
  }

  async pulled(imageRef: string): Promise<PulledRecord | undefined> {
    return (await this.#known()).records.get(imageRef);
  }

  async write(record: PulledRecord): Promise<void> {
    const { records } = await this.#known();
    await this.#inTurn(async () => {
      await write(this.#pulled, record.imageRef, { kind: "ImagePulledRecord", apiVersion, ...record });
      records.set(record.imageRef, record);
    });
  }

  /** Forgets the images that nobody has any more, as far as their records are not newer than `beforeMs`. */
  async prune(present: ReadonlySet<string>, beforeMs: number): Promise<void> {
    const { records } = await this.#known();
    for (const { imageRef, lastUpdatedTime } of [...records.values()]) {
      if (present.has(imageRef) || Date.parse(lastUpdatedTime) >= beforeMs) continue;
      if (this.#pulled !== undefined) await rm(join(this.#pulled, fileName(imageRef)), { force: true });
      records.delete(imageRef);
    }
  }

  /** One change after the other: several pods may pull the same image at once, and what came last has to stay. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(change);
    return this.#writing;
  }

  #known(): Promise<Known> {
    this.#loaded ??= this.#load().catch((error: unknown) => {
      this.#loaded = undefined;
      throw error;
    });
    return this.#loaded;
  }

  async #load(): Promise<Known> {
    const [intents, records] = await Promise.all([readAll(this.#pulling), readAll(this.#pulled)]);
    const known: Known = {
      intents: new Set((intents as readonly { readonly image: string }[]).map((i) => i.image)),
      records: new Map((records as readonly PulledRecord[]).map((r) => [r.imageRef, r])),
    };
    this.#current = known;
    return known;
  }
}

interface Known {
  readonly intents: Set<string>;
  readonly records: Map<string, PulledRecord>;
}

function fileName(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("hex")}`;
}

async function write(directory: string | undefined, key: string, value: object): Promise<void> {
  if (directory === undefined) return;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, fileName(key));
  await writeFile(`${path}.tmp`, JSON.stringify(value), { mode: 0o600 });
  await rename(`${path}.tmp`, path);
}

async function readAll(directory: string | undefined): Promise<readonly unknown[]> {
  if (directory === undefined) return [];
  const names = await readdir(directory).catch(() => []);
  const texts = await Promise.all(names.filter((n) => !n.endsWith(".tmp")).map((name) => readFile(join(directory, name), "utf8")));
  return texts.map((text) => JSON.parse(text) as unknown);
}
