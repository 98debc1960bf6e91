import { expect, test } from "vitest";
import { VirtualClock } from "./clock.ts";
import { silentLogger } from "./log.ts";
import { type FinishedSpan, Tracer } from "./tracing.ts";

function setUp(perMillion = 1_000_000, exportSpans?: () => Promise<void>) {
  const clock = new VirtualClock();
  const batches: (readonly FinishedSpan[])[] = [];
  const deps = {
    ...{ clock, logger: silentLogger },
    exportSpans: async (spans: readonly FinishedSpan[]) => {
      await exportSpans?.();
      batches.push(spans);
    },
  };
  return { clock, batches, tracer: new Tracer(deps, { perMillion }) };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("a span knows the one it is within, how long it took, and what failed", async () => {
  const { clock, batches, tracer } = setUp();
  const work = tracer.span("outer", { attributes: { a: "b" } }, async () => {
    await tracer.span("first", {}, async () => clock.sleep(20));
    await tracer.span("second", { isCall: true }, async () => Promise.reject(new Error("no"))).catch(() => undefined);
    return 7;
  });
  await clock.advance(20);
  expect(await work).toBe(7);
  await clock.advance(5_000);
  const [first, second, outer] = batches[0] ?? [];
  expect([first?.name, second?.name, outer?.name]).toEqual(["first", "second", "outer"]);
  expect((first?.endedNs ?? 0n) - (first?.beganNs ?? 0n)).toBe(20_000_000n);
  expect(second).toMatchObject({ isCall: true, error: "no" });
  expect(outer).toMatchObject({ attributes: { a: "b" }, parentSpanId: new Uint8Array() });
  expect([first, second].map((span) => hex(span?.parentSpanId ?? new Uint8Array()))).toEqual(
    Array(2).fill(hex(outer?.spanId ?? new Uint8Array())),
  );
  expect(new Set([first, second, outer].map((span) => hex(span?.traceId ?? new Uint8Array()))).size).toBe(1);
});

test("so many traces are kept as it is told, each whole or not at all", async () => {
  const none = setUp(0);
  await none.tracer.span("outer", {}, () => none.tracer.span("inner", {}, async () => undefined));
  await none.tracer.stop();
  expect(none.batches).toEqual([]);
  const half = setUp(500_000);
  for (let i = 0; i < 200; i++) await half.tracer.span("outer", {}, () => half.tracer.span("inner", {}, async () => undefined));
  await half.tracer.stop();
  const spans = half.batches.flat();
  expect(spans.length % 2).toBe(0);
  expect(spans.length).toBeGreaterThan(100);
  expect(spans.length).toBeLessThan(300);
});

test("spans go in batches; what cannot be handed over is dropped, and so is what comes while too many wait", async () => {
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { clock, batches, tracer } = setUp(1_000_000, () => gate);
  for (let i = 0; i < 4_000; i++) await tracer.span(`s${i}`, {}, async () => undefined);
  open();
  for (let i = 0; i < 10; i++) await clock.advance(5_000);
  await tracer.stop();
  expect(batches.map((batch) => batch.length).every((length) => length <= 512)).toBe(true);
  expect(batches.flat().length).toBeLessThanOrEqual(2_048 + 512);
  const failing = setUp(1_000_000, () => Promise.reject(new Error("away")));
  await failing.tracer.span("lost", {}, async () => undefined);
  await expect(failing.tracer.stop()).resolves.toBeUndefined();
});
