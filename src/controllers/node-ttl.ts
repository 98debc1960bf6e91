// ttl-controller: tells kubelets in an annotation how long they may keep Secrets and ConfigMaps without asking: the longer,
// the more nodes there are. Between two sizes lies a gap, so that a cluster at a boundary does not flip.
import { nodes } from "../api/resources.generated.ts";
import { type Controller, watch } from "./controller.ts";

const annotation = "node.alpha.kubernetes.io/ttl";

const steps = [
  { minNodes: 0, maxNodes: 100, ttlSeconds: 0 },
  { minNodes: 90, maxNodes: 500, ttlSeconds: 15 },
  { minNodes: 450, maxNodes: 1000, ttlSeconds: 30 },
  { minNodes: 900, maxNodes: 2000, ttlSeconds: 60 },
  { minNodes: 1800, maxNodes: Number.POSITIVE_INFINITY, ttlSeconds: 300 },
] as const;

/** The step for so many nodes, staying on the present one where its bounds allow. */
export function ttlStep(nodeCount: number, step: number): number {
  let next = step;
  while (nodeCount > (steps[next]?.maxNodes ?? 0)) next++;
  while (next > 0 && nodeCount < (steps[next]?.minNodes ?? 0)) next--;
  return next;
}

export const nodeTtlController: Controller = {
  name: "ttl-controller",
  create({ client, informers, enqueue }) {
    const nodeInformer = informers.informer(nodes);
    let step = 0;
    return {
      watches: [watch(nodeInformer, (node) => [node.metadata.name])],
      async reconcile(name, { signal }) {
        const next = ttlStep(nodeInformer.size, step);
        if (next !== step) {
          step = next;
          for (const node of nodeInformer.list()) enqueue(node.metadata.name);
        }
        const node = nodeInformer.get(name);
        const value = String(steps[step]?.ttlSeconds ?? 0);
        if (!node || node.metadata.annotations?.[annotation] === value) return undefined;
        await client.patch(nodes, { name }, { metadata: { annotations: { [annotation]: value } } }, { type: "merge", signal });
        return undefined;
      },
    };
  },
};
