import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { CacheNotReadyError, Readiness } from "./readiness.ts";

describe("Readiness", () => {
  it("lets readers wait for the first attempt, and refuses them once one has failed", async () => {
    const clock = new VirtualClock();
    const readiness = new Readiness(clock, "*core.Secret");
    const early = readiness.wait().catch((error: unknown) => error);
    await clock.advance(2000);
    readiness.failed(new Error("no key"));
    const text = "storage is (re)initializing: failed to list *core.Secret: no key";
    expect(await early).toMatchObject({ message: text, downMs: 2000 });
    await clock.advance(1000);
    await expect(readiness.wait()).rejects.toThrow(CacheNotReadyError);
    readiness.succeeded();
    await readiness.wait();
    expect(readiness.isReady).toBe(true);
  });

  it("lets readers wait while the mirror is read anew, and go when it is kept no longer", async () => {
    const clock = new VirtualClock();
    const readiness = new Readiness(clock, "*core.Secret");
    readiness.succeeded();
    await clock.advance(60_000);
    readiness.lost();
    let done = false;
    const waiting = readiness.wait().then(() => (done = true));
    await clock.advance(10);
    expect(done).toBe(false);
    readiness.succeeded();
    await waiting;
    readiness.lost();
    const last = readiness.wait();
    readiness.stop();
    await last;
    readiness.failed("late");
    await readiness.wait();
  });
});
