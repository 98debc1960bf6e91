import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { realClock } from "../../base/clock.ts";
import { type LogOptions, nextRestartCount, readLogTail, streamLog } from "./logs.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-logs-"));
  path = join(directory, "0.log");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const at = (second: number): string => `2026-11-22T13:45:0${second}.000000001Z`;
const line = (second: number, text: string, { stream = "stdout", tag = "F" } = {}): string => `${at(second)} ${stream} ${tag} ${text}\n`;

async function read(options: LogOptions = {}): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of streamLog(path, realClock, options)) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

describe("streamLog()", () => {
  it("joins the parts of a line and shows the time once", async () => {
    await writeFile(path, line(1, "long", { tag: "P" }) + line(1, " line") + line(2, "next"));
    expect(await read()).toBe("long line\nnext\n");
    expect(await read({ timestamps: true })).toBe(`${at(1)} long line\n${at(2)} next\n`);
  });

  it("takes the end, what is recent, one stream, and so many bytes", async () => {
    await writeFile(path, line(1, "a") + line(2, "b", { stream: "stderr" }) + line(3, "c"));
    expect(await read({ tailLines: 2 })).toBe("b\nc\n");
    expect(await read({ tailLines: 0 })).toBe("");
    expect(await read({ tailLines: 100 })).toBe("a\nb\nc\n");
    expect(await read({ sinceMs: Date.parse(at(3)) })).toBe("c\n");
    expect(await read({ stream: "stderr" })).toBe("b\n");
    expect(await read({ limitBytes: 3 })).toBe("a\nb");
  });

  it("ends with the lines it was asked for, also when more are written meanwhile", async () => {
    await writeFile(path, line(1, "a") + line(2, "b"));
    const reading = streamLog(path, realClock, { tailLines: 2 });
    const first = await reading.next();
    await appendFile(path, line(3, "c"));
    const rest: string[] = [];
    for await (const piece of reading) rest.push(piece.toString());
    expect([first.value?.toString(), ...rest]).toEqual(["a\n", "b\n"]);
  });

  it("keeps empty lines and passes over what is no record", async () => {
    await writeFile(path, `${line(1, "")}garbage\n${at(2)} stdout F\n${line(3, "end")}`);
    expect(await read()).toBe("\n\nend\n");
  });

  it("follows what is appended, across a rotation, until the container has ended", async () => {
    await writeFile(path, line(1, "one"));
    let running = true;
    const seen: string[] = [];
    const following = (async () => {
      for await (const piece of streamLog(path, realClock, { follow: true, isRunning: async () => running })) seen.push(piece.toString());
    })();
    const until = async (count: number): Promise<void> => {
      while (seen.length < count) await realClock.sleep(5);
    };
    await until(1);
    await appendFile(path, line(2, "two"));
    await until(2);
    await rename(path, `${path}.20261122-134508`);
    await writeFile(path, line(3, "three"));
    await until(3);
    await appendFile(path, line(4, "four"));
    running = false;
    await following;
    expect(seen).toEqual(["one\n", "two\n", "three\n", "four\n"]);
  });

  it("ends when it is aborted", async () => {
    await writeFile(path, line(1, "one"));
    const abort = new AbortController();
    for await (const _ of streamLog(path, realClock, { follow: true, isRunning: async () => true, signal: abort.signal })) abort.abort();
    expect(abort.signal.aborted).toBe(true);
  });
});

describe("readLogTail()", () => {
  it("gives the last lines up to a size, and nothing where there is no log", async () => {
    await writeFile(path, line(1, "a") + line(2, "bb") + line(3, "ccc"));
    expect(await readLogTail(path, { lines: 2, bytes: 100 })).toBe("bb\nccc\n");
    expect(await readLogTail(path, { lines: 2, bytes: 4 })).toBe("ccc\n");
    expect(await readLogTail(join(directory, "none"), { lines: 2, bytes: 100 })).toBe("");
  });
});

describe("nextRestartCount()", () => {
  it("is one more than the newest log, rotated ones included", async () => {
    expect(await nextRestartCount(join(directory, ".."), "none")).toBe(0);
    await writeFile(join(directory, "4.log.20261122-134508"), "");
    await writeFile(join(directory, "3.log"), "");
    const [parent, name] = [join(directory, ".."), directory.split("/").at(-1) ?? ""];
    expect(await nextRestartCount(parent, name)).toBe(5);
  });
});
