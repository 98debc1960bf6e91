// Spreads the endpoints of a service over slices of so many at most, changing as few slices as possible: endpoints stay
// in the slice they are in, new ones go where something changes anyway, then into the fullest slice that has room for all,
// then into new slices. Pure.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import type { Endpoint, EndpointPort, EndpointSlice } from "../../api/types/discovery-v1.ts";

/** Unless others are asked for. */
export const maxEndpointsPerSlice = 100;

/** Endpoints that are served at the same ports. */
export interface EndpointGroup {
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

/** A slice's content; its metadata are the caller's. */
export interface SliceContent {
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

export interface SlicesPlan {
  readonly create: readonly SliceContent[];
  readonly update: readonly { readonly slice: EndpointSlice; readonly content: SliceContent }[];
  readonly remove: readonly EndpointSlice[];
  readonly unchanged: readonly EndpointSlice[];
}

/** For the slices of one service and address type. Without any endpoints one empty slice remains or is made. */
export function planSlices(
  existing: readonly EndpointSlice[],
  groups: readonly EndpointGroup[],
  limit: number = maxEndpointsPerSlice,
): SlicesPlan {
  const plan = {
    create: [] as SliceContent[],
    update: [] as SlicesPlan["update"][number][],
    remove: [] as EndpointSlice[],
    unchanged: [] as EndpointSlice[],
  };
  const rest = new Set(existing);
  for (const group of groups) {
    const own = existing.filter((slice) => samePorts(slice.ports ?? [], group.ports));
    for (const slice of own) rest.delete(slice);
    planGroup(own, group, { plan, limit });
  }
  const isEmpty = plan.create.length === 0 && plan.update.length === 0 && plan.unchanged.length === 0;
  for (const slice of rest) {
    const isPlaceholder = (slice.endpoints ?? []).length === 0 && (slice.ports ?? []).length === 0;
    if (isEmpty && isPlaceholder && plan.unchanged.length === 0) plan.unchanged.push(slice);
    else plan.remove.push(slice);
  }
  if (isEmpty && plan.unchanged.length === 0) plan.create.push({ ports: [], endpoints: [] });
  return plan;
}

interface DraftPlan {
  readonly create: SliceContent[];
  readonly update: SlicesPlan["update"][number][];
  readonly remove: EndpointSlice[];
  readonly unchanged: EndpointSlice[];
}

interface Draft {
  readonly slice: EndpointSlice;
  readonly endpoints: Endpoint[];
  changed: boolean;
}

function planGroup(
  existing: readonly EndpointSlice[],
  group: EndpointGroup,
  { plan, limit }: { readonly plan: DraftPlan; readonly limit: number },
): void {
  const wanted = new Map(group.endpoints.map((endpoint) => [identity(endpoint), endpoint]));
  const drafts = existing.map((slice) => keepWanted(slice, wanted));
  const unplaced = [...wanted.values()];

  for (const draft of drafts) {
    if (!draft.changed || draft.endpoints.length === 0) continue;
    draft.endpoints.push(...unplaced.splice(0, limit - draft.endpoints.length));
  }
  while (unplaced.length >= limit) plan.create.push({ ports: group.ports, endpoints: unplaced.splice(0, limit) });
  if (unplaced.length > 0) {
    const roomy = drafts.filter(({ endpoints }) => endpoints.length + unplaced.length <= limit);
    const fullest = roomy.sort((a, b) => b.endpoints.length - a.endpoints.length)[0];
    if (fullest) {
      fullest.endpoints.push(...unplaced);
      fullest.changed = true;
    } else {
      plan.create.push({ ports: group.ports, endpoints: unplaced });
    }
  }
  for (const { slice, endpoints, changed } of drafts) {
    if (endpoints.length === 0) plan.remove.push(slice);
    else if (changed) plan.update.push({ slice, content: { ports: group.ports, endpoints } });
    else plan.unchanged.push(slice);
  }
}

/** The slice with those of its endpoints that are still wanted, in their present state; takes them from `wanted`. */
function keepWanted(slice: EndpointSlice, wanted: Map<string, Endpoint>): Draft {
  const draft: Draft = { slice, endpoints: [], changed: false };
  for (const endpoint of slice.endpoints ?? []) {
    const key = identity(endpoint);
    const current = wanted.get(key);
    if (current) {
      draft.endpoints.push(current);
      wanted.delete(key);
      if (semanticallyEqual(current, endpoint)) continue;
    }
    draft.changed = true;
  }
  return draft;
}

function identity({ targetRef, addresses }: Endpoint): string {
  return `${targetRef?.uid ?? ""} ${addresses.join(",")}`;
}

function samePorts(a: readonly EndpointPort[], b: readonly EndpointPort[]): boolean {
  return a.length === b.length && a.every((port, i) => semanticallyEqual(port, b[i]));
}
