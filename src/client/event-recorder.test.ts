import { describe, expect, it } from "vitest";
import { forbidden } from "../api/meta/status-error.ts";
import { events, eventsV1, pods } from "../api/resources.generated.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { createClient } from "./create-client.ts";
import { createEventRecorder } from "./event-recorder.ts";
import { createEventSeriesRecorder } from "./event-series-recorder.ts";

async function setUp() {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const pod = await client.create(pods, { metadata: { name: "web", namespace: "shop" }, spec: { containers: [] } });
  const recorder = createEventRecorder({ client, clock, logger: silentLogger, component: "tester", host: "n1" });
  const say = (message: string, reason = "Said"): void =>
    recorder.record({ ...pod, apiVersion: "v1", kind: "Pod" }, { type: "Normal", reason, message });
  const written = async () => {
    await recorder.flushed();
    return (await client.list(events)).items;
  };
  return { clock, api, client, pod, recorder, say, written };
}

describe("createEventRecorder()", () => {
  it("writes an event about an object into its namespace", async () => {
    const { pod, say, written } = await setUp();
    say("hello");
    expect(await written()).toMatchObject([
      {
        metadata: { namespace: "shop", name: expect.stringMatching(/^web\.[0-9a-f]{16}$/) },
        involvedObject: { apiVersion: "v1", kind: "Pod", name: "web", namespace: "shop", uid: pod.metadata.uid },
        reason: "Said",
        message: "hello",
        type: "Normal",
        count: 1,
        source: { component: "tester", host: "n1" },
        firstTimestamp: "2026-01-01T00:00:00Z",
        lastTimestamp: "2026-01-01T00:00:00Z",
        reportingComponent: "tester",
        reportingInstance: "n1",
      },
    ]);
  });

  it("counts an event that comes again", async () => {
    const { clock, say, written } = await setUp();
    say("hello");
    await clock.advance(60_000);
    say("hello");
    say("hello");
    const all = await written();
    expect(all).toHaveLength(1);
    expect(all[0]).toMatchObject({ count: 3, firstTimestamp: "2026-01-01T00:00:00Z", lastTimestamp: "2026-01-01T00:01:00Z" });
  });

  it("writes the event anew when the counted one has expired", async () => {
    const { client, say, written } = await setUp();
    say("hello");
    const [first] = await written();
    await client.delete(events, { namespace: "shop", name: first?.metadata.name ?? "" });
    say("hello");
    expect(await written()).toMatchObject([{ count: 2, message: "hello" }]);
  });

  it("combines ten different messages of one reason", async () => {
    const { say, written } = await setUp();
    for (let i = 0; i < 14; i++) say(`attempt ${i}`);
    const all = await written();
    expect(all).toHaveLength(10);
    expect(all.filter((event) => event.message?.startsWith("(combined from similar events): "))).toMatchObject([
      { count: 5, message: "(combined from similar events): attempt 13" },
    ]);
    const reporters = (isCombined: boolean) =>
      new Set(all.filter(({ message }) => message?.startsWith("(combined") === isCombined).map((event) => event.reportingComponent ?? ""));
    // The source says who it was, in both.
    expect(reporters(true)).toEqual(new Set([""]));
    expect(reporters(false)).not.toContain("");
  });

  it("lets a source say 25 things about an object at once, then one every five minutes", async () => {
    const { clock, say, written } = await setUp();
    for (let i = 0; i < 40; i++) say("same", `Reason${i}`);
    expect(await written()).toHaveLength(25);
    await clock.advance(300_000);
    say("one", "More");
    say("two", "TooMuch");
    expect((await written()).map((event) => event.reason).filter((reason) => !reason?.startsWith("Reason"))).toEqual(["More"]);
  });

  it("never waits: it tries again when the server cannot be reached and drops what does not fit", async () => {
    const { clock, api, client, recorder, pod } = await setUp();
    let isDown = true;
    api.intercept = (request) => {
      if (isDown && request.method === "POST") throw new Error("connection refused");
    };
    for (let i = 0; i < 1500; i++)
      recorder.record({ ...pod, metadata: { ...pod.metadata, name: `p${i}` } }, { type: "Normal", reason: "R", message: "m" });
    await clock.advance(1_000);
    isDown = false;
    await clock.advance(20_000);
    await recorder.flushed();
    const { items } = await client.list(events);
    expect(items.length).toBeGreaterThanOrEqual(1000);
    expect(items.length).toBeLessThan(1010);
  });

  it("drops an event that the server refuses and goes on", async () => {
    const { api, say, written } = await setUp();
    api.intercept = (request) => {
      if ((request.body as { reason?: string } | undefined)?.reason === "Bad") throw forbidden(events, "", "namespace is going");
    };
    say("x", "Bad");
    say("y", "Good");
    expect((await written()).map((event) => event.reason)).toEqual(["Good"]);
  });
});

describe("createEventSeriesRecorder()", () => {
  it("lets events wait while its component is busy, for ten seconds at most and while there is room", async () => {
    const { clock, client, pod } = await setUp();
    let isBusy = true;
    const name = "default-scheduler";
    const recorder = createEventSeriesRecorder({
      ...{ client, clock, logger: silentLogger, reportingController: name, reportingInstance: name },
      ...{ maxBuffered: 8, isBusy: () => isBusy },
    });
    let made = 0;
    const record = (count: number): void => {
      for (const end = made + count; made < end; made++)
        recorder.record(
          { ...pod, metadata: { ...pod.metadata, name: `p${made}` } },
          { type: "Normal", reason: "Scheduled", action: "Binding", note: "m" },
        );
    };
    const written = async (): Promise<number> => (await client.list(eventsV1)).items.length;
    record(2);
    await clock.advance(9_900);
    expect(await written()).toBe(0);
    await clock.advance(200);
    expect(await written()).toBe(2);
    record(7);
    await clock.advance(100);
    expect(await written()).toBe(9);
    record(2);
    await clock.advance(100);
    expect(await written()).toBe(9);
    isBusy = false;
    await clock.advance(100);
    expect(await written()).toBe(11);
    expect(made).toBe(11);
    await recorder.stop();
  });

  it("opens a series at the second event and writes its count when it has been quiet", async () => {
    const { clock, client, pod } = await setUp();
    const recorder = createEventSeriesRecorder({
      client,
      clock,
      logger: silentLogger,
      reportingController: "default-scheduler",
      reportingInstance: "default-scheduler-n1",
    });
    const fail = (note: string) => recorder.record(pod, { type: "Warning", reason: "FailedScheduling", action: "Scheduling", note });
    const read = async () => {
      await recorder.flushed();
      return (await client.list(eventsV1)).items;
    };
    fail("0/1 nodes are available");
    expect(await read()).toMatchObject([
      {
        reason: "FailedScheduling",
        regarding: { name: "web" },
        note: "0/1 nodes are available",
        eventTime: "2026-01-01T00:00:00.000000Z",
        reportingController: "default-scheduler",
      },
    ]);
    expect((await read())[0]?.series).toBeUndefined();
    fail("0/2 nodes are available");
    expect((await read())[0]?.series?.count).toBe(2);
    for (let i = 0; i < 5; i++) fail("0/2 nodes are available");
    expect((await read())[0]?.series?.count).toBe(2);
    await clock.advance(13 * 60_000);
    expect((await read())[0]?.series?.count).toBe(7);
    fail("again");
    expect(await read()).toHaveLength(2);
    await recorder.stop();
  });
});
