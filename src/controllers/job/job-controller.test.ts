import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { jobs, pods } from "../../api/resources.generated.ts";
import { isPodActive } from "../../api/semantics/pod-status.ts";
import type { Job, JobSpec, JobStatus } from "../../api/types/batch-v1.ts";
import type { Pod, PodStatus } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { jobController } from "./job-controller.ts";
import { completionIndexName, completionIndexOf, isTracked, trackingFinalizer } from "./job-facts.ts";

const at = { namespace: "default", name: "work" };

async function started(spec: Partial<JobSpec> = {}): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(jobController);
  const job: New<Job> = {
    metadata: { ...at, generation: 1 },
    spec: {
      parallelism: 1,
      ...(spec.parallelism === undefined || "completions" in spec ? { completions: 1 } : {}),
      backoffLimit: 6,
      selector: { matchLabels: { uid: "u" } },
      template: { metadata: { labels: { uid: "u" } }, spec: { restartPolicy: "Never", containers: [{ name: "c", image: "img:1" }] } },
      ...spec,
    },
  };
  await fixture.client.create(jobs, job);
  await fixture.settle();
  return fixture;
}

const podsIn = async (fixture: ControllerFixture): Promise<readonly Pod[]> =>
  (await fixture.client.list(pods, { namespace: "default" })).items;

const activePods = async (fixture: ControllerFixture): Promise<readonly Pod[]> => (await podsIn(fixture)).filter(isPodActive);

const statusOf = async (fixture: ControllerFixture): Promise<JobStatus> => (await fixture.client.get(jobs, at)).status ?? {};

async function conditionsOf(fixture: ControllerFixture): Promise<readonly string[]> {
  return ((await statusOf(fixture)).conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);
}

async function setStatus(fixture: ControllerFixture, pod: Pod | undefined, status: PodStatus): Promise<void> {
  const name = pod?.metadata.name ?? "";
  await fixture.client.patch(pods, { namespace: "default", name }, { status }, { type: "merge", subresource: "status" });
  await fixture.settle();
}

const succeed = (fixture: ControllerFixture, pod: Pod | undefined): Promise<void> => setStatus(fixture, pod, { phase: "Succeeded" });

function fail(fixture: ControllerFixture, pod: Pod | undefined, exitCode = 1): Promise<void> {
  const finishedAt = formatTime(fixture.clock.now());
  const container = {
    name: "c",
    ready: false,
    restartCount: 0,
    image: "img:1",
    imageID: "",
    state: { terminated: { exitCode, finishedAt } },
  };
  return setStatus(fixture, pod, { phase: "Failed", containerStatuses: [container] });
}

const ofIndex = (list: readonly Pod[], index: number): Pod | undefined => list.find((pod) => completionIndexOf(pod) === index);

describe("job-controller", () => {
  it("runs pods until enough have succeeded, counts each once and lets go of it", async () => {
    await using fixture = await started({ completions: 3, parallelism: 2 });
    const first = await podsIn(fixture);
    expect(first.map((pod) => pod.metadata.finalizers)).toEqual([[trackingFinalizer], [trackingFinalizer]]);
    expect(await statusOf(fixture)).toMatchObject({ active: 2, ready: 0, terminating: 0, uncountedTerminatedPods: {} });
    for (const pod of first) await succeed(fixture, pod);
    expect(await statusOf(fixture)).toMatchObject({ active: 1, succeeded: 2 });
    for (const pod of await activePods(fixture)) await succeed(fixture, pod);
    const status = await statusOf(fixture);
    expect(status).toMatchObject({ succeeded: 3, ready: 0, completionTime: expect.any(String) });
    expect(status.active).toBeUndefined();
    expect(await conditionsOf(fixture)).toEqual(["SuccessCriteriaMet=True CompletionsReached", "Complete=True CompletionsReached"]);
    expect((await podsIn(fixture)).some(isTracked)).toBe(false);
    expect(await fixture.eventsOf("work")).toContain("Completed: Job completed");
    expect(fixture.problems).toEqual([]);
  });

  it("counts every pod exactly once although its cache lags behind and writes fail", async () => {
    await using fixture = await started({ completions: 6, parallelism: 3 });
    fixture.api.watchDelayMs = (path) => (path.endsWith("/pods") ? 150 : 0);
    let requests = 0;
    fixture.api.intercept = (request) => {
      if (request.method === "PATCH" && request.path.includes("/pods/") && !request.path.endsWith("/status") && ++requests % 3 === 0)
        throw new Error("the connection broke");
    };
    for (let round = 0; round < 40; round++) {
      const [next] = await activePods(fixture);
      if (next) await succeed(fixture, next);
      await fixture.clock.advance(300);
    }
    expect(await statusOf(fixture)).toMatchObject({ succeeded: 6, uncountedTerminatedPods: {} });
    expect(await podsIn(fixture)).toHaveLength(6);
    expect((await conditionsOf(fixture)).at(-1)).toBe("Complete=True CompletionsReached");
  });

  it("tells of a ready pod as active while it waits to replace another, as no status may have more ready pods than active", async () => {
    await using fixture = await started({ completions: 2, parallelism: 2 });
    const [first, second] = await podsIn(fixture);
    await setStatus(fixture, first, { phase: "Running", conditions: [{ type: "Ready", status: "True" }] });
    await fail(fixture, second);
    await fixture.clock.advance(2_000);
    expect(await activePods(fixture)).toHaveLength(1);
    expect(await statusOf(fixture)).toMatchObject({ active: 1, ready: 1, failed: 1 });
  });

  it("makes no pod before the back-off of 10 s, doubling, is over, and fails past the limit", async () => {
    await using fixture = await started({ backoffLimit: 2 });
    await fail(fixture, (await activePods(fixture))[0]);
    expect(await statusOf(fixture)).toMatchObject({ failed: 1 });
    await fixture.clock.advance(8_000);
    expect(await activePods(fixture)).toHaveLength(0);
    await fixture.clock.advance(3_000);
    expect(await activePods(fixture)).toHaveLength(1);
    await fail(fixture, (await activePods(fixture))[0]);
    await fixture.clock.advance(18_000);
    expect(await activePods(fixture)).toHaveLength(0);
    await fixture.clock.advance(3_000);
    await fail(fixture, (await activePods(fixture))[0]);
    expect(await statusOf(fixture)).toMatchObject({ failed: 3 });
    expect(await conditionsOf(fixture)).toEqual(["FailureTarget=True BackoffLimitExceeded", "Failed=True BackoffLimitExceeded"]);
    expect(await fixture.eventsOf("work")).toContain("BackoffLimitExceeded: Job has reached the specified backoff limit");
  });

  it("numbers the pods of an Indexed Job and does each index once", async () => {
    await using fixture = await started({ completions: 3, parallelism: 3, completionMode: "Indexed" });
    const made = await podsIn(fixture);
    expect(made.map((pod) => pod.metadata.annotations?.[completionIndexName]).sort()).toEqual(["0", "1", "2"]);
    expect(ofIndex(made, 1)).toMatchObject({
      metadata: { generateName: "work-1-", labels: { [completionIndexName]: "1" } },
      spec: { hostname: "work-1", containers: [{ env: [{ name: "JOB_COMPLETION_INDEX" }] }] },
    });
    await succeed(fixture, ofIndex(made, 0));
    await succeed(fixture, ofIndex(made, 2));
    expect(await statusOf(fixture)).toMatchObject({ completedIndexes: "0,2", succeeded: 2, active: 1 });
    await fail(fixture, ofIndex(made, 1));
    await fixture.clock.advance(11_000);
    const [again] = await activePods(fixture);
    expect(again && completionIndexOf(again)).toBe(1);
    await succeed(fixture, again);
    expect(await statusOf(fixture)).toMatchObject({ completedIndexes: "0-2", succeeded: 3, failed: 1 });
  });

  it("carries an index's failures over to its next pod and fails the index past its own limit", async () => {
    await using fixture = await started({ completions: 2, parallelism: 2, completionMode: "Indexed", backoffLimitPerIndex: 1 });
    await succeed(fixture, ofIndex(await podsIn(fixture), 0));
    await fail(fixture, ofIndex(await podsIn(fixture), 1));
    await fixture.clock.advance(11_000);
    const [again] = await activePods(fixture);
    expect(again?.metadata.annotations).toMatchObject({ "batch.kubernetes.io/job-index-failure-count": "1" });
    await fail(fixture, again);
    expect(await statusOf(fixture)).toMatchObject({ completedIndexes: "0", failedIndexes: "1", failed: 2 });
    expect((await conditionsOf(fixture)).at(-1)).toBe("Failed=True FailedIndexes");
  });

  it("fails at once on an exit code that the failure policy names", async () => {
    const podFailurePolicy = { rules: [{ action: "FailJob" as const, onExitCodes: { operator: "In" as const, values: [42] } }] };
    await using fixture = await started({ podFailurePolicy });
    const [pod] = await podsIn(fixture);
    await fail(fixture, pod, 42);
    const { conditions = [] } = await statusOf(fixture);
    expect(conditions[0]?.message).toBe(
      `Container c for pod default/${pod?.metadata.name} failed with exit code 42 matching FailJob rule at index 0`,
    );
    expect((await conditionsOf(fixture)).at(-1)).toBe("Failed=True PodFailurePolicy");
  });

  it("does not count failures that the policy ignores", async () => {
    const podFailurePolicy = { rules: [{ action: "Ignore" as const, onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }] };
    await using fixture = await started({ podFailurePolicy, backoffLimit: 0 });
    const conditions = [{ type: "DisruptionTarget", status: "True" as const }];
    await setStatus(fixture, (await podsIn(fixture))[0], { phase: "Failed", conditions });
    await fixture.clock.advance(11_000);
    expect((await statusOf(fixture)).failed).toBeUndefined();
    expect(await activePods(fixture)).toHaveLength(1);
  });

  it("ends early and stops its other pods when the success policy is met", async () => {
    const successPolicy = { rules: [{ succeededIndexes: "1" }] };
    await using fixture = await started({ completions: 3, parallelism: 3, completionMode: "Indexed", successPolicy });
    await succeed(fixture, ofIndex(await podsIn(fixture), 1));
    await fixture.clock.advance(1_000);
    expect(await statusOf(fixture)).toMatchObject({ completedIndexes: "1", succeeded: 1 });
    expect((await statusOf(fixture)).failed).toBeUndefined();
    expect(await conditionsOf(fixture)).toEqual(["SuccessCriteriaMet=True SuccessPolicy", "Complete=True SuccessPolicy"]);
    expect(await podsIn(fixture)).toHaveLength(1);
  });

  it("loses its pods uncounted while suspended and starts its time anew when resumed", async () => {
    await using fixture = await started({ suspend: true, activeDeadlineSeconds: 60 });
    expect(await podsIn(fixture)).toEqual([]);
    expect(await conditionsOf(fixture)).toEqual(["Suspended=True JobSuspended"]);
    expect((await statusOf(fixture)).startTime).toBeUndefined();
    await fixture.clock.advance(100_000);
    await fixture.client.patch(jobs, at, { spec: { suspend: false } }, { type: "merge" });
    await fixture.settle();
    expect(await podsIn(fixture)).toHaveLength(1);
    await fixture.client.patch(jobs, at, { spec: { suspend: true } }, { type: "merge" });
    await fixture.settle();
    expect(await podsIn(fixture)).toEqual([]);
    expect((await statusOf(fixture)).failed).toBeUndefined();
    const reasons = (await fixture.eventsOf("work")).map((text) => text.split(":")[0]);
    expect(reasons.sort()).toEqual(["Resumed", "SuccessfulCreate", "SuccessfulDelete", "Suspended"]);
  });

  it("fails when it has been active for longer than its deadline", async () => {
    await using fixture = await started({ activeDeadlineSeconds: 30 });
    await fixture.clock.advance(31_000);
    expect((await conditionsOf(fixture)).at(-1)).toBe("Failed=True DeadlineExceeded");
    expect(await podsIn(fixture)).toEqual([]);
    expect(await statusOf(fixture)).toMatchObject({ failed: 1, terminating: 0 });
  });

  it("leaves a job alone that is managed by another controller", async () => {
    await using fixture = await started({ managedBy: "example.com/other" });
    expect(await podsIn(fixture)).toEqual([]);
    expect(await statusOf(fixture)).toEqual({});
  });

  it("holds pods that it takes over and frees those it gives up", async () => {
    await using fixture = await started({ completions: 3, parallelism: 2 });
    const [mine] = await podsIn(fixture);
    await fixture.client.create(pods, {
      metadata: { name: "orphan", namespace: "default", labels: { uid: "u" } },
      spec: { containers: [] },
    });
    const relabelled = { namespace: "default", name: mine?.metadata.name ?? "" };
    await fixture.client.patch(pods, relabelled, { metadata: { labels: { uid: "other" } } }, { type: "merge" });
    await fixture.settle();
    const adopted = await fixture.client.get(pods, { namespace: "default", name: "orphan" });
    expect(adopted.metadata).toMatchObject({ ownerReferences: [{ kind: "Job", name: "work" }], finalizers: [trackingFinalizer] });
    const released = await fixture.client.get(pods, relabelled);
    expect(released.metadata.ownerReferences ?? []).toEqual([]);
    expect(isTracked(released)).toBe(false);
  });

  it("frees the pods of a job that is gone", async () => {
    await using fixture = await started({ completions: 2, parallelism: 2 });
    expect((await podsIn(fixture)).every(isTracked)).toBe(true);
    await fixture.client.delete(jobs, at);
    await fixture.settle();
    expect((await podsIn(fixture)).some(isTracked)).toBe(false);
  });
});
