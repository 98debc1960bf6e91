// The ServiceCIDR "kubernetes": the ranges of this server's flag as an object. It is made where there is none, also after
// somebody has deleted it, gets the second range of a cluster that becomes dual-stack, and is said to be ready where nobody has
// said anything. Of another flag it stays as it was made, which events tell, as upstream's do.
import { isStatus } from "../../api/meta/status-error.ts";
import { servicecidrs } from "../../api/resources.generated.ts";
import type { ServiceCIDR } from "../../api/types/networking-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import { createMissing, find } from "../bootstrap.ts";
import { Kept } from "./kept.ts";

export interface DefaultServiceCidrDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
}

export const serviceCidrControllerName = "kubernetes-service-cidr-controller";
const name = "kubernetes";
const periodMs = 10_000;

export class DefaultServiceCidr implements Running {
  readonly #deps: DefaultServiceCidrDeps;
  readonly #cidrs: readonly string[];
  readonly #kept: Kept;
  /** What is told once. */
  readonly #told = new Set<string>();

  /** `ranges`: of the flag, one or two separated by a comma. */
  constructor(deps: DefaultServiceCidrDeps, ranges: string) {
    this.#deps = deps;
    this.#cidrs = ranges.split(",");
    this.#kept = new Kept({ ...deps, what: "The ServiceCIDR kubernetes", periodMs, reconcile: () => this.#reconcile() });
  }

  /** Resolves when the object is there; keeps it from then on. */
  start(): Promise<void> {
    return this.#kept.start();
  }

  stop(): Promise<void> {
    return this.#kept.stop();
  }

  async #reconcile(): Promise<void> {
    const { client } = this.#deps;
    const found = await find(client, servicecidrs, { name });
    if (found && this.#becomesDualStack(found)) return this.#addSecond(found);
    if (!found) await createMissing(client, servicecidrs, { metadata: { name }, spec: { cidrs: this.#cidrs } });
    await this.#sayReady(found ?? (await client.get(servicecidrs, { name })));
  }

  #becomesDualStack({ spec }: ServiceCIDR): boolean {
    const [first, second] = this.#cidrs;
    return second !== undefined && spec?.cidrs?.length === 1 && spec.cidrs[0] === first;
  }

  async #addSecond(found: ServiceCIDR): Promise<void> {
    try {
      await this.#deps.client.update(servicecidrs, { ...found, spec: { ...found.spec, cidrs: this.#cidrs } });
    } catch (error) {
      const [first = ""] = this.#cidrs;
      const why = error instanceof Error ? error.message : String(error);
      this.#warn(
        found,
        "KubernetesDefaultServiceCIDRError",
        `The default ServiceCIDR can not be upgraded from ${first} to dual stack ${listed(this.#cidrs)} : ${why}`,
      );
    }
  }

  async #sayReady(found: ServiceCIDR): Promise<void> {
    if (found.metadata.deletionTimestamp !== undefined) return;
    const cidrs = found.spec?.cidrs ?? [];
    if (cidrs.join() !== this.#cidrs.join()) {
      const message = `The default ServiceCIDR ${listed(cidrs)} does not match the controller flag configurations ${listed(this.#cidrs)}`;
      return this.#warnOnce(found, "KubernetesDefaultServiceCIDRInconsistent", message);
    }
    const ready = found.status?.conditions?.find(({ type }) => type === "Ready");
    if (ready?.status === "True") return;
    if (ready?.status === "False") return this.#warnOnce(found, ready.reason, `Configuration matches, but ${ready.message}`);
    const condition = { type: "Ready", status: "True", reason: "", message: "Kubernetes default Service CIDR is ready" };
    const applied = {
      apiVersion: "networking.k8s.io/v1",
      kind: "ServiceCIDR",
      metadata: { name },
      status: { conditions: [{ ...condition, lastTransitionTime: formatTime(this.#deps.clock.now()) }] },
    };
    const options = { type: "apply", subresource: "status", fieldManager: serviceCidrControllerName, force: true } as const;
    try {
      await this.#deps.client.patch(servicecidrs, { name }, applied, options);
    } catch (error) {
      // Deleted in between: it is made again at the next look.
      if (!isStatus(error, "NotFound")) throw error;
    }
  }

  #warnOnce(about: ServiceCIDR, reason: string, message: string): void {
    if (this.#told.has(reason)) return;
    this.#told.add(reason);
    this.#warn(about, reason, message);
  }

  #warn(about: ServiceCIDR, reason: string, message: string): void {
    this.#deps.logger.warn(message);
    this.#deps.recorder.record(about, { type: "Warning", reason, message });
  }
}

/** As Go prints a list. */
const listed = (cidrs: readonly string[]): string => `[${cidrs.join(" ")}]`;
