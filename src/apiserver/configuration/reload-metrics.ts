// What is counted about configuration files that are followed while the server runs, under upstream's metric names: how often
// they were taken or refused, when last, and which one is in force. Servers and contents are told by their hashes.
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../../base/clock.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { apiServerIdentity } from "../peers/identity-lease.ts";

export interface ReloadMetrics {
  /** This configuration is in force from the start on. `hash`: of what its file holds (contentHash). */
  started(hash: string): void;
  succeeded(hash: string): void;
  failed(): void;
}

interface ReloadSubject {
  /** In the metrics' names: "encryption", "authorization". */
  readonly name: string;
  /** In their help: "authorization configuration". */
  readonly what: string;
  readonly stability: "ALPHA" | "BETA";
  /** How reloads are told of in help. */
  readonly reloads: string;
  readonly last: string;
}

const reloadsOf = (what: string) => ({
  reloads: `Total number of automatic reloads of ${what} split by status and apiserver identity.`,
  last: `Timestamp of the last automatic reload of ${what} split by status and apiserver identity.`,
});

const subjects = {
  authentication: { stability: "BETA", ...reloadsOf("authentication configuration") },
  authorization: { stability: "BETA", ...reloadsOf("authorization configuration") },
  encryption: {
    stability: "ALPHA",
    reloads: "Total number of reload successes and failures of encryption configuration split by apiserver identity.",
    last: "Timestamp of the last successful or failed automatic reload of encryption configuration split by apiserver identity.",
  },
} as const satisfies Readonly<Record<string, Pick<ReloadSubject, "stability" | "reloads" | "last">>>;

export interface ReloadMetricsDeps {
  readonly metrics: MetricsRegistry;
  readonly clock: Pick<Clock, "now">;
}

export function createReloadMetrics(deps: ReloadMetricsDeps, name: keyof typeof subjects): ReloadMetrics {
  const families = reloadFamilies(deps.metrics, { name, what: `${name} configuration`, ...subjects[name] }, []);
  return reloadMetrics(families, deps.clock, []);
}

/** Those of directories of manifests, by the plugin that reads them. */
export function createManifestReloadMetrics({ metrics, clock }: ReloadMetricsDeps): (plugin: string) => ReloadMetrics {
  const what = "admission manifest configuration";
  const split = "split by status, plugin, and apiserver identity.";
  const reloads = `Total number of automatic reloads of ${what} ${split}`;
  const last = `Timestamp of the last automatic reload of ${what} ${split}`;
  const families = reloadFamilies(metrics, { name: "manifest_admission", what, stability: "ALPHA", reloads, last }, ["plugin"]);
  return (plugin) => reloadMetrics(families, clock, [plugin]);
}

type Families = ReturnType<typeof reloadFamilies>;

function reloadFamilies(metrics: MetricsRegistry, { name, what, stability, reloads, last }: ReloadSubject, more: readonly string[]) {
  const prefix = `apiserver_${name}_config_controller`;
  const byStatus = ["apiserver_id_hash", ...more, "status"];
  const by = more.length > 0 ? "split by plugin and apiserver identity" : "split by apiserver identity";
  return {
    reloads: metrics.counter(`${prefix}_automatic_reloads_total`, `[${stability}] ${reloads}`, byStatus),
    last: metrics.gauge(`${prefix}_automatic_reload_last_timestamp_seconds`, `[${stability}] ${last}`, byStatus),
    inForce: metrics.gauge(
      `${prefix}_last_config_info`,
      `[ALPHA] Information about the last applied ${what} with hash as label, ${by}.`,
      more.length > 0 ? ["apiserver_id_hash", "hash", ...more] : ["apiserver_id_hash", "hash"],
    ),
  };
}

function reloadMetrics({ reloads, last, inForce }: Families, clock: Pick<Clock, "now">, more: readonly string[]): ReloadMetrics {
  const server = contentHash(apiServerIdentity(hostname()));
  let current: string | undefined;
  const started = (hash: string): void => {
    if (current !== undefined) inForce.remove(server, current, ...more);
    current = hash;
    inForce.series(server, hash, ...more).set(1);
  };
  const ended = (status: "success" | "failure"): void => {
    reloads.series(server, ...more, status).add();
    last.series(server, ...more, status).set(clock.now() / 1000);
  };
  return {
    started,
    succeeded(hash) {
      ended("success");
      started(hash);
    },
    failed: () => ended("failure"),
  };
}

/** "sha256:" and the hash. */
export const contentHash = (contents: string | Uint8Array): string => `sha256:${createHash("sha256").update(contents).digest("hex")}`;
