// Wires audit: the policy's file, the back ends of the flags, and the stages that record requests. Nothing is loaded where
// there is no policy.

import { readFile } from "node:fs/promises";
import type { AuditBackend } from "../../apiserver/audit/audit-backend.ts";
import { auditCounters } from "../../apiserver/audit/audit-metrics.ts";
import type { AuditStages } from "../../apiserver/audit/audit-stage.ts";
import type { EgressSelector } from "../../apiserver/egress/egress-selector.ts";
import type { AuditDelivery, AuditSettings } from "../../apiserver/operations-options.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { Family, MetricsRegistry, Series } from "../../base/metrics.ts";
import { CommandError } from "../command-error.ts";

export interface Audit extends Running {
  readonly stages: AuditStages;
}

export interface AuditWiring {
  /** How webhooks are reached, where not directly. */
  readonly egress?: EgressSelector;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

interface BackendWiring extends AuditWiring {
  readonly errors: Family<Series>;
}

/** Undefined without a policy or a back end. Throws CommandError for what is wrong with its file or a back end's. */
export async function createAudit(settings: AuditSettings | undefined, deps: AuditWiring): Promise<Audit | undefined> {
  if (!settings) {
    auditCounters(deps.metrics);
    return undefined;
  }
  const { parseAuditPolicy } = await import("../../apiserver/audit/audit-policy.ts");
  const policy = await forFlag("audit-policy-file", async () =>
    parseAuditPolicy(await readFile(settings.policyFile, "utf8"), (problem) =>
      deps.logger.warn("Audit policy: this part does not count", { file: settings.policyFile, problem }),
    ),
  );
  if (!settings.log && !settings.webhook) {
    auditCounters(deps.metrics);
    return undefined;
  }
  const errors = deps.metrics.counter(
    "apiserver_audit_error_total",
    "[ALPHA] Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.",
    ["plugin"],
  );
  const wiring = { ...deps, errors };
  const { log, webhook } = settings;
  const backends = [
    ...(log ? [await delivered(log, "log", wiring, () => forFlag("audit-log-path", () => logBackend(log, deps)))] : []),
    ...(webhook
      ? [await delivered(webhook, "webhook", wiring, () => forFlag("audit-webhook-config-file", () => webhookBackend(webhook, deps)))]
      : []),
  ];
  const { unionBackend } = await import("../../apiserver/audit/audit-backend.ts");
  const { createAuditStages } = await import("../../apiserver/audit/audit-stage.ts");
  const backend = unionBackend(backends);
  return { stages: createAuditStages({ policy, backend, ...deps }), stop: () => backend.stop() };
}

async function forFlag<T>(flag: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new CommandError(`--${flag}: ${errorText(error)}`);
  }
}

/** The back end behind what the flags put in front of it. */
async function delivered(
  { mode, bufferSize, maxBatchSize, maxWaitMs, throttle, truncate }: AuditDelivery,
  plugin: string,
  { clock, logger, errors }: BackendWiring,
  create: () => Promise<AuditBackend>,
): Promise<AuditBackend> {
  let backend = await create();
  const deps = { clock, logger, errors: errors.series(plugin) };
  if (truncate) {
    const { createTruncateBackend } = await import("../../apiserver/audit/truncate-backend.ts");
    backend = createTruncateBackend({ ...deps, errors: errors.series("truncate"), next: backend }, truncate);
  }
  if (mode !== "batch") {
    const { blockingBackend } = await import("../../apiserver/audit/audit-backend.ts");
    return blockingBackend({ ...deps, next: backend }, { strict: mode === "blocking-strict" });
  }
  const { createBatchBackend } = await import("../../apiserver/audit/batch-backend.ts");
  // A webhook that hangs must not hold up what another of its servers would take at once.
  const concurrency = plugin === "webhook" ? batchesUnderWay : 1;
  return createBatchBackend(
    { ...deps, dropped: errors.series("buffered"), next: backend },
    { bufferSize, maxBatchSize, maxWaitMs, concurrency, ...(throttle ? { throttle } : {}) },
  );
}

const batchesUnderWay = 32;
const bytesPerMegabyte = 1024 * 1024;
const dayMs = 86_400_000;

async function logBackend(log: NonNullable<AuditSettings["log"]>, deps: AuditWiring): Promise<AuditBackend> {
  const { createLogBackend, standardOutput } = await import("../../apiserver/audit/log-backend.ts");
  if (log.path === "-") return createLogBackend(standardOutput, log.format);
  const { RotatingFile } = await import("../../apiserver/audit/rotating-file.ts");
  const rotation = {
    maxBytes: log.maxMegabytes > 0 ? log.maxMegabytes * bytesPerMegabyte : Number.POSITIVE_INFINITY,
    maxBackups: log.maxBackups,
    maxAgeMs: log.maxAgeDays * dayMs,
    compress: log.compress,
  };
  return createLogBackend(new RotatingFile(log.path, rotation, deps), log.format);
}

async function webhookBackend(webhook: NonNullable<AuditSettings["webhook"]>, { clock, egress = {} }: AuditWiring): Promise<AuditBackend> {
  const { kubeconfigTarget } = await import("../../apiserver/webhook/kubeconfig-target.ts");
  const { createWebhookClient } = await import("../../apiserver/webhook/create-webhook-client.ts");
  const { createAuditWebhook } = await import("../../apiserver/audit/webhook-backend.ts");
  const target = await kubeconfigTarget(webhook.configFile, clock);
  return createAuditWebhook(
    { client: createWebhookClient({ clock }, { egress }), target, clock },
    { initialBackoffMs: webhook.initialBackoffMs },
  );
}
