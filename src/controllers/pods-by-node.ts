// An index of pods by the node they are bound to.
import type { Pod } from "../api/types/core-v1.ts";
import type { Informer } from "../client/informer.ts";

const indexName = "nodeName";
const nodeNameOf = (pod: Pod): readonly string[] => (pod.spec.nodeName ? [pod.spec.nodeName] : []);

/** Call it where the informer is asked for; several controllers may. */
export function addNodeIndex(informer: Informer<Pod>): void {
  informer.addIndex(indexName, nodeNameOf);
}

export function podsOnNode(informer: Informer<Pod>, nodeName: string): readonly Pod[] {
  return informer.byIndex(indexName, nodeName);
}
