import { describe, expect, it } from "vitest";
import { SpareControllers } from "./spare-controllers.ts";

describe("SpareControllers", () => {
  it("gives a controller out again when its work has ended, and never one that was aborted", () => {
    const controllers = new SpareControllers();
    const [first, second] = [controllers.take(), controllers.take()];
    expect(first).not.toBe(second);
    controllers.giveBack(first);
    expect(controllers.take()).toBe(first);
    second.abort(new Error("too late"));
    controllers.giveBack(second);
    const next = controllers.take();
    expect(next).not.toBe(second);
    expect(next.signal.aborted).toBe(false);
  });
});
