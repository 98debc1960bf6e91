import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { cronjobs, jobs } from "../../api/resources.generated.ts";
import type { CronJob, CronJobSpec, Job } from "../../api/types/batch-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { endOf } from "./children.ts";
import { cronJobController } from "./cronjob-controller.ts";

const minuteMs = 60_000;
const at = { namespace: "default", name: "tick" };

async function started(spec: Partial<CronJobSpec>): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(cronJobController);
  const cronJob: New<CronJob> = {
    metadata: at,
    spec: {
      schedule: "* * * * *",
      concurrencyPolicy: "Allow",
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
      jobTemplate: { metadata: { labels: { from: "tick" }, annotations: { a: "b" } }, spec: { template: { spec: { containers: [] } } } },
      ...spec,
    },
  };
  await fixture.client.create(cronjobs, cronJob);
  await fixture.settle();
  return fixture;
}

const jobsIn = async (fixture: ControllerFixture): Promise<readonly Job[]> => (await fixture.client.list(jobs, at)).items;
const statusOf = async (fixture: ControllerFixture) => (await fixture.client.get(cronjobs, at)).status ?? {};
const patch = (fixture: ControllerFixture, spec: Partial<CronJobSpec>) => fixture.client.patch(cronjobs, at, { spec }, { type: "merge" });

async function complete(fixture: ControllerFixture, job: Job, type = "Complete"): Promise<void> {
  const now = formatTime(fixture.clock.now());
  const status = { startTime: now, conditions: [{ type, status: "True" }], ...(type === "Complete" ? { completionTime: now } : {}) };
  await fixture.client.patch(jobs, { ...at, name: job.metadata.name }, { status }, { type: "merge", subresource: "status" });
}

describe("cronjob-controller", () => {
  it("makes a job named by its minute, notes it, and notes its end", async () => {
    await using fixture = await started({ timeZone: "Asia/Tokyo" });
    const minute = Math.floor(fixture.clock.now() / minuteMs) + 1;
    await fixture.clock.advance(minuteMs + 1_000);
    const [job, ...more] = await jobsIn(fixture);
    expect(more).toEqual([]);
    expect(job).toMatchObject({
      metadata: {
        name: `tick-${minute}`,
        labels: { from: "tick" },
        annotations: { a: "b", "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T09:01:00+09:00" },
        ownerReferences: [{ kind: "CronJob", name: "tick", controller: true }],
      },
    });
    const { uid, resourceVersion } = job?.metadata ?? {};
    expect(await statusOf(fixture)).toEqual({
      active: [{ apiVersion: "batch/v1", kind: "Job", namespace: "default", name: `tick-${minute}`, uid, resourceVersion }],
      lastScheduleTime: "2026-01-01T00:01:00Z",
    });
    if (job) await complete(fixture, job);
    await fixture.settle();
    expect(await statusOf(fixture)).toEqual({ lastScheduleTime: "2026-01-01T00:01:00Z", lastSuccessfulTime: expect.any(String) });
    expect(await fixture.eventsOf("tick")).toEqual([
      `SuccessfulCreate: Created job tick-${minute}`,
      `SawCompletedJob: Saw completed job: tick-${minute}, condition: Complete`,
    ]);
    expect(fixture.problems).toEqual([]);
  });

  it("runs a month of schedules, each once, and keeps what the history limits say", async () => {
    await using fixture = await started({ schedule: "0 */6 * * *" });
    const seen = new Set<string>();
    for (let quarter = 0; quarter < 31 * 4; quarter++) {
      await fixture.clock.advance(6 * 60 * minuteMs);
      for (const job of await jobsIn(fixture)) {
        if (endOf(job)) continue;
        seen.add(job.metadata.name);
        await complete(fixture, job, seen.size % 10 === 0 ? "Failed" : "Complete");
      }
    }
    await fixture.clock.advance(minuteMs);
    for (const job of await jobsIn(fixture)) if (!endOf(job)) seen.add(job.metadata.name);
    expect(seen.size).toBe(31 * 4);
    const ends = (await jobsIn(fixture)).map(endOf);
    expect(ends.filter((end) => end === "Complete")).toHaveLength(3);
    expect(ends.filter((end) => end === "Failed")).toHaveLength(1);
    expect(fixture.problems).toEqual([]);
  });

  it.each([
    ["Allow", 3, []],
    ["Forbid", 1, ["JobAlreadyActive"]],
    ["Replace", 1, ["SuccessfulDelete"]],
  ] as const)("%s with jobs that do not end leaves %i", async (concurrencyPolicy, count, reasons) => {
    await using fixture = await started({ concurrencyPolicy });
    await fixture.clock.advance(3 * minuteMs + 1_000);
    expect(await jobsIn(fixture)).toHaveLength(count);
    expect((await statusOf(fixture)).active).toHaveLength(count);
    const seen = new Set((await fixture.eventsOf("tick")).map((text) => text.split(":")[0]));
    expect(seen).toEqual(new Set(["SuccessfulCreate", ...reasons]));
  });

  it("makes up for the last of the runs missed while suspended, and warns where they were very many", async () => {
    await using fixture = await started({ suspend: true });
    await fixture.clock.advance(150 * minuteMs + 10_000);
    expect(await jobsIn(fixture)).toEqual([]);
    await patch(fixture, { suspend: false });
    await fixture.settle();
    expect(await jobsIn(fixture)).toHaveLength(1);
    expect((await statusOf(fixture)).lastScheduleTime).toBe("2026-01-01T02:30:00Z");
    expect(await fixture.eventsOf("tick")).toContain(
      "TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
    );
  });

  it("does not start a run after its starting deadline", async () => {
    await using fixture = await started({ schedule: "0 * * * *", suspend: true, startingDeadlineSeconds: 30 });
    await fixture.clock.advance(61 * minuteMs);
    await patch(fixture, { suspend: false });
    await fixture.settle();
    expect(await jobsIn(fixture)).toEqual([]);
    await fixture.clock.advance(60 * minuteMs);
    expect(await jobsIn(fixture)).toHaveLength(1);
  });

  it("lets a changed schedule hold from now on", async () => {
    await using fixture = await started({ schedule: "0 0 1 1 *" });
    await fixture.clock.advance(30 * minuteMs + 1_000);
    await patch(fixture, { schedule: "*/20 * * * *" });
    await fixture.settle();
    expect(await jobsIn(fixture)).toEqual([]);
    await fixture.clock.advance(10 * minuteMs);
    expect((await statusOf(fixture)).lastScheduleTime).toBe("2026-01-01T00:40:00Z");
  });

  it("does not make a job twice whose creation it could not note, and forgets one that has gone missing", async () => {
    await using fixture = await started({});
    let failures = 1;
    fixture.api.intercept = (request) => {
      if (request.path.endsWith("/cronjobs/tick/status") && failures-- > 0) throw new Error("the connection broke");
    };
    await fixture.clock.advance(minuteMs + 1_000);
    const [job] = await jobsIn(fixture);
    expect((await statusOf(fixture)).active).toMatchObject([{ name: job?.metadata.name }]);
    await fixture.client.delete(jobs, { ...at, name: job?.metadata.name ?? "" });
    await fixture.settle();
    expect((await statusOf(fixture)).active).toBeUndefined();
    expect(await fixture.eventsOf("tick")).toContain(`MissingJob: Active job went missing: ${job?.metadata.name}`);
  });

  it("tells of a schedule that never comes to pass and of a time zone that does not exist", async () => {
    await using fixture = await started({ schedule: "0 0 31 2 *" });
    expect(await fixture.eventsOf("tick")).toEqual([
      "InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second",
    ]);
    await using other = await started({ timeZone: "Europe/Nowhere" });
    expect(await other.eventsOf("tick")).toEqual(['UnknownTimeZone: invalid timeZone: "Europe/Nowhere": unknown time zone Europe/Nowhere']);
  });
});
