// node-ipam-controller: gives every node its range of pod addresses, from which the node's network plugin takes those of
// its pods. What nodes have already is respected, also when the controller starts anew.
import { nodes } from "../../api/resources.generated.ts";
import type { Node } from "../../api/types/core-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { CidrPool, type PoolWatcher } from "./cidr-pool.ts";

export const nodeIpamController: Controller = {
  name: "node-ipam-controller",
  serviceAccount: "node-controller",
  component: "cidrAllocator",
  // One at a time: a range must not be given out twice.
  workers: 1,
  create(context) {
    const nodeInformer = context.informers.informer(nodes);
    const pools = createPools(context);
    /** What each node has, by name. */
    const assigned = new Map<string, readonly string[]>();
    const occupy = (node: Node): void => {
      const cidrs = node.spec?.podCIDRs ?? [];
      if (cidrs.length === 0 || assigned.has(node.metadata.name)) return;
      assigned.set(node.metadata.name, cidrs);
      for (const cidr of cidrs) for (const pool of pools) pool.occupy(cidr);
    };
    return {
      watches: [
        // Before any range is given out all that are in use are known: handlers run before the first reconcile.
        { start: () => nodeInformer.addHandler({ onAdd: occupy, onUpdate: occupy }) },
        watch(nodeInformer, (node) => [node.metadata.name]),
      ],
      async reconcile(name, { signal }) {
        const node = nodeInformer.get(name);
        if (!node) {
          for (const cidr of assigned.get(name) ?? []) for (const pool of pools) pool.release(cidr);
          assigned.delete(name);
          return undefined;
        }
        if (pools.length === 0 || (node.spec?.podCIDRs ?? []).length > 0) return undefined;
        await assign(context, { node, pools, assigned, signal });
        return undefined;
      },
      start: () => showPools(context, pools),
    };
  },
};

function createPools({ options, metrics }: ControllerContext): readonly CidrPool[] {
  return (options.clusterCidrs ?? ["10.244.0.0/16"]).map((range) => {
    const watcher: PoolWatcher = {
      taken(passedOver) {
        metrics?.own.count("node_ipam_controller_cidrset_cidrs_allocations_total", range);
        metrics?.own.observe("node_ipam_controller_cidrset_allocation_tries_per_request", passedOver, range);
      },
      released: () => metrics?.own.count("node_ipam_controller_cidrset_cidrs_releases_total", range),
    };
    const length = range.includes(":") ? (options.nodeCidrMaskSizeIpv6 ?? 64) : (options.nodeCidrMaskSizeIpv4 ?? 24);
    const pool = new CidrPool(range, length, watcher);
    for (const services of options.serviceCidrs ?? []) pool.occupy(services);
    return pool;
  });
}

const poolGauges = ["node_ipam_controller_cidrset_usage_cidrs", "node_ipam_controller_cirdset_max_cidrs"] as const;

function showPools({ metrics }: ControllerContext, pools: readonly CidrPool[]): Running {
  const hide = metrics?.own.beforeScrape(poolGauges, () => {
    for (const { range, sizes } of pools) {
      metrics.own.set("node_ipam_controller_cidrset_usage_cidrs", sizes.used / sizes.all, range);
      metrics.own.set("node_ipam_controller_cirdset_max_cidrs", sizes.all, range);
    }
  });
  return { stop: async () => hide?.() };
}

interface Assignment {
  readonly node: Node;
  readonly pools: readonly CidrPool[];
  readonly assigned: Map<string, readonly string[]>;
  readonly signal: AbortSignal;
}

async function assign({ client, recorder }: ControllerContext, { node, pools, assigned, signal }: Assignment): Promise<void> {
  const { name, uid } = node.metadata;
  // An assignment that could not be written is tried again with the same ranges.
  const podCIDRs = assigned.get(name) ?? allocate(pools);
  if (!podCIDRs) {
    const about = { apiVersion: "v1", kind: "Node", name, uid };
    recorder.record(about, { type: "Normal", reason: "CIDRNotAvailable", message: `Node ${name} status is now: CIDRNotAvailable` });
    throw new Error(`there is no free pod range for node ${name}`);
  }
  assigned.set(name, podCIDRs);
  await client.patch(nodes, { name }, { metadata: { uid }, spec: { podCIDR: podCIDRs[0], podCIDRs } }, { type: "strategic", signal });
}

/** One range of each pool, or none of any. */
function allocate(pools: readonly CidrPool[]): readonly string[] | undefined {
  const cidrs = pools.map((pool) => pool.allocate());
  const complete = cidrs.filter((cidr) => cidr !== undefined);
  if (complete.length === pools.length) return complete;
  for (const [i, cidr] of cidrs.entries()) if (cidr !== undefined) pools[i]?.release(cidr);
  return undefined;
}
