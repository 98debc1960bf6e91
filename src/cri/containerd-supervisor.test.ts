import { expect, test } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import type { ContainerdProcess } from "./containerd-process.ts";
import { superviseContainerd } from "./containerd-supervisor.ts";

/** Processes that end when told. */
function fakeProcesses() {
  let pid = 0;
  const ends: (() => void)[] = [];
  const create = (): ContainerdProcess => {
    const ended = new Promise<void>((resolve) => ends.push(resolve));
    const exited = (signal: AbortSignal): Promise<void> =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve());
        void ended.then(resolve);
      });
    return { identity: { pid: ++pid, startTicks: 0, bootId: "" }, exited, release: () => undefined };
  };
  return { create, endLatest: () => ends.at(-1)?.(), started: () => pid };
}

test("superviseContainerd() starts it again after pauses that double up to 30 s, and shrink after a minute of health", async () => {
  const clock = new VirtualClock();
  const fake = fakeProcesses();
  const supervisor = superviseContainerd(fake.create(), async () => fake.create(), { clock, log: silentLogger });
  const pauseAfterEnd = async (): Promise<number> => {
    const before = fake.started();
    fake.endLatest();
    for (let ms = 0; ; ms += 500) {
      if (fake.started() > before) return ms;
      await clock.advance(500);
    }
  };
  const pauses: number[] = [];
  for (let i = 0; i < 8; i++) pauses.push(await pauseAfterEnd());
  expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  await clock.advance(61_000);
  expect(await pauseAfterEnd()).toBe(500);
  expect((await supervisor.stop()).identity.pid).toBe(fake.started());
});

test("superviseContainerd() goes on after a start that failed, and starts nothing once stopped", async () => {
  const clock = new VirtualClock();
  const fake = fakeProcesses();
  let failures = 2;
  const supervisor = superviseContainerd(
    fake.create(),
    async () => {
      if (failures-- > 0) throw new Error("no");
      return fake.create();
    },
    { clock, log: silentLogger },
  );
  fake.endLatest();
  await clock.advance(10_000);
  expect(fake.started()).toBe(2);
  fake.endLatest();
  await clock.settle();
  await supervisor.stop();
  await clock.advance(100_000);
  expect(fake.started()).toBe(2);
});
