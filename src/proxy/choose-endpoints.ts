// Which endpoints of a port this node sends to: for traffic that may go anywhere (ready ones, those meant for this node or
// zone if hints say so everywhere) and for traffic that must stay here. Where none is ready, those that still serve while they
// end take over, so that a rolling update or a shut-down loses no connection.
import type { ServiceEndpoint } from "./endpoints.ts";
import { isExternallyAccessible, type ServicePortInfo } from "./service-port.ts";

export interface ChosenEndpoints {
  /** For the traffic policy Cluster; empty where the port never has that policy. */
  readonly cluster: readonly ServiceEndpoint[];
  /** For the traffic policy Local; empty where the port never has that policy. */
  readonly local: readonly ServiceEndpoint[];
  /** All that this node may send to. */
  readonly reachable: readonly ServiceEndpoint[];
  /** Whether there is a usable one anywhere in the cluster. */
  readonly hasAny: boolean;
}

/** The node, as hints name it. */
export interface NodePlace {
  readonly nodeName: string;
  readonly zone: string | undefined;
}

const serveWhileEnding = (endpoint: ServiceEndpoint): boolean => endpoint.isServing && endpoint.isTerminating;

export function chooseEndpoints(port: ServicePortInfo, endpoints: readonly ServiceEndpoint[], place: NodePlace): ChosenEndpoints {
  const isExternal = isExternallyAccessible(port);
  // What comes from pods and the node itself to an external address goes to any endpoint, whatever the external policy.
  const usesCluster = !port.internalLocal || isExternal;
  const usesLocal = port.internalLocal || (port.externalLocal && isExternal);
  const cluster = usesCluster ? readyOr(endpoints, (ready) => meantForHere(ready, place)) : [];
  const local = usesLocal
    ? readyOr(
        endpoints.filter(({ isLocal }) => isLocal),
        (ready) => ready,
      )
    : [];
  const hasAny = cluster.length > 0 || endpoints.some((e) => e.isReady || serveWhileEnding(e));
  return { cluster, local, reachable: [...new Set([...cluster, ...local])], hasAny };
}

function readyOr(
  endpoints: readonly ServiceEndpoint[],
  choose: (ready: readonly ServiceEndpoint[]) => readonly ServiceEndpoint[],
): readonly ServiceEndpoint[] {
  const ready = endpoints.filter(({ isReady }) => isReady);
  return ready.length > 0 ? choose(ready) : endpoints.filter(serveWhileEnding);
}

/** Hints count when every endpoint has some and one is for here: the node's before the zone's. */
function meantForHere(ready: readonly ServiceEndpoint[], { nodeName, zone }: NodePlace): readonly ServiceEndpoint[] {
  if (ready.every(({ nodeHints }) => nodeHints.length > 0)) {
    const here = ready.filter(({ nodeHints }) => nodeHints.includes(nodeName));
    if (here.length > 0) return here;
  }
  if (zone !== undefined && ready.every(({ zoneHints }) => zoneHints.length > 0)) {
    const here = ready.filter(({ zoneHints }) => zoneHints.includes(zone));
    if (here.length > 0) return here;
  }
  return ready;
}
