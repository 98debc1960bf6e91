// tar, as `kubectl cp` calls it in containers: an archive of some paths to stdout, or one from stdin unpacked into a directory.
import { posix } from "node:path";
import { pipeline, Readable, type Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { extract, type Pack, pack } from "tar-stream";
import type { SimulatedFiles } from "./files.ts";
import type { ExecSession, SimulatedProcess } from "./process.ts";

/** As a container's file system would be full. */
const maxFileBytes = 64 * 2 ** 20;

export async function runTar(args: readonly string[], session: ExecSession, { files, clock }: SimulatedProcess): Promise<number> {
  const { creates, directory, paths } = parseArgs(args);
  if (creates === undefined) throw new Error("only c and x are there, with an archive on stdout or stdin (f -)");
  if (creates) return await writeArchive({ files, nowMs: clock.now(), directory, paths }, session);
  await unpack(session, files, directory);
  return 0;
}

function parseArgs(args: readonly string[]): {
  readonly creates: boolean | undefined;
  readonly directory: string;
  readonly paths: readonly string[];
} {
  let creates: boolean | undefined;
  let directory = "/";
  const paths: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "-C") directory = args[++i] ?? "/";
    else if (arg === "-" || arg.startsWith("--")) continue;
    else if (creates === undefined && /^-?[cxmfpvz]+$/.test(arg)) creates = arg.includes("c");
    else if (!arg.startsWith("-")) paths.push(arg);
  }
  return { creates, directory, paths };
}

interface Archived {
  readonly files: SimulatedFiles;
  readonly nowMs: number;
  readonly directory: string;
  readonly paths: readonly string[];
}

async function writeArchive({ files, nowMs, directory, paths }: Archived, session: ExecSession): Promise<number> {
  const archive = pack();
  const sent = sendAll(archive, session);
  let code = 0;
  for (const path of paths) {
    if (await addPath(archive, files, { path: posix.resolve(directory, path), name: path.replace(/^\/+/, ""), nowMs })) continue;
    code = 2;
    await session.write(`tar: ${path}: Cannot stat: No such file or directory\n`, "stderr");
  }
  archive.finalize();
  await sent;
  return code;
}

async function sendAll(archive: Pack, session: ExecSession): Promise<void> {
  for await (const chunk of archive) await session.write(chunk as Uint8Array);
}

/** With everything below it; false where there is nothing. */
async function addPath(
  archive: Pack,
  files: SimulatedFiles,
  { path, name, nowMs }: { readonly path: string; readonly name: string; readonly nowMs: number },
): Promise<boolean> {
  const info = await files.info(path);
  if (!info) return false;
  const mtime = new Date(nowMs);
  if (info.kind === "file") {
    const bytes = (await files.read(path)) ?? new Uint8Array();
    archive.entry({ name, mtime, mode: 0o644, size: bytes.length }, Buffer.from(bytes));
    return true;
  }
  archive.entry({ name: `${name}/`, mtime, mode: 0o755, type: "directory" });
  for (const child of await files.list(path))
    await addPath(archive, files, { path: posix.join(path, child), name: posix.join(name, child), nowMs });
  return true;
}

async function unpack(session: ExecSession, files: SimulatedFiles, directory: string): Promise<void> {
  const archive = extract();
  const fed = new Promise<void>((resolve, reject) =>
    pipeline(Readable.from(session.stdin), archive as unknown as Writable, (error) => (error ? reject(error) : resolve())),
  );
  fed.catch(() => undefined); // the reader below fails too
  for await (const entry of archive) {
    const { name, type } = entry.header;
    const path = posix.resolve(directory, name.replace(/^\/+/, ""));
    const isBelow = path === posix.resolve(directory) || path.startsWith(directory === "/" ? "/" : `${posix.resolve(directory)}/`);
    if (!isBelow || (type !== "file" && type !== "directory")) {
      entry.resume();
      await finished(entry as unknown as Readable, { writable: false }).catch(() => undefined);
    } else if (type === "directory") {
      await files.makeDirectory(path);
      entry.resume();
    } else await files.write(path, await readAll(entry as AsyncIterable<Uint8Array>));
  }
  await fed;
}

async function readAll(entry: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of entry) {
    size += chunk.length;
    if (size > maxFileBytes) throw new Error("No space left on device");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
