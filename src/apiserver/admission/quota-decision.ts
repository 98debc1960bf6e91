// What a write costs the quotas of its namespace, and whether they allow it: a pure decision over the quotas as they are known.
// Resources may be limited by default: then they can be consumed only where a quota says how much.

import type { ConfigFields } from "../../api/encode/config-fields.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import type { ClaimSurroundings } from "../../api/semantics/device-quota.ts";
import { addQuantities, type Quantities, quantitiesOf } from "../../api/semantics/pod-quantities.ts";
import { isCountedFor, isInScope, matchesScope, missingValues, type Present, scopesOf, usageOf } from "../../api/semantics/quota-usage.ts";
import type { Pod, ResourceQuota, ScopedResourceSelectorRequirement } from "../../api/types/core-v1.ts";
import type { AdmissionRequest } from "./admission.ts";
import { refuse } from "./refusal.ts";

/** What nobody may consume without a quota that limits it. */
export interface LimitedResource {
  readonly apiGroup: string;
  readonly resource: string;
  /** Parts of the names under which quotas count ("requests.storage"). */
  readonly matchContains: readonly string[];
  readonly matchScopes: readonly ScopedResourceSelectorRequirement[];
}

const operators = ["In", "NotIn", "Exists", "DoesNotExist"] as const;

/** Throws ConfigError. */
export function limitedResources(root: ConfigFields): readonly LimitedResource[] {
  const isCurrent = root.text("apiVersion") === "apiserver.config.k8s.io/v1";
  if (isCurrent) root.kindOf("ResourceQuotaConfiguration", ["apiserver.config.k8s.io/v1"]);
  else root.kindOf("Configuration", ["resourcequota.admission.k8s.io/v1beta1", "resourcequota.admission.k8s.io/v1alpha1"]);
  const limited = root.objects("limitedResources").map((fields) => {
    const { apiGroup = "", resource } = { apiGroup: fields.text("apiGroup"), resource: fields.required("resource") };
    const matchScopes = fields.objects("matchScopes").map((scope) => {
      const requirement = {
        scopeName: scope.required("scopeName"),
        operator: scope.oneOf("operator", operators),
        values: scope.texts("values"),
      };
      scope.end();
      return requirement as ScopedResourceSelectorRequirement; // names that are no scopes match nothing
    });
    const result = { apiGroup, resource, matchContains: fields.texts("matchContains"), matchScopes };
    fields.end();
    return result;
  });
  root.end();
  return limited;
}

export interface QuotaRules {
  /** Default: nothing. */
  readonly limited?: readonly LimitedResource[];
  readonly present: Present;
}

/** A quota that the request concerns. */
interface Concerned {
  readonly quota: ResourceQuota;
  /** What of it limits objects of this kind. */
  readonly names: readonly string[];
}

/** The quotas that change, with the request charged to them. Throws 403 where they do not allow it. */
export function decideQuotas(
  quotas: readonly ResourceQuota[],
  request: AdmissionRequest,
  { limited = [], present }: QuotaRules,
): readonly ResourceQuota[] {
  const { resource: type } = request;
  const object = request.object as KubernetesObject; // handles() has seen it
  const concerned = quotas.flatMap((quota) => concernedQuota(quota, request, present.around) ?? []);
  const cost = usageOf(type, object, present);
  const negative = Object.keys(cost).filter((name) => (cost[name]?.sign ?? 0) < 0);
  if (negative.length > 0) throw refuse(request, `quota usage is negative for resource(s): ${sorted(negative)}`);
  const increase = increaseOf(request, cost, present);
  const deltas = concerned.map(({ quota }) => (wasCounted(quota, request) ? increase : positive(cost)));
  const isFree = concerned.length === 0 ? isNothing(increase) : deltas.every(isNothing);
  if (isFree) return [];
  if (limited.length > 0) checkCovered(request, cost, { quotas, concerned, limited });
  return concerned.flatMap(({ quota }, i) => charged(request, quota, deltas[i] ?? {}) ?? []);
}

const sorted = (names: readonly string[]): string => [...names].sort().join(",");
const isNothing = (quantities: Quantities): boolean => Object.keys(quantities).length === 0;
const positive = (quantities: Quantities): Quantities => Object.fromEntries(Object.entries(quantities).filter(([, q]) => q.sign > 0));

function concernedQuota(quota: ResourceQuota, request: AdmissionRequest, around: ClaimSurroundings | undefined): Concerned | undefined {
  const { resource: type } = request;
  const object = request.object as KubernetesObject;
  const names = Object.keys(quota.status?.hard ?? {}).filter((name) => isCountedFor(type, name, around));
  if (names.length === 0 || !isInScope(type, object, quota)) return undefined;
  const { name } = quota.metadata;
  const missing = type.resource === "pods" && type.group === "" ? missingValues(object as Pod, names) : undefined;
  if (missing !== undefined) throw refuse(request, `failed quota: ${name}: ${missing}`);
  const used = quota.status?.used ?? {};
  if (names.some((n) => used[n] === undefined)) throw refuse(request, `status unknown for quota: ${name}, resources: ${sorted(names)}`);
  return { quota, names };
}

/** What an update costs more than the object cost before: nothing is given back here. */
function increaseOf({ operation, oldObject, resource }: AdmissionRequest, cost: Quantities, present: Present): Quantities {
  if (operation !== "UPDATE" || !oldObject) return positive(cost);
  const before = Object.entries(usageOf(resource, oldObject, present)).map(([name, quantity]) => [name, quantity.negate()] as const);
  return positive(addQuantities(cost, Object.fromEntries(before)));
}

/** Whether the quota has been charged for the object as it was. */
function wasCounted(quota: ResourceQuota, { operation, oldObject, resource }: AdmissionRequest): boolean {
  return operation !== "UPDATE" || (oldObject !== undefined && isInScope(resource, oldObject, quota));
}

function checkCovered(
  request: AdmissionRequest,
  cost: Quantities,
  {
    quotas,
    concerned,
    limited,
  }: Readonly<Record<"quotas", readonly ResourceQuota[]>> & {
    readonly concerned: readonly Concerned[];
    readonly limited: readonly LimitedResource[];
  },
): void {
  const { resource: type } = request;
  const object = request.object as KubernetesObject;
  const parts = limited.filter((l) => l.resource === type.resource && l.apiGroup === type.group).flatMap((l) => l.matchContains);
  const consumed = Object.keys(positive(cost)).filter((name) => parts.some((part) => name.includes(part)));
  const covered = new Set(concerned.flatMap(({ names }) => names));
  const uncovered = consumed.filter((name) => !covered.has(name));
  if (uncovered.length > 0) throw refuse(request, `insufficient quota to consume: ${sorted(uncovered)}`);
  const inScope = (scopes: readonly ScopedResourceSelectorRequirement[]) => scopes.filter((scope) => matchesScope(type, object, scope));
  const wanted = inScope(limited.flatMap((l) => l.matchScopes));
  const given = new Set(inScope(quotas.flatMap(scopesOf)).map((scope) => scope.scopeName));
  const open = wanted.filter((scope) => !given.has(scope.scopeName));
  if (open.length === 0) return;
  const texts = open.map(({ scopeName, operator, values = [] }) => `{${scopeName} ${operator} [${values.join(" ")}]}`);
  throw new StatusError({ code: 500, message: `insufficient quota to match these scopes: [${texts.join(" ")}]` });
}

/** The quota with the request charged; undefined where it does not cost it anything. Throws 403 where it would exceed it. */
function charged(request: AdmissionRequest, quota: ResourceQuota, increase: Quantities): ResourceQuota | undefined {
  const hard = quantitiesOf(quota.status?.hard);
  const delta = Object.fromEntries(Object.entries(increase).filter(([name]) => hard[name] !== undefined));
  if (isNothing(delta)) return undefined;
  const used = quantitiesOf(quota.status?.used);
  const newUsed = addQuantities(used, delta);
  const exceeded = Object.keys(delta).filter((name) => exceeds(newUsed, hard, name));
  // What a status reports has happened already.
  if (exceeded.length > 0 && request.subresource !== "status")
    throw refuse(
      request,
      `exceeded quota: ${quota.metadata.name}, requested: ${show(delta, exceeded)}, used: ${show(used, exceeded)}, limited: ${show(hard, exceeded)}`,
    );
  return {
    ...quota,
    status: { ...quota.status, used: Object.fromEntries(Object.entries(newUsed).map(([n, quantity]) => [n, quantity.toString()])) },
  };
}

function exceeds(used: Quantities, hard: Quantities, name: string): boolean {
  const [now, limit] = [used[name], hard[name]];
  return now !== undefined && limit !== undefined && now.compare(limit) > 0;
}

function show(quantities: Quantities, names: readonly string[]): string {
  return [...names]
    .sort()
    .map((name) => `${name}=${quantities[name]?.toString() ?? "0"}`)
    .join(",");
}
