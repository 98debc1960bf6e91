// The output of a simulated container: to its log file in CRI's format, so that everything that reads logs works, and to the
// clients that are attached.
import { appendFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../../base/clock.ts";

type StreamName = "stdout" | "stderr";
export type OutputReader = (text: string, stream: StreamName) => void;

/** Longer lines are cut, as runtimes do. */
const maxLineLength = 16 * 1024;

export class ContainerOutput {
  /** Empty when the container has no log file. */
  readonly logPath: string;
  readonly #clock: Clock;
  readonly #readers = new Set<OutputReader>();
  readonly #unfinished: Record<StreamName, string> = { stdout: "", stderr: "" };

  constructor(logPath: string, clock: Clock) {
    this.logPath = logPath;
    this.#clock = clock;
  }

  /** Makes the log file where it is missing, as after a rotation. */
  reopen(): void {
    if (this.logPath === "") return;
    mkdirSync(dirname(this.logPath), { recursive: true });
    appendFileSync(this.logPath, "");
  }

  print(text: string, stream: StreamName): void {
    this.write(text.endsWith("\n") ? text : `${text}\n`, stream);
  }

  write(text: string, stream: StreamName): void {
    for (const reader of this.#readers) reader(text, stream);
    const lines = (this.#unfinished[stream] + text).split("\n");
    this.#unfinished[stream] = lines.pop() ?? "";
    this.#log(lines, stream, "F");
    if (this.#unfinished[stream].length < maxLineLength) return;
    this.#log([this.#unfinished[stream]], stream, "P");
    this.#unfinished[stream] = "";
  }

  /** Lines that were begun. */
  flush(): void {
    for (const stream of ["stdout", "stderr"] as const) {
      if (this.#unfinished[stream] !== "") this.#log([this.#unfinished[stream]], stream, "F");
      this.#unfinished[stream] = "";
    }
  }

  /** From now on; gives back what ends it. */
  read(reader: OutputReader): () => void {
    this.#readers.add(reader);
    return () => void this.#readers.delete(reader);
  }

  #log(lines: readonly string[], stream: StreamName, tag: "F" | "P"): void {
    if (this.logPath === "" || lines.length === 0) return;
    const stamp = new Date(this.#clock.now()).toISOString().replace("Z", "000000Z");
    // Written at once, so that a reader who has seen the event that follows also sees the line.
    appendFileSync(this.logPath, lines.map((line) => `${stamp} ${stream} ${tag} ${line}\n`).join(""));
  }
}
