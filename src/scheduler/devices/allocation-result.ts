// What the status of a claim says about devices that were found for it: which device for which request, the configuration of
// classes and claim in the order that drivers apply it, and on which nodes the devices can be used.
import { randomUUID } from "node:crypto";
import type { NodeSelector, NodeSelectorRequirement } from "../../api/types/core-v1.ts";
import type {
  AllocationResult,
  DeviceAllocationConfiguration,
  DeviceRequestAllocationResult,
  ResourceClaim,
} from "../../api/types/resource-v1.ts";
import type { Pick } from "./device-search.ts";

export function allocationOf(claim: ResourceClaim, picks: readonly Pick[], nodeName: string): AllocationResult {
  const config = configurationOf(claim, picks);
  const nodeSelector = nodeSelectorOf(picks, nodeName);
  return {
    devices: { results: picks.map(resultOf), ...(config.length > 0 ? { config } : {}) },
    ...(nodeSelector ? { nodeSelector } : {}),
  };
}

function resultOf({ option, found, consumed }: Pick): DeviceRequestAllocationResult {
  const { device, slice } = found;
  const { bindingConditions = [], bindingFailureConditions = [] } = device;
  return {
    request: option.ref,
    driver: slice.spec.driver,
    pool: slice.spec.pool.name,
    device: device.name,
    ...(option.adminAccess ? { adminAccess: true } : {}),
    ...(option.tolerations?.length ? { tolerations: option.tolerations } : {}),
    ...(bindingConditions.length > 0 ? { bindingConditions } : {}),
    ...(bindingFailureConditions.length > 0 ? { bindingFailureConditions } : {}),
    ...(consumed ? { shareID: randomUUID() } : {}),
    ...(consumed?.size ? { consumedCapacity: Object.fromEntries([...consumed].map(([name, amount]) => [name, amount.toString()])) } : {}),
  };
}

/** First that of the classes, each once for all its requests, then the claim's own, which may so change what a class says. */
function configurationOf({ spec }: ResourceClaim, picks: readonly Pick[]): readonly DeviceAllocationConfiguration[] {
  const refs = new Map<string, { readonly ref: string; readonly from: Pick["option"]["class"] }>();
  for (const { option } of picks) refs.set(option.request, { ref: option.ref, from: option.class });
  const byClass = new Map<string, { readonly from: Pick["option"]["class"]; readonly requests: string[] }>();
  for (const { name } of spec.devices?.requests ?? []) {
    const used = refs.get(name);
    if (!used) continue;
    const known = byClass.get(used.from.metadata.name);
    if (known) known.requests.push(used.ref);
    else byClass.set(used.from.metadata.name, { from: used.from, requests: [used.ref] });
  }
  const ofClasses = [...byClass.values()].flatMap(({ from, requests }) =>
    (from.spec.config ?? []).map((each): DeviceAllocationConfiguration => ({ source: "FromClass", requests, ...each })),
  );
  const names = new Set([...refs].flatMap(([name, { ref }]) => [name, ref]));
  const ofClaim = (spec.devices?.config ?? [])
    .filter(({ requests = [] }) => requests.length === 0 || requests.some((name) => names.has(name)))
    .map((each): DeviceAllocationConfiguration => ({ source: "FromClaim", ...each }));
  return [...ofClasses, ...ofClaim];
}

/** Undefined where all of the devices can be used everywhere. */
function nodeSelectorOf(picks: readonly Pick[], nodeName: string): NodeSelector | undefined {
  const matchFields: NodeSelectorRequirement[] = [];
  const matchExpressions: NodeSelectorRequirement[] = [];
  for (const { device, slice } of picks.map(({ found }) => found)) {
    const { nodeName: only, nodeSelector } = slice.spec.perDeviceNodeSelection ? device : slice.spec;
    if (only || device.bindsToNode) {
      const field: NodeSelectorRequirement = { key: "metadata.name", operator: "In", values: [nodeName] };
      return { nodeSelectorTerms: [{ matchFields: [field] }] };
    }
    // Validation sees to it that there is one term.
    const [term] = nodeSelector?.nodeSelectorTerms ?? [];
    addMissing(matchFields, term?.matchFields ?? []);
    addMissing(matchExpressions, term?.matchExpressions ?? []);
  }
  if (matchFields.length + matchExpressions.length === 0) return undefined;
  const term = { ...(matchFields.length > 0 ? { matchFields } : {}), ...(matchExpressions.length > 0 ? { matchExpressions } : {}) };
  return { nodeSelectorTerms: [term] };
}

function addMissing(to: NodeSelectorRequirement[], from: readonly NodeSelectorRequirement[]): void {
  const textOf = ({ key, operator, values = [] }: NodeSelectorRequirement): string => JSON.stringify([key, operator, [...values].sort()]);
  for (const each of from) if (!to.some((other) => textOf(other) === textOf(each))) to.push(each);
}
