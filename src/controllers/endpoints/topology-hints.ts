// Hints of services with the annotation service.kubernetes.io/topology-mode: Auto. Every zone gets the part of the ready
// endpoints that its nodes have of the cluster's CPU: an endpoint serves its own zone first, and zones with more than their
// part give to those with less. Where a zone would have to do with too few endpoints there are no hints at all. Pure.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { findCondition } from "../../api/semantics/conditions.ts";
import type { Node, Service } from "../../api/types/core-v1.ts";
import type { Endpoint } from "../../api/types/discovery-v1.ts";
import type { EndpointGroup } from "./plan-slices.ts";

const modeAnnotation = "service.kubernetes.io/topology-mode";
const formerAnnotation = "service.kubernetes.io/topology-aware-hints";
const zoneLabel = "topology.kubernetes.io/zone";
const controlPlaneLabels = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

export function wantsTopologyHints({ metadata: { annotations } }: Service): boolean {
  const mode = annotations?.[formerAnnotation] ?? annotations?.[modeAnnotation];
  return mode === "Auto" || mode === "auto";
}

/** The part of the cluster's CPU that each zone has; undefined where it cannot be told, or there is but one zone. */
export type ZoneShares = ReadonlyMap<string, number>;

export function zoneSharesOf(nodes: Iterable<Node>): ZoneShares | undefined {
  const cpuByZone = new Map<string, number>();
  for (const { metadata, status } of nodes) {
    if (controlPlaneLabels.some((label) => metadata.labels?.[label] !== undefined)) continue;
    if (findCondition(status?.conditions, "Ready")?.status !== "True") continue;
    const zone = metadata.labels?.[zoneLabel];
    const cpu = parseQuantity(status?.allocatable?.cpu ?? 0).milliValue();
    if (!zone || cpu === 0) return undefined;
    cpuByZone.set(zone, (cpuByZone.get(zone) ?? 0) + cpu);
  }
  if (cpuByZone.size < 2) return undefined;
  const total = [...cpuByZone.values()].reduce((sum, cpu) => sum + cpu, 0);
  return new Map([...cpuByZone].map(([zone, cpu]) => [zone, cpu / total]));
}

export type TopologyHints =
  | { readonly kind: "hinted"; readonly groups: readonly EndpointGroup[] }
  /** Why there are none. */
  | { readonly kind: "none"; readonly message: string };

/** By how much an endpoint may be loaded more than the average. */
const tolerableOverload = 0.2;

export function withTopologyHints(groups: readonly EndpointGroup[], shares: ZoneShares | undefined): TopologyHints {
  const none = (message: string): TopologyHints => ({ kind: "none", message });
  if (!shares) return none("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes");
  const ready = groups.flatMap(({ endpoints }) => endpoints).filter(isReady);
  const counts = `(${ready.length} endpoints, ${shares.size} zones)`;
  if (shares.size > ready.length) return none(`Insufficient number of endpoints ${counts}`);
  const wanted = wantedByZone(shares, ready.length);
  if (!wanted) return none(`Unable to allocate minimum required endpoints to each zone without exceeding overload threshold ${counts}`);
  if (ready.some(({ zone }) => !zone)) return none("One or more endpoints do not have a zone specified");
  const moves = movesBetween(wanted, ready);
  const hinted = (endpoint: Endpoint): Endpoint => {
    if (!isReady(endpoint) || !endpoint.zone) return endpoint;
    return { ...endpoint, hints: { forZones: [{ name: moves.next(endpoint.zone) }] } };
  };
  return { kind: "hinted", groups: groups.map(({ ports, endpoints }) => ({ ports, endpoints: endpoints.map(hinted) })) };
}

const isReady = ({ conditions }: Endpoint): boolean => conditions?.ready === true;

/** How many endpoints each zone should have; undefined where the least that they need are more than there are. */
function wantedByZone(shares: ZoneShares, count: number): ReadonlyMap<string, number> | undefined {
  const wanted = new Map<string, number>();
  let least = 0;
  for (const [zone, share] of shares) {
    const exact = share * count;
    const minimum = Math.ceil(exact / (1 + tolerableOverload));
    wanted.set(zone, Math.max(exact, minimum));
    least += minimum;
  }
  return least > count ? undefined : wanted;
}

interface Moves {
  /** The zone that the next endpoint of this zone is for. */
  next(zone: string): string;
}

/** Which endpoints serve another zone: the first of a zone that has too many, until nobody lacks half an endpoint. */
function movesBetween(wanted: ReadonlyMap<string, number>, ready: readonly Endpoint[]): Moves {
  const present = new Map<string, number>();
  for (const { zone = "" } of ready) present.set(zone, (present.get(zone) ?? 0) + 1);
  const surplus = new Map<string, number>();
  const lack = new Map<string, number>();
  for (const [zone, target] of wanted) {
    const difference = (present.get(zone) ?? 0) - target;
    if (difference > 0) surplus.set(zone, difference);
    else if (difference < 0) lack.set(zone, -difference);
  }
  const giving = new Map<string, number>();
  const receiving: string[] = [];
  for (;;) {
    const [from, surplusLeft] = most(surplus);
    const [to, lackLeft] = most(lack);
    if ((surplusLeft < 1 && lackLeft < 1) || surplusLeft < 0.5 || lackLeft < 0.5) break;
    giving.set(from, (giving.get(from) ?? 0) + 1);
    receiving.push(to);
    surplus.set(from, surplusLeft - 1);
    lack.set(to, lackLeft - 1);
  }
  return {
    next(zone) {
      const left = giving.get(zone) ?? 0;
      const to = left > 0 ? receiving.shift() : undefined;
      if (to === undefined) return zone;
      giving.set(zone, left - 1);
      return to;
    },
  };
}

function most(zones: ReadonlyMap<string, number>): readonly [string, number] {
  let found: readonly [string, number] = ["", 0];
  for (const [zone, count] of zones) if (count > found[1]) found = [zone, count];
  return found;
}
