// Runs a loop component alone, or as one of several of which one leads.
import { hostname } from "node:os";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import { LeaderElector } from "../../client/leader-election.ts";

export interface RunElectedOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Name of the lease in kube-system: "kube-scheduler". */
  readonly lease: string;
  /** False runs it at once. */
  readonly elect: boolean;
  readonly start: () => Promise<Running>;
  /** Default kube-system. */
  readonly namespace?: string;
  readonly leaseDurationMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryPeriodMs?: number;
  readonly registry?: MetricsRegistry;
}

export interface ElectedProcess extends Running {
  /** What is wrong with the election; undefined where nothing is. */
  readonly problem: string | undefined;
}

function showElection(registry: MetricsRegistry, lease: string, elector: LeaderElector): void {
  const help = "[ALPHA] Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.";
  const leads = registry.gauge("leader_election_master_status", help, ["name"]).series(lease);
  registry.beforeScrape(() => leads.set(elector.isLeader ? 1 : 0));
}

/** A leader that has not noticed for so long that its lease has run out is not well. */
const electionGraceMs = 20_000;

/** Resolves when it runs, or stands for election. */
export async function runElected(options: RunElectedOptions): Promise<ElectedProcess> {
  const { client, clock, logger } = options;
  if (!options.elect) {
    const running = await options.start();
    return { problem: undefined, stop: () => running.stop() };
  }
  const { namespace, leaseDurationMs, renewDeadlineMs, retryPeriodMs } = options;
  const unique = Math.floor(clock.random() * 2 ** 48).toString(36);
  const elector = new LeaderElector({
    client,
    clock,
    logger,
    name: options.lease,
    identity: `${hostname()}_${process.pid}_${unique}`,
    lead: options.start,
    ...(namespace === undefined ? {} : { namespace }),
    ...(leaseDurationMs === undefined ? {} : { leaseDurationMs }),
    ...(renewDeadlineMs === undefined ? {} : { renewDeadlineMs }),
    ...(retryPeriodMs === undefined ? {} : { retryPeriodMs }),
  });
  if (options.registry) showElection(options.registry, options.lease, elector);
  elector.start();
  return {
    get problem() {
      return elector.isLeadingBeyond(electionGraceMs) ? `failed election to renew leadership on lease ${options.lease}` : undefined;
    },
    stop: () => elector.stop(),
  };
}
