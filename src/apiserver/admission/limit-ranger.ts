// LimitRanger: gives containers the requests and limits that a namespace's limit ranges set by default, and refuses pods
// and claims outside the ranges. What it has set stands in an annotation of the pod.
import type { Quantity } from "../../api/meta/quantity.ts";
import { limitranges, persistentvolumeclaims, pods } from "../../api/resources.generated.ts";
import { podQuantities, type Quantities, quantitiesOf } from "../../api/semantics/pod-quantities.ts";
import type { Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { isAbout, joinProblems, refuse } from "./refusal.ts";

const annotation = "kubernetes.io/limit-ranger";

export function createLimitRanger({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  // They have been read: the plugin waits for them.
  const rangesIn = (namespace: string): readonly LimitRange[] => {
    const found = reader.informer(limitranges).inNamespace(namespace);
    return found.length < 2 ? found : [...found].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  };
  return {
    name: "LimitRanger",
    only: [pods, persistentvolumeclaims],
    waitsFor: [limitranges],
    handles: (request) => concerns(request) && request.oldObject?.metadata.deletionTimestamp === undefined,
    admit(request) {
      // A resize may bring a container that says less than the ranges' defaults: they are set again.
      if (request.resource.resource !== "pods") return request.object;
      return rangesIn(request.namespace).reduce(withDefaults, request.object as Pod);
    },
    validate(request) {
      for (const range of rangesIn(request.namespace)) {
        const problems = (range.spec?.limits ?? []).flatMap((limit) => problemsOf(limit, request));
        if (problems.length > 0) throw refuse(request, joinProblems(problems));
      }
    },
  };
}

/** A pod's containers change after its creation by the resize subresource only. */
function concerns(request: AdmissionRequest): boolean {
  if (request.operation === "CREATE") return isAbout(request, pods) || isAbout(request, persistentvolumeclaims);
  return request.operation === "UPDATE" && (isAbout(request, persistentvolumeclaims) || isAbout(request, pods, "resize"));
}

type Amounts = Readonly<Record<string, string>>;

function withDefaults(pod: Pod, range: LimitRange): Pod {
  const items = (range.spec?.limits ?? []).filter((l) => l.type === "Container");
  const requests: Amounts = Object.assign({}, ...items.map((l) => l.defaultRequest ?? {}));
  const limits: Amounts = Object.assign({}, ...items.map((l) => l.default ?? {}));
  const notes: string[] = [];
  const fill = (container: Container, noun: string): Container => {
    const newRequests = missingFrom(container.resources?.requests, requests);
    const newLimits = missingFrom(container.resources?.limits, limits);
    const note = (what: string, names: readonly string[]): void => {
      if (names.length > 0) notes.push(`${[...names].sort().join(", ")} ${what} for ${noun} ${container.name}`);
    };
    note("request", Object.keys(newRequests));
    note("limit", Object.keys(newLimits));
    return {
      ...container,
      resources: {
        ...container.resources,
        ...filled("requests", container.resources?.requests, newRequests),
        ...filled("limits", container.resources?.limits, newLimits),
      },
    };
  };
  if (!pod.spec) return pod;
  // A pod sent without containers has null here: validation, which comes later, refuses it.
  const containers = (pod.spec.containers ?? []).map((c) => fill(c, "container"));
  const initContainers = pod.spec.initContainers?.map((c) => fill(c, "init container"));
  if (notes.length === 0) return pod;
  const metadata = {
    ...pod.metadata,
    annotations: { ...pod.metadata.annotations, [annotation]: `LimitRanger plugin set: ${notes.join("; ")}` },
  };
  return { ...pod, metadata, spec: { ...pod.spec, containers, ...(initContainers ? { initContainers } : {}) } };
}

function filled(name: "requests" | "limits", own: Readonly<Record<string, unknown>> | undefined, more: Amounts): object {
  return Object.keys(more).length > 0 ? { [name]: { ...own, ...more } } : {};
}

function missingFrom(own: Readonly<Record<string, unknown>> | undefined, defaults: Amounts): Amounts {
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => own?.[name] === undefined));
}

function problemsOf(limit: LimitRangeItem, request: AdmissionRequest): readonly string[] {
  if (request.resource.resource === "persistentvolumeclaims") {
    if (limit.type !== "PersistentVolumeClaim") return [];
    const requests = quantitiesOf((request.object as PersistentVolumeClaim).spec?.resources?.requests);
    return [...check(limit, "min", (l) => belowMin(l, requests, {})), ...check(limit, "max", (l) => requestAboveMax(l, requests))];
  }
  const pod = request.object as Pod;
  if (limit.type === "Container")
    return [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].flatMap((c) =>
      allProblems(limit, quantitiesOf(c.resources?.requests), quantitiesOf(c.resources?.limits)),
    );
  return limit.type === "Pod" ? allProblems(limit, podQuantities(pod, "requests"), podQuantities(pod, "limits")) : [];
}

function allProblems(limit: LimitRangeItem, requests: Quantities, limits: Quantities): readonly string[] {
  return [
    ...check(limit, "min", (l) => belowMin(l, requests, limits)),
    ...check(limit, "max", (l) => aboveMax(l, requests, limits)),
    ...check(limit, "maxLimitRequestRatio", (l) => aboveRatio(l, requests, limits)),
  ];
}

/** One bound of a limit range. */
interface Bound {
  readonly resource: string;
  readonly type: string;
  readonly enforced: Quantity;
}

function check(
  limit: LimitRangeItem,
  which: "min" | "max" | "maxLimitRequestRatio",
  problem: (bound: Bound) => string | undefined,
): readonly string[] {
  return Object.entries(quantitiesOf(limit[which])).flatMap(
    ([resource, enforced]) => problem({ resource, type: limit.type, enforced }) ?? [],
  );
}

function belowMin({ resource, type, enforced }: Bound, requests: Quantities, limits: Quantities): string | undefined {
  const [request, limit] = [requests[resource], limits[resource]];
  const rule = `minimum ${resource} usage per ${type} is ${enforced}`;
  if (!request) return `${rule}.  No request is specified`;
  if (request.compare(enforced) < 0) return `${rule}, but request is ${request}`;
  return limit && limit.compare(enforced) < 0 ? `${rule}, but limit is ${limit}` : undefined;
}

function aboveMax({ resource, type, enforced }: Bound, requests: Quantities, limits: Quantities): string | undefined {
  const [request, limit] = [requests[resource], limits[resource]];
  const rule = `maximum ${resource} usage per ${type} is ${enforced}`;
  if (!limit) return `${rule}.  No limit is specified`;
  if (limit.compare(enforced) > 0) return `${rule}, but limit is ${limit}`;
  return request && request.compare(enforced) > 0 ? `${rule}, but request is ${request}` : undefined;
}

function requestAboveMax({ resource, type, enforced }: Bound, requests: Quantities): string | undefined {
  const request = requests[resource];
  const rule = `maximum ${resource} usage per ${type} is ${enforced}`;
  if (!request) return `${rule}.  No request is specified`;
  return request.compare(enforced) > 0 ? `${rule}, but request is ${request}` : undefined;
}

function aboveRatio({ resource, type, enforced }: Bound, requests: Quantities, limits: Quantities): string | undefined {
  const [request, limit] = [requests[resource], limits[resource]];
  const rule = `${resource} max limit to request ratio per ${type} is ${enforced}`;
  if (!request || request.isZero) return `${rule}, but no request is specified or request is 0`;
  if (!limit || limit.isZero) return `${rule}, but no limit is specified or limit is 0`;
  const ratio = Number(limit.nanos) / Number(request.nanos);
  return ratio > Number(enforced.nanos) / 1e9 ? `${rule}, but provided ratio is ${ratio.toFixed(6)}` : undefined;
}
