// Jobs and CronJobs as upstream's conformance tests see them: completions, indexes, failures and what policies make of them,
// adoption, and runs that may or may not overlap. A whole cluster with simulated containers that end as the test says.
import { describe, expect, test } from "vitest";
import { cronjobs, jobs, pods } from "../../src/api/resources.generated.ts";
import type { CronJobSpec, Job, JobSpec } from "../../src/api/types/batch-v1.ts";
import type { SimulatedProcess } from "../../src/cri/simulated.ts";
import { conformanceCluster } from "./conformance-cluster.ts";
import { controllerOf, namesSeen, podsOf, readyPods, rewrite, rewriteStatus, watching } from "./workloads.ts";

const index = ({ config }: SimulatedProcess): number =>
  Number(config.envs?.find(({ key }) => key === "JOB_COMPLETION_INDEX")?.value ?? Number.NaN);
const ends = (codeOf: (process: SimulatedProcess) => number | undefined) => ({
  run(process: SimulatedProcess): void {
    const code = codeOf(process);
    if (code !== undefined) process.clock.after(500, () => process.exit(code));
  },
});
/** Pods and indexes that have had a container before. */
const begun = new Set<string>();
const again = (key: string): boolean => begun.has(key) || !begun.add(key);
const podUid = ({ config }: SimulatedProcess): string => config.labels?.["io.kubernetes.pod.uid"] ?? "";
const namespaceOf = ({ config }: SimulatedProcess): string => config.labels?.["io.kubernetes.pod.namespace"] ?? "";

const behaviours = {
  succeeds: ends(() => 0),
  fails: ends(() => 3),
  "odd-fail": ends((process) => (index(process) % 2 === 1 ? 1 : 0)),
  "first-succeeds": ends((process) => (index(process) === 0 ? 0 : undefined)),
  "fails-once": ends((process) => (again(podUid(process)) ? 0 : 1)),
  "waits-once": ends((process) => (again(`${namespaceOf(process)}/${index(process)}`) ? 0 : undefined)),
  runs: {},
};
const imageOf = (name: keyof typeof behaviours): string => `example.test/${name}:1`;

const images = Object.entries(behaviours).map(([name, behaviour]) => ({ name: `example.test/${name}:1`, ...behaviour }));
const cluster = conformanceCluster({ images });

const templateOf = (program: keyof typeof behaviours, restartPolicy: "Never" | "OnFailure" = "Never") => ({
  metadata: { labels: { program } },
  spec: { restartPolicy, containers: [{ name: "main", image: imageOf(program) }] },
});

async function create(namespace: string, program: keyof typeof behaviours, spec: Partial<JobSpec> = {}) {
  const at = { namespace, name: "work" };
  const labels = { job: "work" };
  await cluster.client.create(jobs, { metadata: { ...at, labels }, spec: { template: templateOf(program), ...spec } });
  return at;
}

const conditionOf = (job: Job, type: string) => job.status?.conditions?.find((condition) => condition.type === type);

const untilCondition = (at: { readonly namespace: string; readonly name: string }, type: string): Promise<Job> =>
  cluster.until(
    `${at.namespace}/${at.name} is ${type}`,
    async () => {
      const job = await cluster.client.get(jobs, at);
      return conditionOf(job, type)?.status === "True" && job;
    },
    600_000,
  );

const indexed = { completionMode: "Indexed" as const, completions: 4, parallelism: 4 };
const never = { backoffLimit: 0 };

describe("Job", () => {
  test("a pod failure policy on the exit code fails the job at the first failure", async () => {
    const namespace = await cluster.namespace("job-exit-code");
    const rules = [{ action: "FailJob" as const, onExitCodes: { operator: "In" as const, values: [3] } }];
    const at = await create(namespace, "fails", { completions: 2, parallelism: 1, backoffLimit: 6, podFailurePolicy: { rules } });
    const job = await untilCondition(at, "Failed");
    expect(conditionOf(job, "Failed")).toMatchObject({ reason: "PodFailurePolicy", message: expect.stringContaining("exit code 3") });
    expect(conditionOf(job, "FailureTarget")).toMatchObject({ status: "True" });
    expect(job.status).toMatchObject({ failed: 1 });
  });

  test("failures by disruption are not counted where the policy ignores them", async () => {
    const namespace = await cluster.namespace("job-disruption");
    const rules = [{ action: "Ignore" as const, onPodConditions: [{ type: "DisruptionTarget", status: "True" as const }] }];
    const spec = { ...indexed, completions: 2, parallelism: 2, ...never, podFailurePolicy: { rules } };
    const at = await create(namespace, "waits-once", spec);
    const first = await readyPods(cluster, namespace, { count: 2 });
    for (const { metadata } of first)
      await cluster.client.createSubresource(
        pods,
        { namespace, name: metadata.name ?? "", subresource: "eviction" },
        { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: metadata.name, namespace } },
      );
    const job = await untilCondition(at, "Complete");
    expect(job.status).toMatchObject({ succeeded: 2, completedIndexes: "0,1" });
    expect(job.status?.failed ?? 0).toBe(0);
  });

  test("Indexed: every index has a pod with its number as annotation, label, environment and hostname", async () => {
    const namespace = await cluster.namespace("job-indexed");
    const at = await create(namespace, "succeeds", { ...indexed, parallelism: 2 });
    const job = await untilCondition(at, "Complete");
    expect(job.status).toMatchObject({ succeeded: 4, completedIndexes: "0-3", uncountedTerminatedPods: {} });
    const found = await podsOf(cluster, namespace);
    const annotation = "batch.kubernetes.io/job-completion-index";
    expect(found.map(({ metadata }) => metadata.annotations?.[annotation]).sort()).toEqual(["0", "1", "2", "3"]);
    for (const { metadata, spec } of found) {
      const number = metadata.annotations?.[annotation];
      expect(metadata.labels?.[annotation]).toBe(number);
      expect(spec.hostname).toBe(`work-${number}`);
      expect(spec.containers[0]?.env?.map(({ name }) => name)).toEqual(["JOB_COMPLETION_INDEX"]);
    }
  });

  test("successPolicy: all indexes", async () => {
    const namespace = await cluster.namespace("job-success-all");
    const rules = [{ succeededIndexes: "0-3", succeededCount: 4 }];
    const at = await create(namespace, "succeeds", { ...indexed, successPolicy: { rules } });
    const job = await untilCondition(at, "Complete");
    expect(conditionOf(job, "SuccessCriteriaMet")).toMatchObject({ status: "True", reason: "SuccessPolicy" });
    expect(job.status).toMatchObject({ succeeded: 4, completedIndexes: "0-3" });
  });

  test.for([
    ["succeededIndexes", { succeededIndexes: "0" }],
    ["succeededCount", { succeededCount: 1 }],
  ] as const)("successPolicy: %s ends the job while other indexes run", async ([name, rule]) => {
    const namespace = await cluster.namespace(`job-${name.toLowerCase()}`);
    const at = await create(namespace, "first-succeeds", { ...indexed, successPolicy: { rules: [rule] } });
    const job = await untilCondition(at, "Complete");
    expect(conditionOf(job, "SuccessCriteriaMet")).toMatchObject({ status: "True", reason: "SuccessPolicy" });
    expect(conditionOf(job, "Complete")).toMatchObject({ reason: "SuccessPolicy" });
    expect(job.status).toMatchObject({ succeeded: 1, completedIndexes: "0" });
    expect(job.status?.active ?? 0).toBe(0);
    expect(job.status?.failed ?? 0).toBe(0); // who is ended by success has not failed
  });

  test("backoffLimitPerIndex: every index is tried, and each failing one once more", async () => {
    const namespace = await cluster.namespace("job-per-index");
    const at = await create(namespace, "odd-fail", { ...indexed, backoffLimitPerIndex: 1 });
    const job = await untilCondition(at, "Failed");
    expect(conditionOf(job, "Failed")).toMatchObject({ reason: "FailedIndexes" });
    expect(job.status).toMatchObject({ succeeded: 2, failed: 4, completedIndexes: "0,2", failedIndexes: "1,3" });
  });

  test("maxFailedIndexes: too many failed indexes end the job", async () => {
    const namespace = await cluster.namespace("job-max-failed");
    const limits = { backoffLimitPerIndex: 0, maxFailedIndexes: 0 };
    const at = await create(namespace, "odd-fail", { ...indexed, parallelism: 1, ...limits });
    const job = await untilCondition(at, "Failed");
    expect(conditionOf(job, "Failed")).toMatchObject({ reason: "MaxFailedIndexesExceeded" });
    expect(job.status).toMatchObject({ succeeded: 1, failed: 1, completedIndexes: "0", failedIndexes: "1" });
  });

  test("FailIndex: a failure that the policy names ends its index at once", async () => {
    const namespace = await cluster.namespace("job-fail-index");
    const rules = [{ action: "FailIndex" as const, onExitCodes: { operator: "In" as const, values: [1] } }];
    const at = await create(namespace, "odd-fail", { ...indexed, backoffLimitPerIndex: 3, podFailurePolicy: { rules } });
    const job = await untilCondition(at, "Failed");
    expect(conditionOf(job, "Failed")).toMatchObject({ reason: "FailedIndexes" });
    expect(job.status).toMatchObject({ succeeded: 2, failed: 2, failedIndexes: "1,3" });
  });

  test("completes where containers fail once and are restarted in place", async () => {
    const namespace = await cluster.namespace("job-restarts");
    const at = await create(namespace, "fails-once", {
      ...{ completions: 3, parallelism: 3 },
      template: templateOf("fails-once", "OnFailure"),
    });
    const job = await untilCondition(at, "Complete");
    expect(job.status).toMatchObject({ succeeded: 3 });
    expect(job.status?.failed ?? 0).toBe(0);
    const restarts = (await podsOf(cluster, namespace)).map(({ status }) => status?.containerStatuses?.[0]?.restartCount);
    expect(restarts).toEqual([1, 1, 1]);
  });

  test("has as many pods as it may, and takes them along when it is deleted", async () => {
    const namespace = await cluster.namespace("job-delete");
    const at = await create(namespace, "runs", { completions: 4, parallelism: 2 });
    await readyPods(cluster, namespace, { count: 2 });
    expect((await cluster.client.get(jobs, at)).status).toMatchObject({ active: 2 });
    await cluster.client.delete(jobs, at, { body: { propagationPolicy: "Foreground" } });
    await cluster.until("job and pods are gone", async () => {
      const left = await podsOf(cluster, namespace);
      return left.length === 0 && (await cluster.client.list(jobs, { namespace })).items.length === 0;
    });
  });

  test("adopts orphans that match, and lets go of pods that no longer do", async () => {
    const namespace = await cluster.namespace("job-adopt");
    const at = await create(namespace, "runs", { completions: 2, parallelism: 2 });
    const [one] = await readyPods(cluster, namespace, { count: 2 });
    const name = one?.metadata.name ?? "";
    await cluster.client.patch(pods, { namespace, name }, { metadata: { ownerReferences: null } }, { type: "merge" });
    const owner = () => cluster.client.get(pods, { namespace, name }).then(controllerOf);
    await cluster.until("adoption", async () => (await owner())?.name === at.name);
    const keys = ["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"];
    const labels = Object.fromEntries(keys.map((key) => [key, null]));
    await cluster.client.patch(pods, { namespace, name }, { metadata: { labels } }, { type: "merge" });
    await cluster.until("release", async () => (await owner()) === undefined);
    await cluster.until("another pod in its place", async () => (await podsOf(cluster, namespace, { "job-name": "work" })).length === 2);
  });

  test("suspended: makes no pods, is patched, replaced, listed, and deleted with others by label", async () => {
    const namespace = await cluster.namespace("job-life");
    const at = await create(namespace, "runs", { suspend: true });
    const watch = await watching(cluster, jobs, { namespace });
    const suspended = await untilCondition(at, "Suspended");
    expect(conditionOf(suspended, "Suspended")).toMatchObject({ reason: "JobSuspended" });
    expect(await podsOf(cluster, namespace)).toEqual([]);
    await cluster.client.patch(jobs, at, { metadata: { labels: { work: "patched" } } }, { type: "strategic" });
    await rewrite(cluster, jobs, at, ({ metadata, ...job }) => ({
      ...job,
      metadata: { ...metadata, annotations: { ...metadata.annotations, updated: "yes" } },
    }));
    const { items } = await cluster.client.list(jobs, { labelSelector: "work=patched" });
    expect(items.map((job) => job.metadata.annotations?.updated)).toEqual(["yes"]);
    await cluster.client.patch(jobs, at, { spec: { suspend: false } }, { type: "merge" });
    await readyPods(cluster, namespace, { count: 1 });
    await cluster.client.deleteCollection(jobs, { namespace, labelSelector: "work=patched", body: { propagationPolicy: "Background" } });
    await cluster.until("job and pods are gone", async () => (await podsOf(cluster, namespace)).length === 0);
    watch.stop();
    expect(namesSeen(watch.events, "DELETED")).toEqual(["work"]);
  });
});

describe("CronJob", () => {
  async function every(namespace: string, concurrencyPolicy: "Allow" | "Forbid" | "Replace", more: Partial<CronJobSpec> = {}) {
    const at = { namespace, name: "clock" };
    const spec = { schedule: "* * * * *", concurrencyPolicy, jobTemplate: { spec: { template: templateOf("runs") } }, ...more };
    await cluster.client.create(cronjobs, { metadata: { ...at, labels: { cron: "clock" } }, spec });
    return at;
  }
  const jobsOf = async (namespace: string): Promise<readonly Job[]> => (await cluster.client.list(jobs, { namespace })).items;
  const activeOf = async (at: { readonly namespace: string; readonly name: string }) =>
    ((await cluster.client.get(cronjobs, at)).status?.active ?? []).map(({ name }) => name);
  const minutes = (count: number): number => count * 60_000;
  const removed = (at: { readonly namespace: string; readonly name: string }) =>
    cluster.client.delete(cronjobs, at, { body: { propagationPolicy: "Background" } });

  test("Allow: runs overlap", async () => {
    const namespace = await cluster.namespace("cron-allow");
    const at = await every(namespace, "Allow");
    await cluster.until("two runs", async () => (await activeOf(at)).length >= 2, minutes(4));
    const found = await jobsOf(namespace);
    expect(found.every((job) => job.status?.active === 1)).toBe(true);
    for (const job of found) {
      expect(controllerOf(job)).toMatchObject({ kind: "CronJob", name: "clock" });
      expect(job.metadata.annotations?.["batch.kubernetes.io/cronjob-scheduled-timestamp"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$/);
    }
    await removed(at);
    await cluster.until("all of it is gone", async () => (await podsOf(cluster, namespace)).length === 0);
  });

  test("suspended: nothing runs", async () => {
    const namespace = await cluster.namespace("cron-suspended");
    const at = await every(namespace, "Allow", { suspend: true });
    await cluster.pass(minutes(5));
    expect(await jobsOf(namespace)).toEqual([]);
    await removed(at);
  });

  test("Forbid: no run while another one has not ended", async () => {
    const namespace = await cluster.namespace("cron-forbid");
    const at = await every(namespace, "Forbid");
    await cluster.until("a run", async () => (await activeOf(at)).length === 1, minutes(2));
    const [first] = await jobsOf(namespace);
    await cluster.pass(minutes(3));
    expect((await jobsOf(namespace)).map(({ metadata }) => metadata.uid)).toEqual([first?.metadata.uid]);
    await removed(at);
  });

  test("Replace: the run of before makes way", async () => {
    const namespace = await cluster.namespace("cron-replace");
    const at = await every(namespace, "Replace");
    const [first] = await cluster.until(
      "a run",
      async () => {
        const active = await activeOf(at);
        return active.length === 1 && active;
      },
      minutes(2),
    );
    await cluster.until(
      "another run in its place",
      async () => {
        const active = await activeOf(at);
        return active.length === 1 && active[0] !== first;
      },
      minutes(2),
    );
    await cluster.until("the first is gone", async () => (await jobsOf(namespace)).every(({ metadata }) => metadata.name !== first));
    await removed(at);
  });

  test("is created, listed, watched, patched, updated, its status written, and deleted, alone and with others", async () => {
    const namespace = await cluster.namespace("cron-life");
    const watch = await watching(cluster, cronjobs, { namespace });
    const at = await every(namespace, "Allow", { suspend: true });
    expect((await cluster.client.list(cronjobs, { labelSelector: "cron=clock" })).items.length).toBeGreaterThan(0);
    await cluster.client.patch(cronjobs, at, { metadata: { annotations: { patched: "yes" } } }, { type: "merge" });
    const lastScheduleTime = "2025-12-31T23:00:00Z";
    const patch = { metadata: { annotations: { patchedStatus: "yes" } }, status: { lastScheduleTime } };
    const patched = await cluster.client.patch(cronjobs, at, patch, { type: "merge", subresource: "status" });
    expect(patched).toMatchObject({ metadata: { annotations: { patched: "yes", patchedStatus: "yes" } }, status: { lastScheduleTime } });
    const written = await rewriteStatus(cluster, cronjobs, at, (current) => ({
      ...current,
      status: { ...current.status, lastScheduleTime: "2025-12-31T23:01:00Z" },
    }));
    const read = await cluster.client.getSubresource<typeof written>(cronjobs, { ...at, subresource: "status" });
    expect(read.status?.lastScheduleTime).toBe("2025-12-31T23:01:00Z");
    await cluster.client.delete(cronjobs, at);
    for (const name of ["one", "two"])
      await cluster.client.create(cronjobs, {
        metadata: { name, namespace, labels: { batch: "yes" } },
        spec: { schedule: "@yearly", jobTemplate: { spec: { template: templateOf("runs") } } },
      });
    await cluster.client.deleteCollection(cronjobs, { namespace, labelSelector: "batch=yes" });
    await cluster.until("all are gone", async () => (await cluster.client.list(cronjobs, { namespace })).items.length === 0);
    watch.stop();
    expect(namesSeen(watch.events, "DELETED").sort()).toEqual(["clock", "one", "two"]);
  });
});
