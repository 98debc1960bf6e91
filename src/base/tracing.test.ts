import { expect, test } from "vitest";
import { VirtualClock } from "./clock.ts";
import { silentLogger } from "./log.ts";
import { type FinishedSpan, parseTraceparent, Tracer } from "./tracing.ts";

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
    await tracer.span("second", { kind: "client" }, async () => Promise.reject(new Error("no"))).catch(() => undefined);
    return 7;
  });
  await clock.advance(20);
  expect(await work).toBe(7);
  await clock.advance(5_000);
  const [first, second, outer] = batches[0] ?? [];
  expect([first?.name, second?.name, outer?.name]).toEqual(["first", "second", "outer"]);
  expect((first?.endedNs ?? 0n) - (first?.beganNs ?? 0n)).toBe(20_000_000n);
  expect(second).toMatchObject({ kind: "client", error: "no" });
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

test("a traceparent header is read as the specification has it, and written likewise", async () => {
  const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  expect(parseTraceparent(good)).toMatchObject({ sampled: true });
  expect(hex(parseTraceparent(good)?.traceId ?? new Uint8Array())).toBe("4bf92f3577b34da6a3ce929d0e0e4736");
  expect(parseTraceparent(good.replace(/01$/, "00"))?.sampled).toBe(false);
  // A later version may say more.
  expect(parseTraceparent(`01${good.slice(2)}-more`)).toBeDefined();
  const zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
  for (const bad of [undefined, "", `${good}-more`, `ff${good.slice(2)}`, good.toUpperCase(), good.slice(0, -1), zero])
    expect(parseTraceparent(bad)).toBeUndefined();
  const { tracer } = setUp();
  const root = tracer.root("request", { parent: parseTraceparent(good) });
  expect(root?.run(() => tracer.traceparent())).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/);
  expect(tracer.traceparent()).toBeUndefined();
});

test("whether a trace that was begun elsewhere is kept is decided there, and steps are kept within those that are alone", async () => {
  const { batches, tracer } = setUp(0);
  const caller = (flags: string) => parseTraceparent(`00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-${flags}`);
  expect(tracer.root("a")).toBeUndefined();
  expect(tracer.root("b", { parent: caller("00") })).toBeUndefined();
  expect(tracer.step("nowhere")).toBeUndefined();
  const link = caller("01");
  const root = tracer.root("c", { parent: link, kind: "server", ...(link ? { links: [link] } : {}) });
  await root?.run(async () => {
    const step = tracer.step("stage");
    await step?.run(() => tracer.within("call", { kind: "client" }, async () => undefined));
    step?.end();
  });
  root?.end({ code: 500 }, "");
  root?.end({ code: 200 });
  await tracer.within("outside", {}, async () => undefined);
  await tracer.stop();
  const spans = batches.flat();
  expect(spans.map(({ name, kind }) => `${name} ${kind}`)).toEqual(["call client", "stage internal", "c server"]);
  expect(spans[2]).toMatchObject({ attributes: { code: 500 }, error: "", links: [link] });
  const half = setUp(1_000_000).tracer;
  expect(half.root("d", { parent: caller("00") })).toBeUndefined();
});
