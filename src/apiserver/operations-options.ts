// The flags of the API server's operation, apart from what it serves: limits, audit, encryption at rest, shutdown, debugging.
// Names and defaults are upstream's where nothing else is said.
import {
  allParts,
  boolean,
  durationMs,
  FlagError,
  type FlagType,
  type FlagValues,
  flag,
  integer,
  oneOf,
  optionalText,
  orDefault,
  refuse,
} from "../base/flags.ts";

const decimal: FlagType<number> = {
  placeholder: "float",
  parse(value) {
    const number = Number(value);
    if (value.trim() === "" || !Number.isFinite(number) || number < 0) throw new Error("expected a number of at least 0");
    return number;
  },
};

const count = integer({ min: 0 });
const auditModes = oneOf("blocking", "blocking-strict", "batch");

function batchFlags<const K extends "log" | "webhook">(kind: K, size: number, waitMs: number, throttled: boolean) {
  const named = `audit-${kind}` as const;
  return {
    [`${named}-mode`]: flag(auditModes, kind === "log" ? "blocking" : "batch", "whether requests wait for their events to be written"),
    [`${named}-batch-buffer-size`]: flag(integer({ min: 1 }), 10_000, "events that may wait; more are dropped (batch)"),
    [`${named}-batch-max-size`]: flag(integer({ min: 1 }), size, "events in a batch (batch)"),
    [`${named}-batch-max-wait`]: flag(durationMs, waitMs, "how long an incomplete batch waits (batch)"),
    [`${named}-batch-throttle-enable`]: flag(boolean, throttled, "limit the rate of batches (batch)"),
    [`${named}-batch-throttle-qps`]: flag(decimal, throttled ? 10 : 0, "batches a second (batch)"),
    [`${named}-batch-throttle-burst`]: flag(count, throttled ? 15 : 0, "batches at once after a pause (batch)"),
    [`${named}-truncate-enabled`]: flag(boolean, false, "cut events and batches that are too large"),
    [`${named}-truncate-max-batch-size`]: flag(count, 10 * 1024 * 1024, "bytes of a batch"),
    [`${named}-truncate-max-event-size`]: flag(integer({ min: 1 }), 100 * 1024, "bytes of an event"),
    [`${named}-version`]: flag(oneOf("audit.k8s.io/v1"), "audit.k8s.io/v1", "API version of the events"),
  } as BatchFlags<K>;
}

type BatchFlags<K extends string> = {
  readonly [P in `audit-${K}-mode`]: ReturnType<typeof flag<"blocking" | "blocking-strict" | "batch">>;
} & {
  readonly [P in `audit-${K}-${"batch-buffer-size" | "batch-max-size" | "batch-max-wait" | "batch-throttle-qps" | "batch-throttle-burst" | "truncate-max-batch-size" | "truncate-max-event-size"}`]: ReturnType<
    typeof flag<number>
  >;
} & { readonly [P in `audit-${K}-${"batch-throttle-enable" | "truncate-enabled"}`]: ReturnType<typeof flag<boolean>> } & {
  readonly [P in `audit-${K}-version`]: ReturnType<typeof flag<string>>;
};

const auditFlags = {
  "audit-policy-file": flag(optionalText, undefined, "which requests are recorded, and how much of them; none without it"),
  "audit-log-path": flag(optionalText, undefined, 'file that events are written to, "-" for standard output'),
  "audit-log-format": flag(orDefault(oneOf("json", "legacy"), "json"), "json", "form of the lines"),
  "audit-log-maxage": flag(count, 366, "days that old audit logs are kept; 0 for any number"),
  "audit-log-maxbackup": flag(count, 100, "old audit logs that are kept; 0 for any number"),
  "audit-log-maxsize": flag(count, 100, "megabytes after which the log is set aside; 0 means never"),
  "audit-log-compress": flag(boolean, false, "compress old audit logs"),
  ...batchFlags("log", 1, 0, false),
  "audit-webhook-config-file": flag(optionalText, undefined, "kubeconfig of a webhook that events are sent to"),
  "audit-webhook-initial-backoff": flag(durationMs, 10_000, "pause before the second attempt to reach the webhook"),
  ...batchFlags("webhook", 400, 30_000, true),
};

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

const metricNames: FlagType<readonly string[]> = {
  placeholder: "strings",
  parse(value, previous) {
    const names = value === "" ? [] : value.split(",");
    if (!names.every((name) => metricName.test(name))) throw new Error(`expected names of metrics (${metricName.source.slice(1, -1)})`);
    return [...(previous ?? []), ...names];
  },
};

export const operationsFlags = {
  "enable-priority-and-fairness": flag(boolean, true, "queue and limit requests by priority level; else by the two limits alone"),
  "max-requests-inflight": flag(
    integer({ min: 0 }),
    400,
    "reading requests served at a time; with the mutating ones, what priority levels share",
  ),
  "max-mutating-requests-inflight": flag(integer({ min: 0 }), 200, "mutating requests served at a time"),
  ...auditFlags,
  "encryption-provider-config": flag(optionalText, undefined, "which resources are encrypted in the store, and how"),
  "encryption-provider-config-automatic-reload": flag(boolean, false, "follow changes of that file"),
  "event-ttl": flag(durationMs, 3_600_000, "how long events are kept"),
  "endpoint-reconciler-type": flag(
    oneOf("lease", "none"),
    "lease",
    "who keeps the endpoints of the service kubernetes: this server with its peers, or nobody",
  ),
  "tracing-config-file": flag(optionalText, undefined, "TracingConfiguration: which requests are traced, and the collector they go to"),
  "disabled-metrics": flag(metricNames, [], "metrics that /metrics does not have"),
  profiling: flag(boolean, false, "serve /debug/ paths: profiles of the process, the log's verbosity, the state of priority and fairness"),
  "debug-socket-path": flag(
    optionalText,
    undefined,
    "Unix socket at which profiles and the log's verbosity are served to whoever may open it",
  ),
};

/** How events go to one back end. */
export interface AuditDelivery {
  readonly mode: "blocking" | "blocking-strict" | "batch";
  readonly bufferSize: number;
  readonly maxBatchSize: number;
  readonly maxWaitMs: number;
  readonly throttle?: { readonly perSecond: number; readonly burst: number };
  readonly truncate?: { readonly maxBatchBytes: number; readonly maxEventBytes: number };
}

export interface AuditSettings {
  readonly policyFile: string;
  readonly log?: AuditDelivery & {
    readonly path: string;
    readonly format: "json" | "legacy";
    readonly maxAgeDays: number;
    readonly maxBackups: number;
    readonly maxMegabytes: number;
    readonly compress: boolean;
  };
  readonly webhook?: AuditDelivery & { readonly configFile: string; readonly initialBackoffMs: number };
}

export interface OperationsSettings {
  /** Absent: nothing is recorded. */
  readonly audit?: AuditSettings;
  /** Absent: nothing is encrypted. */
  readonly encryption?: { readonly path: string; readonly automaticReload: boolean };
  readonly priorityAndFairness: boolean;
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  /** Absent: nothing is traced. */
  readonly tracingConfigFile?: string;
  readonly disabledMetrics: readonly string[];
  readonly profiling: boolean;
  readonly debugSocketPath?: string;
  readonly eventTtlMs: number;
  readonly endpointReconciler: "lease" | "none";
}

export function operationsSettings(values: FlagValues<typeof operationsFlags>): OperationsSettings {
  const { audit, encryption } = allParts({ audit: () => auditSettings(values), encryption: () => encryptionSettings(values) });
  return {
    ...(audit ? { audit } : {}),
    ...(encryption ? { encryption } : {}),
    ...(values["tracing-config-file"] ? { tracingConfigFile: values["tracing-config-file"] } : {}),
    priorityAndFairness: values["enable-priority-and-fairness"],
    maxRequestsInflight: values["max-requests-inflight"],
    maxMutatingRequestsInflight: values["max-mutating-requests-inflight"],
    disabledMetrics: values["disabled-metrics"],
    profiling: values.profiling,
    ...(values["debug-socket-path"] ? { debugSocketPath: values["debug-socket-path"] } : {}),
    eventTtlMs: values["event-ttl"],
    endpointReconciler: values["endpoint-reconciler-type"],
  };
}

function encryptionSettings(values: FlagValues<typeof operationsFlags>): OperationsSettings["encryption"] {
  const path = values["encryption-provider-config"];
  const automaticReload = values["encryption-provider-config-automatic-reload"];
  if (automaticReload && !path)
    throw new FlagError("--encryption-provider-config-automatic-reload: expected --encryption-provider-config too");
  return path ? { path, automaticReload } : undefined;
}

function auditSettings(values: FlagValues<typeof operationsFlags>): AuditSettings | undefined {
  const policyFile = values["audit-policy-file"];
  const path = values["audit-log-path"];
  const configFile = values["audit-webhook-config-file"];
  const deliveries = allParts({
    log: () => (path ? delivery(values, "log") : undefined),
    webhook: () => (configFile ? delivery(values, "webhook") : undefined),
  });
  // Upstream too records nothing without a policy, whatever the back ends, and reads the policy without any.
  if (!policyFile) return undefined;
  return {
    policyFile,
    ...(path && deliveries.log
      ? {
          log: {
            path,
            format: values["audit-log-format"],
            maxAgeDays: values["audit-log-maxage"],
            maxBackups: values["audit-log-maxbackup"],
            maxMegabytes: values["audit-log-maxsize"],
            compress: values["audit-log-compress"],
            ...deliveries.log,
          },
        }
      : {}),
    ...(configFile && deliveries.webhook
      ? { webhook: { configFile, initialBackoffMs: values["audit-webhook-initial-backoff"], ...deliveries.webhook } }
      : {}),
  };
}

function delivery(values: FlagValues<typeof operationsFlags>, kind: "log" | "webhook"): AuditDelivery {
  const bufferSize = values[`audit-${kind}-batch-buffer-size`];
  const maxBatchSize = values[`audit-${kind}-batch-max-size`];
  const perSecond = values[`audit-${kind}-batch-throttle-qps`];
  const burst = values[`audit-${kind}-batch-throttle-burst`];
  const throttles = values[`audit-${kind}-batch-throttle-enable`];
  // Also where nothing is cut, as upstream checks them.
  const maxBatchBytes = values[`audit-${kind}-truncate-max-batch-size`];
  const maxEventBytes = values[`audit-${kind}-truncate-max-event-size`];
  refuse(
    [
      throttles && (perSecond <= 0 || burst < 1),
      `--audit-${kind}-batch-throttle-enable: expected a positive --audit-${kind}-batch-throttle-qps and -burst`,
    ],
    [maxBatchBytes < maxEventBytes, `--audit-${kind}-truncate-max-batch-size: expected at least the size of an event, ${maxEventBytes}`],
  );
  return {
    mode: values[`audit-${kind}-mode`],
    bufferSize,
    maxBatchSize,
    maxWaitMs: values[`audit-${kind}-batch-max-wait`],
    ...(throttles ? { throttle: { perSecond, burst } } : {}),
    ...(values[`audit-${kind}-truncate-enabled`] ? { truncate: { maxBatchBytes, maxEventBytes } } : {}),
  };
}
