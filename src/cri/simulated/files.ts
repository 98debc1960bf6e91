// The files of a simulated container: what its volumes hold lies in real directories of the kubelet, everything else in memory
// and goes with the container. Only mounts below given directories are real: a simulated pod does not reach the machine's files.
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import type { Mount } from "../generated/runtime-v1.ts";

export interface FileInfo {
  readonly path: string;
  readonly kind: "file" | "directory";
  readonly size: number;
}

/** As a file system that is full says it. */
const maxBytes = 64 * 2 ** 20;

export class SimulatedFiles {
  readonly #mounts: readonly Mount[];
  readonly #written = new Map<string, Uint8Array>();
  readonly #directories = new Set<string>(["/", "/tmp"]);
  #bytes = 0;

  /** `hostDirectories`: below which mounts are real; default everywhere. */
  constructor(mounts: readonly Mount[], hostDirectories?: readonly string[]) {
    const isReal = ({ hostPath }: Mount): boolean =>
      hostDirectories?.some((directory) => hostPath === directory || hostPath.startsWith(`${directory}/`)) ?? true;
    // The longest path first: volumes may lie within volumes.
    this.#mounts = mounts
      .filter((mount) => mount.hostPath !== "" && isReal(mount))
      .sort((a, b) => b.containerPath.length - a.containerPath.length);
    for (const { containerPath } of mounts) this.#directories.add(posix.dirname(posix.resolve("/", containerPath)));
  }

  /** Undefined where there is no such file. */
  async read(path: string): Promise<Uint8Array | undefined> {
    const at = this.#locate(path);
    if (at.host === undefined) return this.#written.get(at.path);
    return await readFile(at.host).catch(() => undefined);
  }

  async readText(path: string): Promise<string | undefined> {
    const bytes = await this.read(path);
    return bytes && new TextDecoder().decode(bytes);
  }

  /** Makes the directories above it. Throws where the volume is read-only, or when more than 64 MiB lie in memory. */
  async write(path: string, content: string | Uint8Array): Promise<void> {
    const at = this.#locate(path);
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    if (at.readonly) throw new Error(`${at.path}: Read-only file system`);
    if (at.host !== undefined) {
      await mkdir(dirname(at.host), { recursive: true });
      return await writeFile(at.host, bytes);
    }
    const grown = this.#bytes + bytes.length - (this.#written.get(at.path)?.length ?? 0);
    if (grown > maxBytes) throw new Error(`${at.path}: No space left on device`);
    this.#bytes = grown;
    this.#addDirectories(posix.dirname(at.path));
    this.#written.set(at.path, bytes);
  }

  async makeDirectory(path: string): Promise<void> {
    const at = this.#locate(path);
    if (at.readonly) throw new Error(`${at.path}: Read-only file system`);
    if (at.host !== undefined) await mkdir(at.host, { recursive: true });
    else this.#addDirectories(at.path);
  }

  async remove(path: string): Promise<void> {
    const at = this.#locate(path);
    if (at.readonly) throw new Error(`${at.path}: Read-only file system`);
    if (at.host !== undefined) return await rm(at.host, { recursive: true, force: true });
    for (const [name, bytes] of this.#written)
      if (name === at.path || name.startsWith(`${at.path}/`)) {
        this.#written.delete(name);
        this.#bytes -= bytes.length;
      }
    for (const name of this.#directories) if (name === at.path || name.startsWith(`${at.path}/`)) this.#directories.delete(name);
  }

  async info(path: string): Promise<FileInfo | undefined> {
    const at = this.#locate(path);
    const written = at.host === undefined ? this.#written.get(at.path) : undefined;
    if (written) return { path: at.path, kind: "file", size: written.length };
    if (at.host === undefined) return this.#isDirectory(at.path) ? { path: at.path, kind: "directory", size: 0 } : undefined;
    const found = await stat(at.host).catch(() => undefined);
    return found && { path: at.path, kind: found.isDirectory() ? "directory" : "file", size: found.isDirectory() ? 0 : found.size };
  }

  /** Names in a directory, sorted. */
  async list(path: string): Promise<readonly string[]> {
    const at = this.#locate(path);
    const names = new Set<string>(at.host === undefined ? [] : await readdir(at.host).catch(() => []));
    const prefix = at.path === "/" ? "/" : `${at.path}/`;
    const others = [...this.#written.keys(), ...this.#directories, ...this.#mounts.map((m) => m.containerPath)];
    for (const other of others) if (other.startsWith(prefix) && other !== prefix) names.add(other.slice(prefix.length).split("/")[0] ?? "");
    return [...names].sort();
  }

  #isDirectory(path: string): boolean {
    const prefix = path === "/" ? "/" : `${path}/`;
    return this.#directories.has(path) || this.#mounts.some((m) => m.containerPath.startsWith(prefix));
  }

  #addDirectories(path: string): void {
    for (let at = path; !this.#directories.has(at); at = posix.dirname(at)) this.#directories.add(at);
  }

  #locate(given: string): { readonly path: string; readonly host?: string; readonly readonly?: boolean } {
    const path = posix.resolve("/", given);
    for (const { containerPath, hostPath, readonly } of this.#mounts) {
      const base = posix.resolve("/", containerPath);
      if (path === base) return { path, host: hostPath, readonly };
      if (path.startsWith(base === "/" ? "/" : `${base}/`)) return { path, host: join(hostPath, path.slice(base.length)), readonly };
    }
    return { path };
  }
}
