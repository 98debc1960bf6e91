import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { AbortFollowers } from "./abort-followers.ts";

it("tells those that follow a signal when it aborts, each once, over one listener", () => {
  const followers = new AbortFollowers();
  const controller = new AbortController();
  const { signal } = controller;
  const told: string[] = [];
  const [a, b, c] = ["a", "b", "c"].map((name) => (reason: unknown) => void told.push(`${name} ${(reason as Error).message}`));
  if (!a || !b || !c) throw new Error("three followers");
  for (const follower of [a, b, c]) followers.add(signal, follower);
  followers.remove(signal, b);
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  controller.abort(new Error("stopped"));
  expect(told).toEqual(["a stopped", "c stopped"]);
  followers.remove(signal, a);
});

it("does not tell one that leaves while others are being told", () => {
  const followers = new AbortFollowers();
  const controller = new AbortController();
  const told: string[] = [];
  const second = (): void => void told.push("second");
  followers.add(controller.signal, () => {
    told.push("first");
    followers.remove(controller.signal, second);
  });
  followers.add(controller.signal, second);
  controller.abort();
  expect(told).toEqual(["first"]);
});
