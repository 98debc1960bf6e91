import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { realClock, VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { createWebhookClient } from "../webhook/create-webhook-client.ts";
import { startWebhookServer } from "../webhook/webhook-server-fixture.ts";
import { type AuditBackend, blockingBackend, unionBackend } from "./audit-backend.ts";
import type { AuditEvent } from "./audit-event.ts";
import { createBatchBackend } from "./batch-backend.ts";
import { createLogBackend } from "./log-backend.ts";
import { RotatingFile } from "./rotating-file.ts";
import { createTruncateBackend } from "./truncate-backend.ts";
import { createAuditWebhook } from "./webhook-backend.ts";

const eventOf = (auditID: string, more: Partial<AuditEvent> = {}): AuditEvent => ({
  kind: "Event",
  apiVersion: "audit.k8s.io/v1",
  level: "Metadata",
  auditID,
  stage: "ResponseComplete",
  requestURI: "/version",
  verb: "get",
  user: { username: "jane", groups: ["a", "b"] },
  requestReceivedTimestamp: "2026-01-01T00:00:00.000000Z",
  stageTimestamp: "2026-01-01T00:00:00.000000Z",
  ...more,
});

function recording() {
  const batches: string[][] = [];
  const events: AuditEvent[] = [];
  const backend: AuditBackend = {
    write(batch) {
      batches.push(batch.map(({ auditID }) => auditID));
      events.push(...batch);
    },
    stop: async () => undefined,
  };
  let lost = 0;
  const errors = {
    add: (by = 1) => {
      lost += by;
    },
  };
  return { backend, batches, events, errors, lost: () => lost };
}

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-audit-"));
});
afterEach(() => rm(directory, { recursive: true }));

describe("createBatchBackend()", () => {
  it("sends whole batches at once and incomplete ones after their time, and drops what finds the buffer full", async () => {
    const clock = new VirtualClock();
    const { backend, batches, errors, lost } = recording();
    const batch = createBatchBackend(
      { next: backend, clock, logger: silentLogger, errors, dropped: errors },
      { bufferSize: 5, maxBatchSize: 3, maxWaitMs: 1000 },
    );
    void batch.write([eventOf("1"), eventOf("2")]);
    await clock.advance(500);
    expect(batches).toEqual([]);
    void batch.write([eventOf("3"), eventOf("4"), eventOf("5"), eventOf("6")]);
    await clock.settle();
    expect(batches).toEqual([["1", "2", "3"]]);
    expect(lost()).toBe(1);
    await clock.advance(1000);
    expect(batches).toEqual([
      ["1", "2", "3"],
      ["4", "5"],
    ]);
    void batch.write([eventOf("7")]);
    await batch.stop();
    expect(batches.at(-1)).toEqual(["7"]);
  });

  it("keeps to its rate, with a burst after a pause", async () => {
    const clock = new VirtualClock();
    const { backend, batches, errors } = recording();
    const throttle = { perSecond: 1, burst: 2 };
    const batch = createBatchBackend(
      { next: backend, clock, logger: silentLogger, errors, dropped: errors },
      { bufferSize: 100, maxBatchSize: 1, maxWaitMs: 0, throttle },
    );
    void batch.write(["1", "2", "3", "4"].map((id) => eventOf(id)));
    await clock.settle();
    expect(batches).toHaveLength(2);
    await clock.advance(1000);
    expect(batches).toHaveLength(3);
    await clock.advance(1000);
    expect(batches).toHaveLength(4);
    await batch.stop();
  });

  it("sends so many batches at once, and waits for them in the end", async () => {
    const clock = new VirtualClock();
    const { errors } = recording();
    const under: (() => void)[] = [];
    const slow: AuditBackend = { write: () => new Promise((resolve) => under.push(resolve)), stop: async () => undefined };
    const batch = createBatchBackend(
      { next: slow, clock, logger: silentLogger, errors, dropped: errors },
      { bufferSize: 9, maxBatchSize: 1, maxWaitMs: 0, concurrency: 2 },
    );
    void batch.write(["1", "2", "3"].map((id) => eventOf(id)));
    await clock.settle();
    expect(under).toHaveLength(2);
    under[1]?.();
    await clock.settle();
    expect(under).toHaveLength(3);
    let stopped = false;
    const stopping = batch.stop().then(() => {
      stopped = true;
    });
    await clock.settle();
    expect(stopped).toBe(false);
    for (const done of under) done();
    await stopping;
  });

  it("counts the events of a batch that could not be written", async () => {
    const clock = new VirtualClock();
    const { errors, lost } = recording();
    const broken: AuditBackend = { write: () => Promise.reject(new Error("no room")), stop: async () => undefined };
    const batch = createBatchBackend(
      { next: broken, clock, logger: silentLogger, errors, dropped: errors },
      { bufferSize: 9, maxBatchSize: 2, maxWaitMs: 0 },
    );
    void batch.write([eventOf("1"), eventOf("2")]);
    await clock.settle();
    expect(lost()).toBe(2);
    await batch.stop();
  });
});

describe("unionBackend()", () => {
  it("writes to the others when one fails, which fails a request only where that one is strict", async () => {
    const broken: AuditBackend = { write: () => Promise.reject(new Error("no room")), stop: async () => undefined };
    const { backend, batches, errors, lost } = recording();
    const blocking = (strict: boolean) => blockingBackend({ next: broken, logger: silentLogger, errors }, { strict });
    await unionBackend([blocking(false), backend]).write([eventOf("1")]);
    await expect(unionBackend([blocking(true), backend]).write([eventOf("2")])).rejects.toThrow("no room");
    expect(batches).toEqual([["1"], ["2"]]);
    expect(lost()).toBe(2);
  });
});

describe("createTruncateBackend()", () => {
  it("takes the objects out of large events, drops what stays too large and splits batches", async () => {
    const { backend, batches, events, errors, lost } = recording();
    const truncate = createTruncateBackend({ next: backend, logger: silentLogger, errors }, { maxEventBytes: 600, maxBatchBytes: 900 });
    const large = eventOf("large", { requestObject: { data: "x".repeat(1000) }, annotations: { a: "b" } });
    await truncate.write([eventOf("1"), large, eventOf("2"), eventOf("hopeless", { requestURI: "/".repeat(1000) }), eventOf("3")]);
    expect(batches.flat()).toEqual(["1", "large", "2", "3"]);
    expect(batches.length).toBeGreaterThan(1);
    expect(events[1]).toEqual({ ...eventOf("large"), annotations: { a: "b", "audit.k8s.io/truncated": "true" } });
    expect(lost()).toBe(1);
  });
});

describe("createLogBackend()", () => {
  it("writes JSON lines, or upstream's older form", () => {
    const lines: string[] = [];
    const sink = { append: (text: string) => void lines.push(text), close: async () => undefined };
    const event = eventOf("1", { objectRef: { namespace: "n" }, responseStatus: { code: 200 }, sourceIPs: ["10.0.0.1"] });
    void createLogBackend(sink, "json").write([event]);
    expect(JSON.parse(lines[0] ?? "")).toEqual(event);
    void createLogBackend(sink, "legacy").write([event]);
    expect(lines[1]).toBe(
      '2026-01-01T00:00:00.000000Z AUDIT: id="1" stage="ResponseComplete" ip="10.0.0.1" method="get" user="jane" groups="\\"a\\",\\"b\\"" as="<self>" asgroups="<lookup>" user-agent="" namespace="n" uri="/version" response="200"\n',
    );
  });
});

describe("RotatingFile", () => {
  it("sets full files aside, keeps so many, compresses them, and is nobody else's to read", async () => {
    const clock = new VirtualClock();
    const path = join(directory, "logs", "audit.log");
    const file = new RotatingFile(path, { maxBytes: 10, maxBackups: 2, compress: true }, { clock, logger: silentLogger });
    for (const text of ["first--\n", "second-\n", "third--\n", "fourth-\n"]) {
      file.append(text);
      await clock.advance(1000);
    }
    await file.close();
    expect(await readFile(path, "utf8")).toBe("fourth-\n");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const old = (await readdir(join(directory, "logs"))).filter((name) => name !== "audit.log").sort();
    expect(old).toEqual(["audit-2026-01-01T00-00-02.000.log.gz", "audit-2026-01-01T00-00-03.000.log.gz"]);
    expect(gunzipSync(await readFile(join(directory, "logs", old[1] ?? ""))).toString()).toBe("third--\n");
  });

  it("fails where its directory cannot be made", () => {
    const open = () => new RotatingFile("/proc/nothing/audit.log", {}, { clock: new VirtualClock(), logger: silentLogger });
    expect(open).toThrow("ENOENT");
  });

  it("removes files that are too old, and goes on with the file it finds", async () => {
    const clock = new VirtualClock();
    const path = join(directory, "audit.log");
    const open = () => new RotatingFile(path, { maxBytes: 10, maxAgeMs: 60_000 }, { clock, logger: silentLogger });
    let file = open();
    file.append("one-----\n");
    await clock.advance(1000);
    file.append("two-----\n");
    await file.close();
    await clock.advance(120_000);
    file = open();
    file.append("three---\n");
    await file.close();
    expect((await readdir(directory)).sort()).toEqual(["audit-2026-01-01T00-02-01.000.log", "audit.log"]);
  });
});

describe("createAuditWebhook()", () => {
  it("sends an EventList, and again when the webhook was not well", async () => {
    let calls = 0;
    await using server = await startWebhookServer(() => (++calls === 1 ? { status: 503, body: "later" } : { body: "" }));
    const target = async () => ({ url: server.url("/audit"), caPem: server.caPem, bearerToken: "t" });
    const webhook = createAuditWebhook(
      { client: createWebhookClient({ clock: realClock }), target, clock: realClock },
      { initialBackoffMs: 1 },
    );
    await webhook.write([eventOf("1"), eventOf("2")]);
    await vi.waitFor(() => expect(server.bodies).toHaveLength(2), 60_000);
    expect(server.bodies[1]).toEqual({
      kind: "EventList",
      apiVersion: "audit.k8s.io/v1",
      metadata: {},
      items: ["1", "2"].map((id) => ({ ...eventOf(id), kind: undefined, apiVersion: undefined })),
    });
    await webhook.stop();
  });

  it("tries again what the webhook refuses, five times in all", async () => {
    await using server = await startWebhookServer(() => ({ status: 400, body: "no" }));
    const target = async () => ({ url: server.url(), caPem: server.caPem });
    const webhook = createAuditWebhook(
      { client: createWebhookClient({ clock: realClock }), target, clock: realClock },
      { initialBackoffMs: 1 },
    );
    await expect(webhook.write([eventOf("1")])).rejects.toThrow();
    expect(server.bodies).toHaveLength(5);
    await webhook.stop();
  });
});
