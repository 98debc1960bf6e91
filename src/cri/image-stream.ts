// Prepares an image archive for import: accepts what `docker save`, `podman save`, `skopeo` and `buildah` write (docker-archive
// and OCI layout, plain or gzip), finds out which images it holds, and gives OCI images full names, which containerd would
// otherwise make up. Everything is streamed: archives may be larger than memory.
import { createReadStream } from "node:fs";
import { pipeline, Readable } from "node:stream";
import { createGunzip, type Gunzip } from "node:zlib";
import { extract, type Header, pack } from "tar-stream";
import { normalizeImageName } from "./image-name.ts";

/** The archive: a file's path, its bytes, or a stream of them. */
export type ImageArchive = string | Uint8Array | AsyncIterable<Uint8Array>;

export interface PreparedArchive {
  /** A plain tar. Fails with an Error that says what is wrong when the archive is no image archive. */
  readonly stream: AsyncIterable<Uint8Array>;
  /** The full names of the images; complete when the stream has been read. */
  names(): readonly string[];
}

const maxManifestBytes = 16 * 1024 * 1024;
const containerdName = "io.containerd.image.name";
const ociRefName = "org.opencontainers.image.ref.name";

/** `name` is for archives that hold one image without a full name. */
export function prepareArchive(archive: ImageArchive, { name }: { readonly name?: string } = {}): PreparedArchive {
  const names = new Set<string>();
  return { stream: rewriteArchive(openArchive(archive), name, names), names: () => [...names] };
}

/** The tar with its manifests rewritten. Reader, rewriter and writer run at once, each waiting for the next. */
async function* rewriteArchive(
  source: AsyncIterable<Uint8Array>,
  name: string | undefined,
  names: Set<string>,
): AsyncGenerator<Uint8Array> {
  const input = extract();
  const output = pack();
  const left = new AbortController();
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    input.destroy();
    output.destroy();
  };
  const entries = rewriteEntries(input as AsyncIterable<TarEntry>, output, { name, names, signal: left.signal }).catch(fail);
  const feeding = writeAll(unpacked(source), input, left.signal).catch(fail);
  try {
    for await (const chunk of output) yield chunk as Uint8Array;
    await Promise.all([feeding, entries]);
    if (failure !== undefined) throw failure;
  } catch (error) {
    throw failure ?? error;
  } finally {
    left.abort(new Error("the archive's reader is gone"));
    fail(undefined);
  }
}

type TarEntry = AsyncIterable<Uint8Array> & { readonly header: Header };

async function rewriteEntries(
  input: AsyncIterable<TarEntry>,
  output: ReturnType<typeof pack>,
  { name, names, signal }: { readonly name: string | undefined; readonly names: Set<string>; readonly signal: AbortSignal },
): Promise<void> {
  let recognised = false;
  for await (const entry of input) {
    const path = entry.header.name.replace(/^\.\//, "");
    if (path === "manifest.json" || path === "index.json") {
      recognised = true;
      const json: unknown = JSON.parse(await readText(entry, path));
      const rewritten = path === "manifest.json" ? nameDockerImages(json, name, names) : nameOciImages(json, name, names);
      output.entry(headerOf(entry.header, path), JSON.stringify(rewritten));
    } else {
      await writeAll(entry, output.entry(headerOf(entry.header, path, entry.header.size)), signal);
    }
  }
  if (!recognised) throw new Error("the archive holds no image: neither manifest.json (docker save) nor index.json (OCI layout) is in it");
  output.finalize();
}

/** Without `size`, tar-stream takes it from the contents given with the header. */
function headerOf(header: Header, name: string, size?: number): Omit<Header, "size"> & { size?: number } {
  const { size: _, ...rest } = header;
  return size === undefined ? { ...rest, name } : { ...rest, name, size };
}

async function writeAll(
  from: AsyncIterable<Uint8Array>,
  to: Pick<NodeJS.WritableStream, "write" | "end" | "once">,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of from) {
    signal.throwIfAborted();
    if (to.write(chunk)) continue;
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      to.once("drain", () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      });
    });
  }
  to.end();
}

async function readText(stream: AsyncIterable<Uint8Array>, path: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > maxManifestBytes) throw new Error(`${path} of the archive is larger than ${maxManifestBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

interface DockerManifest {
  readonly RepoTags?: readonly string[] | null;
}

function nameDockerImages(json: unknown, name: string | undefined, names: Set<string>): unknown {
  if (!Array.isArray(json)) throw new Error("manifest.json of the archive is not a list of images");
  return (json as DockerManifest[]).map((manifest) => {
    const tags = (manifest.RepoTags ?? []).map(normalizeImageName);
    const own = tags.length > 0 ? tags : [givenName(name, json.length, "without a name")];
    for (const tag of own) names.add(tag);
    return { ...manifest, RepoTags: own };
  });
}

interface OciIndex {
  readonly manifests?: readonly { readonly annotations?: Readonly<Record<string, string>> }[];
}

function nameOciImages(json: unknown, name: string | undefined, names: Set<string>): unknown {
  const index = json as OciIndex;
  const manifests = index.manifests ?? [];
  const named = manifests.map((manifest) => {
    const annotations = manifest.annotations ?? {};
    const found = annotations[containerdName] ?? annotations[ociRefName];
    // A bare word is a tag: OCI layouts made by skopeo and buildx name their image only so.
    const full =
      found !== undefined && (annotations[containerdName] !== undefined || /[/:]/.test(found))
        ? normalizeImageName(found)
        : givenName(name, manifests.length, found === undefined ? "without a name" : `named only by the tag "${found}"`);
    names.add(full);
    return { ...manifest, annotations: { ...annotations, [containerdName]: full } };
  });
  return { ...index, manifests: named };
}

function givenName(name: string | undefined, images: number, what: string): string {
  if (name !== undefined && images === 1) return normalizeImageName(name);
  throw new Error(
    images === 1
      ? `the archive holds an image ${what}: give it a full name, such as docker.io/library/app:1`
      : `the archive holds ${images} images, one of them ${what}: only an archive of a single image can be given a name`,
  );
}

/** Unpacks gzip, recognised by its first bytes, and passes everything else through. */
async function* unpacked(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let gunzip: Gunzip | undefined;
  let first = true;
  const all = source[Symbol.asyncIterator]();
  try {
    for (let next = await all.next(); !next.done; next = await all.next()) {
      if (first && next.value[0] === 0x1f && next.value[1] === 0x8b) {
        gunzip = createGunzip();
        const head = next.value;
        const compressed = Readable.from(chain(head, all));
        // Destroys gunzip with the error that the loop below then throws.
        pipeline(compressed, gunzip, () => undefined);
        for await (const chunk of gunzip) yield chunk as Uint8Array;
        return;
      }
      first = false;
      yield next.value;
    }
  } catch (cause) {
    throw gunzip ? new Error("the archive cannot be unpacked", { cause }) : cause;
  } finally {
    await all.return?.();
  }
}

async function* chain(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

/** A file is opened when reading begins, so that somebody is there to hear that it cannot be. */
async function* openArchive(archive: ImageArchive): AsyncGenerator<Uint8Array> {
  if (archive instanceof Uint8Array) yield archive;
  else yield* typeof archive === "string" ? createReadStream(archive) : archive;
}
