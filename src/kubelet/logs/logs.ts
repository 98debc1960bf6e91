// Reads the log files that a runtime writes in CRI's format ("<RFC 3339 with nanoseconds> stdout|stderr P|F <text>", P for a
// part of a line that goes on in the next record): the end of a file, or everything since a time, and what is appended while
// the container runs, across rotations of the file. This is what `kubectl logs` shows.
import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { pooledFiles } from "../../base/file-calls.ts";

export interface LogOptions {
  /** Keep on until the container has ended. Default false. */
  readonly follow?: boolean;
  /** Only so many records from the end. Default all. */
  readonly tailLines?: number;
  /** Only records at or after this time, in milliseconds since 1970. */
  readonly sinceMs?: number;
  /** Begin each line with its time. Default false. */
  readonly timestamps?: boolean;
  /** End after so many bytes. */
  readonly limitBytes?: number;
  /** Default both. */
  readonly stream?: "stdout" | "stderr";
  readonly signal?: AbortSignal;
  /** Asked at the end of the file when following: whether more may come. Default: no. */
  readonly isRunning?: () => Promise<boolean>;
}

export interface LogRecord {
  /** As written: "2026-11-22T13:45:08.123456789Z". */
  readonly time: string;
  readonly stream: "stdout" | "stderr";
  /** The line goes on in the next record of the stream. */
  readonly partial: boolean;
  readonly text: Buffer;
}

const chunkBytes = 64 * 1024;
const pollMs = 500;
const newline = 0x0a;
const space = 0x20;

/** Undefined for a line that is no record. */
function parseRecord(line: Buffer): LogRecord | undefined {
  const first = line.indexOf(space);
  const second = line.indexOf(space, first + 1);
  const third = line.indexOf(space, second + 1);
  if (first < 0 || second < 0) return undefined;
  const stream = line.toString("latin1", first + 1, second);
  if (stream !== "stdout" && stream !== "stderr") return undefined;
  const tags = line.toString("latin1", second + 1, third < 0 ? line.length : third);
  return {
    time: line.toString("latin1", 0, first),
    stream,
    partial: tags.split(":")[0] === "P",
    text: third < 0 ? Buffer.alloc(0) : line.subarray(third + 1),
  };
}

/** Pieces of the log's text, ready to be sent. Throws ENOENT when there is no file at `path`. */
export async function* streamLog(path: string, clock: Clock, options: LogOptions = {}): AsyncGenerator<Buffer> {
  const format = new LogFormatter(options);
  // What is written while the end is read is not part of it.
  let left = options.follow ? Number.POSITIVE_INFINITY : (options.tailLines ?? Number.POSITIVE_INFINITY);
  if (left <= 0) return;
  for await (const line of readLines(path, clock, options)) {
    const record = parseRecord(line);
    const piece = record && format.piece(record);
    if (piece && piece.length > 0) yield piece;
    if (format.full || --left <= 0) return;
  }
}

/** The last lines of a log, at most so many bytes of text. "" when there is no log. */
export async function readLogTail(path: string, limits: { readonly lines: number; readonly bytes: number }): Promise<string> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const data = await readRange(file, await tailStart(file, size, limits.lines), size);
      const text = splitLines(data).lines.map((line) => parseRecord(line));
      const joined = Buffer.concat(text.flatMap((r) => (r ? [r.text, Buffer.from(r.partial ? "" : "\n")] : [])));
      return joined.subarray(Math.max(0, joined.length - limits.bytes)).toString("utf8");
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** Applies the options that look at single records. */
class LogFormatter {
  readonly #options: LogOptions;
  #left: number;
  #atLineStart = true;

  constructor(options: LogOptions) {
    this.#options = options;
    this.#left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  get full(): boolean {
    return this.#left <= 0;
  }

  piece(record: LogRecord): Buffer | undefined {
    const { sinceMs, stream, timestamps } = this.#options;
    if (stream !== undefined && record.stream !== stream) return undefined;
    if (sinceMs !== undefined && Date.parse(record.time) < sinceMs) return undefined;
    const parts = [record.text];
    if (timestamps && this.#atLineStart) parts.unshift(Buffer.from(`${record.time} `));
    if (!record.partial) parts.push(Buffer.from("\n"));
    this.#atLineStart = !record.partial;
    const piece = Buffer.concat(parts);
    const kept = piece.length > this.#left ? piece.subarray(0, this.#left) : piece;
    this.#left -= kept.length;
    return kept;
  }
}

async function* readLines(path: string, clock: Clock, options: LogOptions): AsyncGenerator<Buffer> {
  let file = await open(path, "r");
  const changes = options.follow ? new DirectoryChanges(dirname(path), clock) : undefined;
  try {
    let position = options.tailLines === undefined ? 0 : await tailStart(file, (await file.stat()).size, options.tailLines);
    let rest: Buffer = Buffer.alloc(0);
    while (!options.signal?.aborted) {
      const data = await readRange(file, position, position + chunkBytes);
      position += data.length;
      if (data.length > 0) {
        const split = splitLines(rest.length > 0 ? Buffer.concat([rest, data]) : data);
        rest = split.rest;
        yield* split.lines;
        continue;
      }
      if (!changes) return;
      const next = await rotatedTo(file, path);
      if (next) {
        await file.close();
        file = next;
        position = 0;
        continue;
      }
      // Asked before the wait and read once more after it: what is written last must not be lost.
      const running = (await options.isRunning?.()) ?? false;
      if (!running) {
        const last = await readRange(file, position, position + chunkBytes);
        if (last.length === 0) return;
        const split = splitLines(Buffer.concat([rest, last]));
        position += last.length;
        rest = split.rest;
        yield* split.lines;
        continue;
      }
      await changes.next(options.signal);
    }
  } finally {
    changes?.close();
    await file.close();
  }
}

/** The new file at `path` when the open one has been moved away. */
async function rotatedTo(file: FileHandle, path: string): Promise<FileHandle | undefined> {
  const [mine, now] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return now && now.ino !== mine.ino ? await open(path, "r") : undefined;
}

/** Waits for changes in a directory: told by the kernel, or at the latest after half a second. */
class DirectoryChanges {
  readonly #clock: Clock;
  readonly #watcher: FSWatcher | undefined;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(directory: string, clock: Clock) {
    this.#clock = clock;
    try {
      this.#watcher = watch(directory, () => {
        this.#changed = true;
        this.#wake?.();
      });
      this.#watcher.on("error", () => this.#watcher?.close());
    } catch {
      // Out of inotify watches: the poll alone has to do.
      this.#watcher = undefined;
    }
  }

  async next(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#changed)
      await new Promise<void>((resolve) => {
        const timer = this.#clock.after(pollMs, () => done());
        const done = (): void => {
          timer.cancel();
          signal?.removeEventListener("abort", done);
          this.#wake = undefined;
          resolve();
        };
        this.#wake = done;
        signal?.addEventListener("abort", done, { once: true });
      });
    this.#changed = false;
  }

  close(): void {
    this.#watcher?.close();
  }
}

/** Where the last `lines` lines begin. */
async function tailStart(file: FileHandle, size: number, lines: number): Promise<number> {
  if (lines <= 0) return size;
  let left = lines;
  let end = size;
  while (end > 0) {
    const start = Math.max(0, end - chunkBytes);
    const data = await readRange(file, start, end);
    // The newline that ends the file ends its last line, it begins none.
    for (let i = data.length - 1; i >= 0; i--) if (data[i] === newline && start + i !== size - 1 && --left === 0) return start + i + 1;
    end = start;
  }
  return 0;
}

async function readRange(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const wanted = end - start;
  const data = Buffer.alloc(wanted);
  let length = 0;
  while (length < wanted) {
    const { bytesRead } = await file.read(data, length, wanted - length, start + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return data.subarray(0, length);
}

function splitLines(data: Buffer): { readonly lines: readonly Buffer[]; readonly rest: Buffer } {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = data.indexOf(newline); end >= 0; end = data.indexOf(newline, start)) {
    lines.push(data.subarray(start, end));
    start = end + 1;
  }
  return { lines, rest: data.subarray(start) };
}

/** The directory of a pod's logs below the root of all logs. */
export function podLogDirectory(
  root: string,
  pod: { readonly metadata: { readonly namespace: string; readonly name: string; readonly uid: string } },
): string {
  const { namespace, name, uid } = pod.metadata;
  return join(root, `${namespace}_${name}_${uid}`);
}

/** One more than the highest number of a log that is there: for a container whose former instances the runtime forgot. */
export async function nextRestartCount(logDirectory: string, containerName: string, files = pooledFiles): Promise<number> {
  const names = await files.readdir(join(logDirectory, containerName)).catch(() => []);
  const numbers = names.map((name) => /^(\d+)\.log/.exec(basename(name))?.[1]).filter((n) => n !== undefined);
  return Math.max(-1, ...numbers.map(Number)) + 1;
}
