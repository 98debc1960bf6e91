// Ends flows of UDP services whose endpoints have changed. Where the machine has no `conntrack`, clients of UDP services whose
// endpoint has gone wait for the kernel to forget the flow by itself: said once.
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Conntrack } from "../linux/conntrack.ts";
import type { IpFamily } from "../linux/packet-rules/rule-set.ts";
import { CommandError } from "../linux/run-command.ts";
import type { ProxyMetrics } from "./proxy-metrics.ts";
import { staleFlows, type UdpPort } from "./stale-flows.ts";

export interface FlowCleanerDeps {
  readonly conntrack: Conntrack;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ProxyMetrics;
}

/** Processes of the tool, one for each pair of a service and an endpoint; what is left over comes with the next change. */
const maxForgotten = 256;

export class FlowCleaner {
  readonly #deps: FlowCleanerDeps;
  #isMissing = false;

  constructor(deps: FlowCleanerDeps) {
    this.#deps = deps;
  }

  /** Never rejects. */
  async clean(family: IpFamily, ports: readonly UdpPort[]): Promise<void> {
    const { conntrack, clock, logger, metrics } = this.#deps;
    if (this.#isMissing || ports.length === 0) return;
    const startMs = clock.monotonic();
    const flowFamily = family === "IPv4" ? "ipv4" : "ipv6";
    try {
      let forgotten = 0;
      for (const flow of staleFlows(await conntrack.listUdp(flowFamily), ports).slice(0, maxForgotten))
        forgotten += await conntrack.forgetUdp(flowFamily, flow);
      metrics.flowsCleaned(family, (clock.monotonic() - startMs) / 1000, forgotten);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.#isMissing = error.notFound;
      if (error.notFound) logger.warn("Clients of UDP services stay with endpoints that are gone: conntrack is not installed");
      else logger.warn("Stale flows of UDP services could not be ended", { error });
    }
  }
}
