import { describe, expect, it } from "vitest";
import { defaultCronJob, defaultDaemonSet, defaultDeployment, defaultStatefulSet } from "../defaults/workloads.ts";
import type { FieldError } from "../meta/field-error.ts";
import type { DaemonSet, Deployment, StatefulSet } from "../types/apps-v1.ts";
import type { CronJob, Job } from "../types/batch-v1.ts";
import { validateCronJob } from "./cron-job.ts";
import { validateDaemonSet } from "./daemon-set.ts";
import { validateDeployment, validateDeploymentStatus, validateDeploymentUpdate } from "./deployment.ts";
import { validateJobStatus } from "./job-status.ts";
import { validateStatefulSet, validateStatefulSetUpdate } from "./stateful-set.ts";

const texts = (errors: readonly FieldError[]): string[] => errors.map((error) => error.message);
const metadata = { name: "a", namespace: "default", uid: "1", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } };
const selector = { matchLabels: { a: "b" } };

const deployment = (spec: object): Deployment =>
  defaultDeployment({ apiVersion: "apps/v1", kind: "Deployment", metadata, spec: { selector, template, ...spec } });

describe("validateDeployment()", () => {
  it("accepts an ordinary deployment", () => {
    expect(texts(validateDeployment(deployment({})))).toEqual([]);
  });

  it("asks for a selector that matches the template", () => {
    expect(texts(validateDeployment(deployment({ selector: undefined })))).toEqual([
      "spec.selector: Required value",
      'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
    ]);
    expect(texts(validateDeployment(deployment({ selector: {} })))).toEqual([
      "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
    ]);
  });

  it("shows an unknown strategy in the form of Go", () => {
    expect(texts(validateDeployment(deployment({ strategy: { type: "BlueGreen" } })))).toEqual([
      'spec.strategy: Unsupported value: {"Type":"BlueGreen","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"',
    ]);
  });

  it("has to be able to make progress", () => {
    const strategy = { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: "0%" } };
    expect(texts(validateDeployment(deployment({ strategy, minReadySeconds: 600 })))).toEqual([
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
      "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
    ]);
  });

  it("keeps its selector", () => {
    const [message] = texts(validateDeploymentUpdate(deployment({ selector: { matchLabels: { a: "b", c: "d" } } }), deployment({}))).slice(
      -1,
    );
    expect(message).toBe('spec.selector: Invalid value: {"matchLabels":{"a":"b","c":"d"}}: field is immutable');
  });

  it("has no part of its replicas that is greater than all of them", () => {
    const status = { replicas: 1, readyReplicas: 2, availableReplicas: 3 };
    expect(texts(validateDeploymentStatus({ ...deployment({}), status }, deployment({})))).toEqual([
      "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
      "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
      "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
    ]);
  });
});

describe("validateStatefulSet()", () => {
  const set = (spec: object): StatefulSet =>
    defaultStatefulSet({ apiVersion: "apps/v1", kind: "StatefulSet", metadata, spec: { selector, template, serviceName: "s", ...spec } });

  it("has volumes for its claims", () => {
    const spec = { containers: [{ name: "c", image: "i", volumeMounts: [{ name: "data", mountPath: "/d" }] }] };
    const claim = { metadata: { name: "data" }, spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } };
    expect(texts(validateStatefulSet(set({ template: { ...template, spec }, volumeClaimTemplates: [claim] })))).toEqual([]);
    expect(texts(validateStatefulSet(set({ template: { ...template, spec } })))).toEqual([
      'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"',
    ]);
  });

  it("tells of labels once with the template, and once more after its pods", () => {
    const wrong = { metadata: { labels: { a: "b", c: "!" } }, spec: { ...template.spec, dnsPolicy: "!" } };
    const fields = validateStatefulSet(set({ template: wrong })).map((error) => error.field);
    expect(fields).toEqual(["spec.template.labels", "spec.template.spec.dnsPolicy", "spec.template.labels"]);
  });

  it("changes only what it may", () => {
    expect(texts(validateStatefulSetUpdate(set({ replicas: 3, minReadySeconds: 5 }), set({})))).toEqual([]);
    expect(texts(validateStatefulSetUpdate(set({ serviceName: "t" }), set({})))).toEqual([
      expect.stringMatching(/^spec: Forbidden: updates to statefulset spec for fields other than 'replicas',/),
    ]);
  });
});

describe("validateDaemonSet()", () => {
  const set = (spec: object): DaemonSet =>
    defaultDaemonSet({ apiVersion: "apps/v1", kind: "DaemonSet", metadata, spec: { selector, template, ...spec } });

  it("surges or is unavailable, not both and not neither", () => {
    const update = (rollingUpdate: object): string[] =>
      texts(validateDaemonSet(set({ updateStrategy: { type: "RollingUpdate", rollingUpdate } })));
    const field = "spec.updateStrategy.rollingUpdate";
    expect(update({ maxSurge: 1, maxUnavailable: 1 })).toEqual([
      `${field}.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero`,
    ]);
    expect(update({ maxSurge: 0, maxUnavailable: 0 })).toEqual([`${field}.maxUnavailable: Required value: cannot be 0 when maxSurge is 0`]);
  });
});

describe("validateJobStatus()", () => {
  const job = (status: Job["status"]): Job => ({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata,
    spec: { template },
    ...(status ? { status } : {}),
  });
  const condition = (type: string) => ({ type, status: "True" });

  it("does not let counters fall", () => {
    expect(texts(validateJobStatus(job({ failed: 1 }), job({ failed: 2 })))).toEqual([
      "status.failed: Invalid value: 1: cannot decrease the failed counter",
    ]);
  });

  it("asks for what a complete job has", () => {
    expect(texts(validateJobStatus(job({ conditions: [condition("Complete")] }), job({})))).toEqual([
      "status.completionTime: Required value: completionTime is required for Complete jobs",
      "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
      "status.startTime: Required value: startTime is required for finished job",
    ]);
  });

  it("lets a job that was complete before these rules be updated", () => {
    const status = { conditions: [condition("Complete")] };
    expect(texts(validateJobStatus(job({ ...status, succeeded: 1 }), job(status)))).toEqual([]);
  });
});

describe("validateCronJob()", () => {
  const cron = (spec: object): CronJob =>
    defaultCronJob({
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata,
      spec: { schedule: "@daily", jobTemplate: { spec: { template: { spec: { ...template.spec, restartPolicy: "Never" } } } }, ...spec },
    });

  it("knows time zones", () => {
    expect(texts(validateCronJob(cron({ timeZone: "Europe/Vienna" })))).toEqual([]);
    expect(texts(validateCronJob(cron({ timeZone: "Nowhere" })))).toEqual([
      'spec.timeZone: Invalid value: "Nowhere": unknown time zone Nowhere',
    ]);
    expect(texts(validateCronJob(cron({ timeZone: "+01:00" })))).toContain(
      'spec.timeZone: Invalid value: "+01:00": unknown time zone +01:00',
    );
  });

  it("tells what is wrong with a schedule", () => {
    expect(texts(validateCronJob(cron({ schedule: "TZ=UTC 0 0 * * 7" })))).toEqual([
      'spec.schedule: Invalid value: "TZ=UTC 0 0 * * 7": end of range (7) above maximum (6): 7',
      'spec.schedule: Invalid value: "TZ=UTC 0 0 * * 7": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
    ]);
  });
});
