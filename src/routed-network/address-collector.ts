// Gives back addresses that nobody has any more, blocks of nodes that are gone, and what a crash has left between two writes. Once in
// a cluster; looks at everything from time to time, and soon after a node has been deleted. Also tells of pools that cannot be
// used, as events about them.
import { isStatus } from "../api/meta/status-error.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { InformerFactory } from "../client/informer.ts";
import { createWorkQueue } from "../client/work-queue.ts";
import { isEmpty, releasePlaces } from "./block.ts";
import { type BlockAction, type GarbagePlan, nodeGraceMs, planGarbage } from "./garbage.ts";
import { poolsOf, type ReservedRange } from "./pools.ts";
import { blockaffinities, type IPAMBlock, type IPPool, ipamblocks, ipamhandles, ippools } from "./resources.ts";

export interface AddressCollectorDeps {
  readonly client: Client;
  /** Of the same client; the owner starts and stops them. */
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
}

export interface AddressCollectorOptions {
  /** Ranges that no pool may have. */
  readonly reserved: readonly ReservedRange[];
}

const everyMs = 60_000;
const backoff = { baseMs: 1_000, maxMs: 60_000 };

export function startAddressCollector(deps: AddressCollectorDeps, { reserved }: AddressCollectorOptions): Running {
  const { clock, logger, informers, recorder } = deps;
  const stack = new StopStack();
  const [nodeCache, poolCache] = [informers.informer(nodes), informers.informer(ippools)];
  const round = new Round(deps);
  const queue = createWorkQueue({
    ...{ name: "address-collector", clock, logger, workers: 1, backoff },
    async process(key, signal) {
      await informers.synced(signal);
      if (key === "pools") return void tellOfPools(poolCache.list(), reserved, recorder);
      return { requeueAfterMs: (await round.run(signal)) ? nodeGraceMs : everyMs };
    },
  });
  const nodeHandler = nodeCache.addHandler({ onDelete: () => queue.add("addresses") });
  stack.defer(() => nodeHandler.remove());
  const look = (): void => queue.add("pools");
  const poolHandler = poolCache.addHandler({ onAdd: look, onDelete: look, onUpdate: look });
  stack.defer(() => poolHandler.remove());
  queue.start();
  stack.add(queue);
  queue.add("addresses");
  return stack;
}

function tellOfPools(pools: Iterable<IPPool>, reserved: readonly ReservedRange[], recorder: EventRecorder): void {
  const objects = [...pools];
  for (const [name, problem] of poolsOf(objects, reserved).problems) {
    const pool = objects.find(({ metadata }) => metadata.name === name);
    if (pool) recorder.record(pool, { type: "Warning", reason: "InvalidIPPool", message: `No addresses are given out: ${problem}` });
  }
}

class Round {
  readonly #deps: AddressCollectorDeps;
  #suspects: GarbagePlan["suspects"] = new Map();

  constructor(deps: AddressCollectorDeps) {
    this.#deps = deps;
    for (const type of [pods, ipamblocks, blockaffinities, ipamhandles]) deps.informers.informer(type as typeof ipamblocks);
  }

  /** Whether something of a node that is gone waits to be given back. */
  async run(signal: AbortSignal): Promise<boolean> {
    const { informers, clock, logger } = this.#deps;
    const podCache = informers.informer(pods);
    const plan = planGarbage({
      nodes: new Set([...informers.informer(nodes).list()].map(({ metadata }) => metadata.name)),
      podOf: (key) => podCache.get(key),
      blocks: [...informers.informer(ipamblocks).list()],
      affinities: [...informers.informer(blockaffinities).list()],
      handles: [...informers.informer(ipamhandles).list()],
      suspects: this.#suspects,
      nowMs: clock.now(),
    });
    this.#suspects = plan.suspects;
    for (const action of plan.blocks) await this.#apply(action, signal);
    for (const { metadata } of plan.affinities) await this.#delete(blockaffinities, metadata, signal);
    for (const { metadata } of plan.handles) await this.#delete(ipamhandles, metadata, signal);
    const released = plan.blocks.reduce((sum, { release }) => sum + release.length, 0);
    if (released + plan.blocks.length > 0) logger.info("Addresses were given back", { addresses: released, blocks: plan.blocks.length }, 2);
    return [...plan.suspects.keys()].some((key) => key.startsWith("node "));
  }

  /** Whoever changes the block in the meantime wins: the next round sees it as it is then. */
  async #apply({ block, release, orphan, remove }: BlockAction, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const released = releasePlaces(block.spec, release);
    const { affinity, ...rest } = released;
    const spec: IPAMBlock["spec"] = orphan || affinity === undefined ? { ...rest, sequenceNumber: rest.sequenceNumber + 1 } : released;
    try {
      const written = spec === block.spec ? block : await client.update(ipamblocks, { ...block, spec }, { signal });
      if (remove && isEmpty(written.spec)) await this.#delete(ipamblocks, written.metadata, signal);
    } catch (error) {
      if (!isStatus(error, "Conflict") && !isStatus(error, "NotFound")) throw error;
    }
  }

  async #delete(
    type: typeof blockaffinities | typeof ipamhandles | typeof ipamblocks,
    { name, uid, resourceVersion }: IPAMBlock["metadata"],
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.#deps.client.delete(type, { name }, { body: { preconditions: { uid, resourceVersion } }, signal });
    } catch (error) {
      if (!isStatus(error, "Conflict") && !isStatus(error, "NotFound")) throw error;
    }
  }
}
