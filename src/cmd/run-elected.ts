// Runs a loop component alone, or as one of several of which one leads.
import { hostname } from "node:os";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { LeaderElector } from "../client/leader-election.ts";

export interface RunElectedOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Name of the lease in kube-system: "kube-scheduler". */
  readonly lease: string;
  /** False runs it at once. */
  readonly elect: boolean;
  readonly start: () => Promise<Running>;
}

/** Resolves when it runs, or stands for election. */
export async function runElected(options: RunElectedOptions): Promise<Running> {
  const { client, clock, logger } = options;
  if (!options.elect) return options.start();
  const unique = Math.floor(clock.random() * 2 ** 48).toString(36);
  const elector = new LeaderElector({
    client,
    clock,
    logger,
    name: options.lease,
    identity: `${hostname()}_${process.pid}_${unique}`,
    lead: options.start,
  });
  elector.start();
  return elector;
}
