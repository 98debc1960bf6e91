import { describe, expect, it } from "vitest";
import { VirtualClock } from "./clock.ts";
import { Turns } from "./turns.ts";

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function fixture(slots: number) {
  const clock = new VirtualClock();
  const turns = new Turns(clock, { slots, holdMs: 1_000 });
  const running: string[] = [];
  const ends = new Map<string, () => void>();
  const start = (name: string, urgent = false, signal?: AbortSignal) =>
    turns.take(
      () => {
        running.push(name);
        return new Promise<string>((resolve) => ends.set(name, () => resolve(name)));
      },
      { urgent, ...(signal ? { signal } : {}) },
    );
  const end = async (name: string) => {
    ends.get(name)?.();
    await settled();
  };
  return { clock, running, start, end };
}

describe("Turns", () => {
  it("runs as many as there are slots, then in order, urgent ones first", async () => {
    const { running, start, end } = fixture(2);
    const all = [start("a"), start("b"), start("c"), start("d"), start("u", true)];
    await settled();
    expect(running).toEqual(["a", "b"]);
    await end("b");
    expect(running).toEqual(["a", "b", "u"]);
    await end("u");
    await end("a");
    expect(running).toEqual(["a", "b", "u", "c", "d"]);
    await end("c");
    await end("d");
    expect(await Promise.all(all)).toEqual(["a", "b", "c", "d", "u"]);
    void start("e");
    void start("f");
    void start("g");
    expect(running.slice(5)).toEqual(["e", "f"]);
  });

  it("passes a failure on and goes on with the next", async () => {
    const { running, start, end } = fixture(1);
    const turns = new Turns(new VirtualClock(), { slots: 1 });
    const failing = turns.take(() => Promise.reject(new Error("no")));
    const next = turns.take(async () => "next");
    await expect(failing).rejects.toThrow("no");
    expect(await next).toBe("next");
    void start("a");
    await end("a");
    expect(running).toEqual(["a"]);
  });

  it("does not wait for work that hangs, and does not count it twice when it ends", async () => {
    const { clock, running, start, end } = fixture(1);
    void start("hangs");
    void start("next");
    void start("last");
    await settled();
    await clock.advance(1_000);
    expect(running).toEqual(["hangs", "next"]);
    await end("hangs");
    expect(running).toEqual(["hangs", "next"]);
    await end("next");
    expect(running).toEqual(["hangs", "next", "last"]);
  });

  it("forgets who no longer waits", async () => {
    const { running, start, end } = fixture(1);
    const abort = new AbortController();
    void start("a");
    const given = start("b", false, abort.signal);
    void start("c");
    abort.abort(new Error("gone"));
    await expect(given).rejects.toThrow("gone");
    await expect(start("d", false, abort.signal)).rejects.toThrow("gone");
    await end("a");
    expect(running).toEqual(["a", "c"]);
  });
});
