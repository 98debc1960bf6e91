// Network policies of one node: watches policies, and once there are some pods and namespaces too, and keeps a table of the
// kernel's packet filter as they say. Without policies there is no table, and nothing but policies is watched. Changes that come
// together are written together.
import type { KubernetesObject } from "../api/meta/object.ts";
import { keyOf } from "../api/meta/object.ts";
import { namespaces, networkpolicies, pods } from "../api/resources.generated.ts";
import type { NetworkPolicy } from "../api/types/networking-v1.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { errorText, type Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { Informer, InformerHandler } from "../client/informer.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { Nftables } from "../linux/nftables.ts";
import { DesiredTable } from "../linux/packet-rules/desired-table.ts";
import { TableWriter } from "../linux/packet-rules/table-writer.ts";
import { baseRules, type PolicyBase } from "./base-rules.ts";
import type { NetworkPolicyMetrics } from "./network-policy-metrics.ts";
import { PolicyState } from "./policy-state.ts";

export interface EnforcerDeps {
  /** May watch policies, pods and namespaces of the whole cluster. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nftables: Nftables;
  readonly metrics: NetworkPolicyMetrics;
  /** Makes the kernel show packets between two ports of a bridge to the packet filter; false where it cannot. */
  readonly enableBridgeFilter: () => Promise<boolean>;
  /** Tells of the addresses of this node's pods before their statuses do. Resolves when those that are there have been told. */
  readonly followAddresses?: (changed: (pod: string, addresses: readonly string[]) => void) => Promise<Running>;
}

export interface EnforcerOptions extends PolicyBase {
  readonly nodeName: string;
  /** Of the packet filter. */
  readonly tableName: string;
  /** Between two writes. Default 100 ms. */
  readonly minSyncPeriodMs?: number;
}

/** Changes that belong together come within this time. */
const settleMs = 5;
const firstRetryMs = 500;
const maxRetryMs = 30_000;
/** How often the kernel's table is looked at. */
const checkPeriodMs = 60_000;

/** What there is while there are policies. */
interface Enforcement {
  readonly state: PolicyState;
  readonly desired: DesiredTable;
  readonly writer: TableWriter;
  readonly stack: StopStack;
}

export class NetworkPolicyEnforcer implements Running {
  readonly #deps: EnforcerDeps;
  readonly #options: EnforcerOptions;
  readonly #stack = new StopStack();
  readonly #policies: Informer<NetworkPolicy>;
  readonly #startInformer: () => Promise<void>;
  readonly #stopped = new AbortController();
  #enforcement: Enforcement | undefined;
  /** Whether the kernel may have a table, of ours or of an earlier run. */
  #mayHaveTable = true;
  #isReady = false;
  #timer: Timer | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #lastStartMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(deps: EnforcerDeps, options: EnforcerOptions) {
    this.#deps = deps;
    this.#options = options;
    const factory = this.#stack.add(createInformerFactory(deps.client, deps));
    this.#policies = factory.informer(networkpolicies);
    this.#startInformer = async () => {
      factory.start();
      await factory.synced(this.#stopped.signal);
    };
  }

  /** Does not wait for the API server. */
  start(): void {
    this.#policies.addHandler(
      this.#follow<NetworkPolicy>((policy, isGone) => {
        if (this.#enforcement) this.#setPolicy(this.#enforcement.state, policy, isGone);
      }),
    );
    const check = this.#deps.clock.every(checkPeriodMs, () => this.#queue(() => this.#check()));
    this.#stack.defer(() => check.cancel());
    this.#startInformer().then(
      () => {
        this.#isReady = true;
        this.#schedule();
      },
      () => undefined, // stopped before the API server has answered
    );
  }

  /** The rules stay: pods run on, and are to be as isolated as before. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error("network policies were stopped"));
    this.#timer?.cancel();
    await this.#running;
    await this.#enforcement?.stack.stop();
    await this.#stack.stop();
  }

  #follow<T extends KubernetesObject>(note: (object: T, isGone: boolean) => void): InformerHandler<T> {
    const changed = (object: T, isGone: boolean): void => {
      note(object, isGone);
      if (this.#isReady && this.#isDue) this.#schedule();
    };
    return {
      onAdd: (object) => changed(object, false),
      onUpdate: (object) => changed(object, false),
      onDelete: (object) => changed(object, true),
    };
  }

  /** Most changes of pods concern no rule. */
  get #isDue(): boolean {
    return this.#enforcement === undefined || this.#policies.size === 0 || this.#enforcement.state.isDirty;
  }

  #setPolicy(state: PolicyState, policy: NetworkPolicy, isGone = false): void {
    try {
      state.setPolicy(keyOf(policy), isGone ? undefined : policy);
    } catch (error) {
      this.#deps.logger.error("A network policy cannot be understood and has no effect", { policy: keyOf(policy), error });
    }
  }

  /** A write soon, but not before `delayMs`, nor sooner after the last one than the options say. */
  #schedule(delayMs = settleMs): void {
    if (this.#stopped.signal.aborted) return;
    const { clock } = this.#deps;
    const nowMs = clock.monotonic();
    const dueMs = Math.max(nowMs + delayMs, this.#lastStartMs + (this.#options.minSyncPeriodMs ?? 100));
    if (dueMs >= this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = clock.after(dueMs - nowMs, () => {
      this.#dueMs = Number.POSITIVE_INFINITY;
      this.#queue(() => this.#sync());
    });
  }

  /** One after the other. */
  #queue(work: () => Promise<void>): void {
    this.#running = this.#running.then(async () => {
      if (this.#stopped.signal.aborted) return;
      try {
        await work();
        this.#failures = 0;
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        this.#deps.metrics.failures.add();
        this.#deps.logger.error("Network policies cannot be brought to the packet filter; it is tried again", { error });
        this.#schedule(Math.min(firstRetryMs * 2 ** this.#failures++, maxRetryMs));
      }
    });
  }

  async #sync(): Promise<void> {
    const { clock, metrics } = this.#deps;
    this.#lastStartMs = clock.monotonic();
    metrics.policies.set(this.#policies.size);
    if (this.#policies.size === 0) {
      metrics.active.set(0);
      return this.#end();
    }
    this.#enforcement ??= await this.#begin();
    const { state, desired, writer } = this.#enforcement;
    await this.#sweep(writer);
    state.update(desired);
    this.#mayHaveTable = true;
    const { kind } = await writer.write();
    metrics.active.set(state.activePolicies);
    if (kind !== "unchanged") metrics.syncs.observe((clock.monotonic() - this.#lastStartMs) / 1000);
    if (kind !== "unchanged")
      this.#deps.logger.info("Network policies written", { kind, policies: this.#policies.size, here: state.activePolicies }, 2);
    const { sweepAtMs } = writer;
    if (sweepAtMs !== undefined) this.#schedule(Math.max(settleMs, sweepAtMs - clock.monotonic()));
  }

  async #sweep(writer: TableWriter): Promise<void> {
    try {
      await writer.sweep();
    } catch (error) {
      this.#deps.logger.info("Unused chains could not be deleted; they are tried again", { error: errorText(error) }, 2);
    }
  }

  /** Resolves when all that policies may be about is known. */
  async #begin(): Promise<Enforcement> {
    const { client, clock, logger, nftables, enableBridgeFilter } = this.#deps;
    const { nodeName, tableName, ...base } = this.#options;
    if (!(await enableBridgeFilter()))
      logger.error("This kernel does not filter bridged packets (br_netfilter): policies do not work between pods of this node");
    const stack = new StopStack();
    const state = new PolicyState(nodeName, base.dnsAddresses);
    const desired = new DesiredTable();
    desired.put("", baseRules(base));
    const factory = stack.add(createInformerFactory(client, { clock, logger }));
    factory
      .informer(namespaces)
      .addHandler(this.#follow(({ metadata }, isGone) => state.setNamespace(metadata.name, isGone ? undefined : (metadata.labels ?? {}))));
    factory.informer(pods).addHandler(this.#follow((pod, isGone) => state.setPod(keyOf(pod), isGone ? undefined : pod)));
    factory.start();
    try {
      await factory.synced(this.#stopped.signal);
      const following = await this.#deps.followAddresses?.((pod, addresses) => {
        state.setAddresses(pod, addresses);
        if (this.#isDue) this.#schedule();
      });
      if (following) stack.add(following);
    } catch (error) {
      await stack.stop();
      throw error;
    }
    for (const policy of this.#policies.list()) this.#setPolicy(state, policy);
    const table = { family: "inet", name: tableName, comment: "rules of network policies" } as const;
    return { state, desired, writer: new TableWriter({ nftables, clock, logger }, table, desired), stack };
  }

  /** There is no policy any more, or none yet. */
  async #end(): Promise<void> {
    const { stack } = this.#enforcement ?? {};
    this.#enforcement = undefined;
    await stack?.stop();
    if (!this.#mayHaveTable) return;
    const { nftables } = this.#deps;
    const { tableName } = this.#options;
    if ((await nftables.tableNames("inet", tableName)) !== undefined)
      await nftables.apply(`add table inet ${tableName}\ndelete table inet ${tableName}\n`);
    this.#mayHaveTable = false;
  }

  async #check(): Promise<void> {
    if (this.#enforcement && !(await this.#enforcement.writer.isIntact())) this.#schedule();
  }
}
