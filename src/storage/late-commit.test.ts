import { describe, expect, it } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { LateCommits } from "./late-commit.ts";

describe("LateCommits", () => {
  it("refuse further writes while one is not done after a minute, until it is done", async () => {
    const clock = new VirtualClock();
    const commits = new LateCommits(clock);
    let resolve = (): void => undefined;
    const watched = commits.watch(new Promise<void>((done) => (resolve = done)));
    await clock.advance(59_000);
    expect(() => commits.refuseWhileLate("/d")).not.toThrow();
    await clock.advance(2_000);
    expect(() => commits.refuseWhileLate("/d")).toThrow("the disk of /d has not finished a write for more than 60 s");
    resolve();
    await watched;
    expect(() => commits.refuseWhileLate("/d")).not.toThrow();
  });

  it("fail as the write does, and let the next one try", async () => {
    const clock = new VirtualClock();
    const commits = new LateCommits(clock);
    let reject = (_: Error): void => undefined;
    const watched = commits.watch(new Promise<void>((_, failed) => (reject = failed)));
    await clock.advance(61_000);
    reject(new Error("no space"));
    await expect(watched).rejects.toThrow("no space");
    expect(() => commits.refuseWhileLate("/d")).not.toThrow();
  });
});
