// Gives out addresses on one node: from the node's own blocks, from a new block where those are full, and, unless that is
// forbidden, from blocks of other nodes where no pool has a block left. Several nodes do so at the same time: a block is written
// with the version it was read with, so that of two that want the same address or block one has to look again. A failure gives
// back what has been given.
import { cidrContains, parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { Labels } from "../api/meta/selectors.ts";
import { isStatus } from "../api/meta/status-error.ts";
import type { Clock } from "../base/clock.ts";
import { Turns } from "../base/turns.ts";
import type { Client } from "../client/client.ts";
import type { Informer } from "../client/informer.ts";
import { RecentWrites } from "../client/recent-writes.ts";
import {
  type Assignment,
  affinityName,
  affinityTo,
  allocationsOf,
  assignAddress,
  assignNext,
  blockName,
  freeBlock,
  handleName,
  isEmpty,
  newBlock,
  nodeOfBlock,
  placesOfHandle,
  releasePlaces,
} from "./block.ts";
import { eligiblePools, type Pool } from "./pools.ts";
import {
  type AllocationAttributes,
  type BlockAffinity,
  blockaffinities,
  type IPAMBlock,
  type IPAMConfig,
  ipamblocks,
  ipamhandles,
} from "./resources.ts";

export interface NodeIpamDeps {
  readonly client: Client;
  readonly clock: Clock;
  /** Of all blocks, by the same client. */
  readonly blocks: Informer<IPAMBlock>;
  /** Those that can be used now, the oldest first. */
  readonly pools: () => readonly Pool[];
  /** Of the node. */
  readonly labels: () => Labels;
  readonly config: () => IPAMConfig["spec"] | undefined;
}

export interface AddressWish {
  readonly handleId: string;
  readonly secondary: Readonly<Record<string, string>>;
  readonly use: "pod" | "tunnel";
  /** One address of each. */
  readonly families: readonly (4 | 6)[];
  /** Pools by name or range, by family; default all that are for this node. */
  readonly named?: ReadonlyMap<4 | 6, readonly string[]>;
  /** These addresses and no others. */
  readonly addresses?: readonly string[];
}

export interface GivenAddress {
  readonly address: string;
  readonly pool: string;
}

/** No pool has an address left for the node. */
export class AddressesExhaustedError extends Error {
  override name = "AddressesExhaustedError";
  readonly pools: readonly string[];

  constructor(node: string, family: 4 | 6, pools: readonly Pool[], why: string) {
    const names = pools.map(({ name, cidr }) => `${name} (${cidr.canonical})`);
    super(`no IPv${family} address is left for pods of node ${node} in the IP pools ${names.join(", ")}: ${why}`);
    this.pools = pools.map(({ name }) => name);
  }
}

/** So often another node may have been quicker. */
const maxAttempts = 16;
const holdMs = 30_000;
const writes = "blocks";
const byNode = "node";
const byHandle = "handle";
const nodesOf = ({ spec }: IPAMBlock): readonly string[] => [nodeOfBlock(spec) ?? ""];
const handlesOf = ({ spec }: IPAMBlock): readonly string[] => spec.attributes.flatMap(({ handle_id: id }) => id ?? []);

export class NodeIpam {
  readonly #deps: NodeIpamDeps;
  readonly #node: string;
  readonly #recent: RecentWrites<IPAMBlock>;
  /** One piece of work at a time: this node does not compete with itself. */
  readonly #turns: Turns;

  constructor(node: string, deps: NodeIpamDeps) {
    this.#deps = deps;
    this.#node = node;
    this.#recent = new RecentWrites(deps.blocks);
    this.#turns = new Turns(deps.clock, { slots: 1, holdMs });
    deps.blocks.addIndex(byNode, nodesOf);
    deps.blocks.addIndex(byHandle, handlesOf);
  }

  /** One address of each family; those that the handle has already are given again. */
  assign(wish: AddressWish, signal?: AbortSignal): Promise<readonly GivenAddress[]> {
    return this.#turns.take(() => this.#assign(wish, signal), signal ? { signal } : {});
  }

  /** Gives back all addresses of the handle, and says which; none is left whatever had become of it before. */
  release(handleId: string, signal?: AbortSignal): Promise<readonly string[]> {
    return this.#turns.take(() => this.#release(handleId, signal), signal ? { signal } : {});
  }

  /** The addresses of a handle, as far as they are known here. */
  addressesOf(handleId: string): readonly GivenAddress[] {
    return this.#ofHandle(handleId).flatMap(({ spec }) =>
      allocationsOf(spec).flatMap((each) =>
        each.handleId === handleId ? [{ address: each.address, pool: this.#poolOf(spec.cidr)?.name ?? "" }] : [],
      ),
    );
  }

  /** Handles whose ids begin so and that have addresses by this node. */
  handlesOf(prefix: string): readonly string[] {
    const ids = [...this.#deps.blocks.list()].flatMap(({ spec }) =>
      spec.attributes.flatMap(({ handle_id: id, secondary }) => (id?.startsWith(prefix) && secondary?.node === this.#node ? [id] : [])),
    );
    return [...new Set(ids)];
  }

  async #assign(wish: AddressWish, signal: AbortSignal | undefined): Promise<readonly GivenAddress[]> {
    await this.#deps.blocks.synced(signal);
    const had = this.addressesOf(wish.handleId);
    const given: GivenAddress[] = [];
    const blocks: Record<string, number> = {};
    try {
      for (const family of wish.families) {
        const again = had.find(({ address }) => address.includes(":") === (family === 6));
        if (again) {
          given.push(again);
          continue;
        }
        const { address, block, pool } = await this.#assignOne(wish, family, signal);
        given.push({ address, pool });
        blocks[block.cidr] = (blocks[block.cidr] ?? 0) + 1;
      }
      if (Object.keys(blocks).length > 0) await this.#writeHandle(wish.handleId, blocks, signal);
    } catch (error) {
      await this.#release(wish.handleId, undefined);
      throw error;
    }
    return given;
  }

  async #assignOne(wish: AddressWish, family: 4 | 6, signal: AbortSignal | undefined): Promise<Assignment & { readonly pool: string }> {
    const { use } = wish;
    const attributes: AllocationAttributes = { handle_id: wish.handleId, secondary: { node: this.#node, ...wish.secondary } };
    const exact = wish.addresses?.find((text) => text.includes(":") === (family === 6));
    if (exact !== undefined) return this.#assignExact(exact, attributes, signal);
    const named = wish.named?.get(family);
    const pools = eligiblePools(this.#deps.pools(), { family, nodeLabels: this.#deps.labels(), use, ...(named ? { named } : {}) });
    if (pools.length === 0) throw new Error(`there is no IP pool with IPv${family} addresses for node ${this.#node}`);
    const take = (spec: IPAMBlock["spec"]): Assignment | undefined => assignNext(spec, attributes);
    for (const pool of pools) {
      const own = this.#own().filter(({ spec }) => isWithin(spec.cidr, pool));
      const assignment = await this.#firstOf(own, take, signal);
      if (assignment) return { ...assignment, pool: pool.name };
    }
    return (await this.#fromNewBlock(pools, take, signal)) ?? (await this.#borrowed(pools, family, { take, signal }));
  }

  /** As somebody has asked for by an annotation: whichever node's block it is in. */
  async #assignExact(
    text: string,
    attributes: AllocationAttributes,
    signal: AbortSignal | undefined,
  ): Promise<Assignment & { pool: string }> {
    const address = parseIP(text);
    const pool = address && this.#deps.pools().find(({ cidr, isDisabled }) => !isDisabled && cidrContains(cidr, address));
    if (!address || !pool) throw new Error(`the address ${text} is in no IP pool that can be used`);
    const cidr = parseCIDR(`${address.canonical}/${pool.blockSize}`)?.canonical ?? "";
    const known = this.#blocksIn(pool).find(({ spec }) => spec.cidr === cidr);
    const block = known ?? (await this.#claim(cidr, signal));
    const found = block && (await this.#write(block, (spec) => assignAddress(spec, address, attributes), signal));
    if (!found) throw new Error(`the address ${address.canonical} is in use`);
    return { ...found, pool: pool.name };
  }

  async #fromNewBlock(
    pools: readonly Pool[],
    take: (spec: IPAMBlock["spec"]) => Assignment | undefined,
    signal: AbortSignal | undefined,
  ): Promise<(Assignment & { readonly pool: string }) | undefined> {
    const { autoAllocateBlocks = true, maxBlocksPerHost = 0 } = this.#deps.config() ?? {};
    const own = this.#own().length;
    if (!autoAllocateBlocks || (maxBlocksPerHost > 0 && own >= maxBlocksPerHost)) return undefined;
    for (const pool of pools) {
      const taken = new Set(this.#blocksIn(pool).map(({ spec }) => spec.cidr));
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const cidr = this.#orphan(pool) ?? freeBlock(pool, this.#node, taken);
        if (cidr === undefined) break;
        const block = await this.#claim(cidr, signal);
        const assignment = block && (await this.#write(block, take, signal));
        if (assignment) return { ...assignment, pool: pool.name };
        taken.add(cidr);
      }
    }
    return undefined;
  }

  /** A block that was a node's that is no more, and has addresses left. */
  #orphan(pool: Pool): string | undefined {
    return this.#blocksIn(pool).find(({ spec }) => spec.affinity === undefined && spec.unallocated.length > 0)?.spec.cidr;
  }

  async #borrowed(
    pools: readonly Pool[],
    family: 4 | 6,
    { take, signal }: { take: (spec: IPAMBlock["spec"]) => Assignment | undefined; signal: AbortSignal | undefined },
  ): Promise<Assignment & { readonly pool: string }> {
    const { strictAffinity = false } = this.#deps.config() ?? {};
    for (const pool of strictAffinity ? [] : pools) {
      const assignment = await this.#firstOf(this.#blocksIn(pool), take, signal);
      if (assignment) return { ...assignment, pool: pool.name };
    }
    const why = strictAffinity ? "all blocks are taken, and strictAffinity forbids addresses of other nodes' blocks" : "all are in use";
    throw new AddressesExhaustedError(this.#node, family, pools, why);
  }

  async #firstOf(
    blocks: readonly IPAMBlock[],
    take: (spec: IPAMBlock["spec"]) => Assignment | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Assignment | undefined> {
    for (const block of blocks) {
      const assignment = block.spec.unallocated.length > 0 ? await this.#write(block, take, signal) : undefined;
      if (assignment) return assignment;
    }
    return undefined;
  }

  /** Changes a block, as it is now: read again where somebody else has been quicker. Undefined where the change cannot be made. */
  async #write<T extends { readonly block: IPAMBlock["spec"] }>(
    block: IPAMBlock,
    change: (spec: IPAMBlock["spec"]) => T | undefined,
    signal: AbortSignal | undefined,
  ): Promise<T | undefined> {
    const { client } = this.#deps;
    let current: IPAMBlock | undefined = block;
    for (let attempt = 0; current && attempt < maxAttempts; attempt++) {
      const changed = change(current.spec);
      if (!changed || changed.block === current.spec) return undefined;
      try {
        this.#keep(await client.update(ipamblocks, { ...current, spec: changed.block }, signal ? { signal } : {}));
        return changed;
      } catch (error) {
        if (isStatus(error, "NotFound")) this.#recent.deleted(writes, current);
        else if (!isStatus(error, "Conflict")) throw error;
        current = await this.#read(block.metadata.name, signal);
      }
    }
    return undefined;
  }

  /** Makes a block this node's. Undefined where another one has it. */
  async #claim(cidr: string, signal: AbortSignal | undefined): Promise<IPAMBlock | undefined> {
    const { client } = this.#deps;
    const options = signal ? { signal } : {};
    const name = affinityName(this.#node, cidr);
    const spec = { cidr, node: this.#node, state: "pending", type: "host", deleted: "false" } as const;
    // First the intention: whoever crashes in between finds it, and so does the one who cleans up after nodes.
    const affinity = await client.create(blockaffinities, { metadata: { name }, spec }, options).catch((error: unknown) => {
      if (!isStatus(error, "AlreadyExists")) throw error;
      return client.get(blockaffinities, { name }, options);
    });
    const block = await this.#ownBlock(cidr, signal);
    if (!block) {
      await client.delete(blockaffinities, { name }, options).catch(ignoreMissing);
      return undefined;
    }
    await client
      .update(blockaffinities, { ...affinity, spec: { ...affinity.spec, state: "confirmed" } } satisfies BlockAffinity, options)
      .catch((error: unknown) => {
        if (!isStatus(error, "Conflict")) throw error; // confirmed by an earlier attempt
      });
    return block;
  }

  async #ownBlock(cidr: string, signal: AbortSignal | undefined): Promise<IPAMBlock | undefined> {
    const { client } = this.#deps;
    const name = blockName(cidr);
    try {
      const created = await client.create(ipamblocks, { metadata: { name }, spec: newBlock(cidr, this.#node) }, signal ? { signal } : {});
      return this.#keep(created);
    } catch (error) {
      if (!isStatus(error, "AlreadyExists")) throw error;
    }
    const there = await this.#read(name, signal);
    if (!there || nodeOfBlock(there.spec) === this.#node) return there;
    if (there.spec.affinity !== undefined) return undefined;
    const mine = affinityTo(this.#node);
    await this.#write(there, (spec) => (spec.affinity === undefined ? { block: { ...spec, affinity: mine } } : undefined), signal);
    return this.#own().find(({ metadata }) => metadata.name === name);
  }

  async #release(handleId: string, signal: AbortSignal | undefined): Promise<readonly string[]> {
    const { client } = this.#deps;
    const options = signal ? { signal } : {};
    const name = handleName(handleId);
    const handle = await client.get(ipamhandles, { name }, options).catch(ignoreMissing);
    const known = this.#ofHandle(handleId);
    const unseen = Object.keys(handle?.spec.block ?? {}).filter((cidr) => !known.some(({ spec }) => spec.cidr === cidr));
    const read = await Promise.all(unseen.map((cidr) => this.#read(blockName(cidr), signal)));
    const released: string[] = [];
    for (const block of [...known, ...read.flatMap((each) => each ?? [])]) {
      const change = (spec: IPAMBlock["spec"]) => {
        const addresses = allocationsOf(spec).flatMap((each) => (each.handleId === handleId ? [each.address] : []));
        return addresses.length === 0 ? undefined : { block: releasePlaces(spec, placesOfHandle(spec, handleId)), addresses };
      };
      const changed = await this.#write(block, change, signal);
      released.push(...(changed?.addresses ?? []));
      if (changed && changed.block.affinity === undefined && isEmpty(changed.block)) await this.#remove(block.metadata.name, signal);
    }
    if (handle) await client.delete(ipamhandles, { name }, options).catch(ignoreMissing);
    return released;
  }

  /** A block that is nobody's and empty. */
  async #remove(name: string, signal: AbortSignal | undefined): Promise<void> {
    const block = this.#own("").find(({ metadata }) => metadata.name === name);
    if (!block) return;
    const { uid, resourceVersion } = block.metadata;
    const body = { preconditions: { uid, resourceVersion } };
    try {
      await this.#deps.client.delete(ipamblocks, { name }, { body, ...(signal ? { signal } : {}) });
      this.#recent.deleted(writes, block);
    } catch (error) {
      // Somebody has taken an address of it, or has removed it as well.
      if (!isStatus(error, "Conflict") && !isStatus(error, "NotFound")) throw error;
    }
  }

  async #writeHandle(handleId: string, block: Readonly<Record<string, number>>, signal: AbortSignal | undefined): Promise<void> {
    const { client } = this.#deps;
    const options = signal ? { signal } : {};
    const name = handleName(handleId);
    const create = () => client.create(ipamhandles, { metadata: { name }, spec: { handleID: handleId, block, deleted: false } }, options);
    await create().catch(async (error: unknown) => {
      if (!isStatus(error, "AlreadyExists")) throw error;
      await client.patch(ipamhandles, { name }, { spec: { block } }, { type: "merge", ...options });
    });
  }

  async #read(name: string, signal: AbortSignal | undefined): Promise<IPAMBlock | undefined> {
    const block = await this.#deps.client.get(ipamblocks, { name }, signal ? { signal } : {}).catch(ignoreMissing);
    return block && this.#keep(block);
  }

  /** What may be newer than the cache. */
  #keep(block: IPAMBlock): IPAMBlock {
    return this.#recent.written(writes, block);
  }

  // Blocks as the cache has them, corrected by what has been written or read here since.

  #own(node = this.#node): readonly IPAMBlock[] {
    return this.#recent.correct(writes, this.#deps.blocks.byIndex(byNode, node)).filter((block) => nodesOf(block).includes(node));
  }

  #ofHandle(handleId: string): readonly IPAMBlock[] {
    const found = this.#recent.correct(writes, this.#deps.blocks.byIndex(byHandle, handleId));
    return found.filter(({ spec }) => placesOfHandle(spec, handleId).length > 0);
  }

  /** Of all nodes: for those that have to claim or borrow, which is rare. */
  #blocksIn(pool: Pool): readonly IPAMBlock[] {
    return this.#recent.correct(writes, [...this.#deps.blocks.list()]).filter(({ spec }) => isWithin(spec.cidr, pool));
  }

  #poolOf(cidr: string): Pool | undefined {
    const ip = parseCIDR(cidr)?.ip;
    return ip && this.#deps.pools().find((pool) => cidrContains(pool.cidr, ip));
  }
}

function isWithin(block: string, { cidr }: Pool): boolean {
  const ip = parseCIDR(block)?.ip;
  return ip !== undefined && cidrContains(cidr, ip);
}

function ignoreMissing(error: unknown): undefined {
  if (!isStatus(error, "NotFound")) throw error;
  return undefined;
}
