// From the objects of the Gateway API to what is served at each port, and what is to be said in their status. Pure, level-based:
// everything is decided anew from what there is.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { WantedCertificate } from "../certificates.ts";
import { byAge } from "../ingress-rules.ts";
import { type Backend, compileRoutes, type Route } from "../routes.ts";
import type { Site } from "../sites.ts";
import {
  type Gateway,
  type GatewayAddress,
  type GatewayClass,
  gatewayGroup,
  type ParentReference,
  type RouteKind,
} from "./gateway-types.ts";
import type { GatewayView } from "./gateway-view.ts";
import { allowsRoute, type CheckedListener, checkListeners, commonHosts, isServable, type KindOfRoute, type Verdict } from "./listeners.ts";
import { grpcTargetsOf, type HostlessRoute, type RouteTargets, targetsOf } from "./route-targets.ts";

export const gatewayControllerName = "coracle.local/gateway-controller";

/** A condition without its times. */
export interface Said extends Verdict {
  readonly type: string;
  readonly status: "True" | "False";
}

export interface WantedListenerStatus {
  readonly name: string;
  readonly attachedRoutes: number;
  readonly supportedKinds: readonly RouteKind[];
  readonly conditions: readonly Said[];
}

export interface WantedGatewayStatus {
  readonly gateway: Gateway;
  readonly conditions: readonly Said[];
  readonly addresses: readonly GatewayAddress[];
  readonly listeners: readonly WantedListenerStatus[];
}

export interface WantedRouteStatus {
  readonly kind: KindOfRoute["kind"];
  readonly route: KindOfRoute["route"];
  readonly parents: readonly { readonly parentRef: ParentReference; readonly conditions: readonly Said[] }[];
}

export interface GatewayPort {
  readonly scheme: "http" | "https";
  readonly port: number;
  readonly sites: readonly Site[];
  /** Whether clients of gRPC may come without TLS. */
  readonly h2c: boolean;
  readonly certificates: readonly WantedCertificate<Gateway>[];
}

export interface GatewayPlan {
  readonly ports: readonly GatewayPort[];
  readonly backends: readonly Backend[];
  readonly classes: readonly { readonly gatewayClass: GatewayClass; readonly conditions: readonly Said[] }[];
  readonly gateways: readonly WantedGatewayStatus[];
  readonly routes: readonly WantedRouteStatus[];
}

const yes = (type: string, message = ""): Said => ({ type, status: "True", reason: type, message });
const no = (type: string, { reason, message }: Verdict): Said => ({ type, status: "False", reason, message });
const orYes = (type: string, wrong: Verdict | undefined): Said => (wrong ? no(type, wrong) : yes(type));
const isLiving = ({ metadata }: KubernetesObject): boolean => metadata.deletionTimestamp === undefined;

/** A route at a listener. */
interface Attached extends KindOfRoute {
  readonly targets: RouteTargets;
  readonly hosts: readonly (string | undefined)[];
}

export function planGateways(view: GatewayView): GatewayPlan {
  const ours = view.classes.filter(({ spec }) => spec.controllerName === gatewayControllerName);
  const accepted = new Set(ours.filter(({ spec }) => spec.parametersRef === undefined).map(({ metadata }) => metadata.name));
  const gateways = view.gateways.filter((g) => isLiving(g) && accepted.has(g.spec.gatewayClassName)).sort(byAge);
  const addressed = new Map(gateways.map((gateway) => [gateway, addressProblem(gateway, view)]));
  const listeners = checkListeners(
    gateways.filter((gateway) => !addressed.get(gateway)),
    view,
  );
  const attached = new Map<CheckedListener, Attached[]>(listeners.map((listener) => [listener, []]));
  const routeStatuses = routesOf(view).map((route) => attachRoute(route, { gateways, attached, view }));
  return {
    ports: portsOf(attached),
    backends: [...attached.values()].flat().flatMap(({ targets }) => targets.backends),
    classes: ours.map((gatewayClass) => ({ gatewayClass, conditions: [classCondition(gatewayClass)] })),
    gateways: gateways.map((gateway) => gatewayStatus(gateway, { attached, view, problem: addressed.get(gateway) })),
    routes: routeStatuses.filter(({ parents, route }) => parents.length > 0 || (route.status?.parents ?? []).length > 0),
  };
}

interface AnyRoute extends KindOfRoute {
  readonly targets: () => RouteTargets;
}

/** Of all kinds, the oldest first. */
function routesOf(view: GatewayView): readonly AnyRoute[] {
  const all: readonly AnyRoute[] = [
    ...view.routes.map((route) => ({ kind: "HTTPRoute" as const, route, targets: () => targetsOf(route, view) })),
    ...view.grpcRoutes.map((route) => ({ kind: "GRPCRoute" as const, route, targets: () => grpcTargetsOf(route, view) })),
  ];
  return all.filter(({ route }) => isLiving(route)).sort((a, b) => byAge(a.route, b.route));
}

function classCondition({ spec }: GatewayClass): Said {
  const message = "Parameters are not understood";
  return spec.parametersRef ? no("Accepted", { reason: "InvalidParameters", message }) : yes("Accepted");
}

interface AttachInput {
  readonly gateways: readonly Gateway[];
  readonly attached: ReadonlyMap<CheckedListener, Attached[]>;
  readonly view: GatewayView;
}

function attachRoute(any: AnyRoute, { gateways, attached, view }: AttachInput): WantedRouteStatus {
  const { kind, route } = any;
  let targets: RouteTargets | undefined;
  const parents = (route.spec.parentRefs ?? []).flatMap((parentRef) => {
    const gateway = gateways.find((one) => isParent(one, parentRef, route));
    if (!gateway) return [];
    targets ??= any.targets();
    const found = listenersFor(
      any,
      parentRef,
      [...attached.keys()].filter((one) => one.gateway === gateway),
      view,
    );
    const wrong = "reason" in found ? found : targets.unsupported;
    if (!("reason" in found) && !wrong)
      for (const { listener, hosts } of found.listeners) {
        const of = attached.get(listener);
        // Two references may lead to one listener.
        if (of && !of.some((one) => one.route === route)) of.push({ kind, route, targets, hosts });
      }
    return [{ parentRef, conditions: [orYes("Accepted", wrong), orYes("ResolvedRefs", targets.unresolved)] }];
  });
  return { kind, route, parents };
}

function isParent(
  { metadata }: Gateway,
  { group = gatewayGroup, kind = "Gateway", name, namespace }: ParentReference,
  route: KubernetesObject,
): boolean {
  const of = namespace ?? route.metadata.namespace;
  return group === gatewayGroup && kind === "Gateway" && metadata.name === name && metadata.namespace === of;
}

interface FoundListeners {
  readonly listeners: readonly { readonly listener: CheckedListener; readonly hosts: readonly (string | undefined)[] }[];
}

function listenersFor(
  any: KindOfRoute,
  { sectionName, port }: ParentReference,
  all: readonly CheckedListener[],
  view: GatewayView,
): FoundListeners | Verdict {
  const named = all.filter(({ listener }) => (sectionName ?? listener.name) === listener.name && (port ?? listener.port) === listener.port);
  if (named.length === 0) return { reason: "NoMatchingParent", message: "The gateway has no such listener" };
  const allowing = named.filter((listener) => allowsRoute(listener, any, view));
  if (allowing.length === 0) return { reason: "NotAllowedByListeners", message: "No listener allows this route" };
  const listeners = allowing
    .map((listener) => ({ listener, hosts: commonHosts(listener.host, any.route.spec.hostnames ?? []) }))
    .filter(({ hosts }) => hosts.length > 0);
  if (listeners.length === 0)
    return { reason: "NoMatchingListenerHostname", message: "No listener has a hostname in common with this route" };
  return { listeners };
}

function portsOf(attached: ReadonlyMap<CheckedListener, readonly Attached[]>): readonly GatewayPort[] {
  interface Growing {
    readonly scheme: "http" | "https";
    readonly sites: Site[];
    readonly certificates: WantedCertificate<Gateway>[];
    h2c: boolean;
  }
  const ports = new Map<number, Growing>();
  for (const [checked, routes] of attached) {
    if (!isServable(checked)) continue;
    const { port } = checked.listener;
    const known = ports.get(port) ?? { scheme: checked.scheme, sites: [], certificates: [], h2c: false };
    ports.set(port, known);
    known.sites.push({ host: checked.host, table: compileRoutes(orderedRoutes(routes), { deepWildcards: true }) });
    known.certificates.push(...checked.certificates);
    known.h2c ||= routes.some(({ kind }) => kind === "GRPCRoute");
  }
  return [...ports].map(([port, plan]) => ({ port, ...plan }));
}

/** What conditions say more goes first; of equals the older route, which comes first as it is. */
function orderedRoutes(attached: readonly Attached[]): readonly Route[] {
  const routes = attached.flatMap(({ targets, hosts }) =>
    hosts.flatMap((host) => targets.routes.map((route): Route => ({ ...route, host }))),
  );
  return routes.sort((a, b) => comparePrecedence(a, b));
}

function comparePrecedence(a: HostlessRoute, b: HostlessRoute): number {
  const ranks = ({ match, path, conditions }: HostlessRoute): readonly number[] => [
    match === "pattern" ? path.length : 0,
    conditions?.method === undefined ? 0 : 1,
    conditions?.headers.length ?? 0,
    conditions?.query.length ?? 0,
  ];
  const [x, y] = [ranks(a), ranks(b)];
  for (const [i, rank] of x.entries()) if (rank !== y[i]) return (y[i] ?? 0) - rank;
  return 0;
}

/** What is wrong with the addresses that a gateway asks for. */
function addressProblem({ spec }: Gateway, { addresses }: GatewayView): (Verdict & { readonly type: string }) | undefined {
  for (const { type = "IPAddress", value } of spec.addresses ?? []) {
    if (type !== "IPAddress" && type !== "Hostname")
      return { type: "Accepted", reason: "UnsupportedAddress", message: `Addresses of type ${type} are not served` };
    if (value && !addresses.includes(value))
      return { type: "Programmed", reason: "AddressNotUsable", message: `${value} is no address of this machine` };
  }
  return undefined;
}

interface StatusInput {
  readonly attached: ReadonlyMap<CheckedListener, readonly Attached[]>;
  readonly view: GatewayView;
  readonly problem: (Verdict & { readonly type: string }) | undefined;
}

function gatewayStatus(gateway: Gateway, { attached, view, problem }: StatusInput): WantedGatewayStatus {
  const own = [...attached].filter(([checked]) => checked.gateway === gateway);
  const listeners = own.map(([checked, routes]) => listenerStatus(checked, routes.length, view));
  const isProgrammed = ({ conditions }: WantedListenerStatus): boolean =>
    conditions.some((c) => c.type === "Programmed" && c.status === "True");
  const valid = own.filter(([checked]) => isServable(checked)).length;
  const conditions = problem
    ? [
        problem.type === "Accepted" ? no("Accepted", problem) : yes("Accepted"),
        no("Programmed", problem.type === "Programmed" ? problem : { ...problem, reason: "Invalid" }),
      ]
    : [acceptedCondition(valid, own.length), programmedCondition(listeners.some(isProgrammed), valid, view)];
  const isShown = !problem && conditions[1]?.status === "True";
  return { gateway, conditions, listeners, addresses: isShown ? view.addresses.map(addressOf) : [] };
}

function acceptedCondition(valid: number, all: number): Said {
  if (valid === all) return yes("Accepted");
  const wrong = { reason: "ListenersNotValid", message: `${all - valid} of ${all} listeners cannot be served` };
  return valid === 0 ? no("Accepted", wrong) : { ...yes("Accepted"), ...wrong };
}

function programmedCondition(isProgrammed: boolean, valid: number, { addresses }: GatewayView): Said {
  if (valid === 0) return no("Programmed", { reason: "Invalid", message: "No listener can be served" });
  if (!isProgrammed) return no("Programmed", { reason: "Pending", message: "No port is open yet" });
  if (addresses.length === 0) return no("Programmed", { reason: "AddressNotAssigned", message: "There is no address yet" });
  return yes("Programmed");
}

const addressOf = (value: string): GatewayAddress => ({
  type: value.includes(":") || /^[\d.]+$/.test(value) ? "IPAddress" : "Hostname",
  value,
});

function listenerStatus(checked: CheckedListener, attachedRoutes: number, view: GatewayView): WantedListenerStatus {
  const { listener, scheme, supportedKinds, portProblem, conflict, unresolved } = checked;
  const unaccepted = portProblem === undefined ? checked.unaccepted : { reason: "PortUnavailable", message: portProblem };
  const isOpen = view.isListening(scheme, listener.port);
  const unprogrammed = !isServable(checked)
    ? { reason: "Invalid", message: "The listener cannot be served" }
    : isOpen
      ? undefined
      : { reason: "Pending", message: "The port is not open yet" };
  const conflicted: Said = conflict
    ? { type: "Conflicted", status: "True", ...conflict }
    : { type: "Conflicted", status: "False", reason: "NoConflicts", message: "" };
  const conditions = [orYes("Accepted", unaccepted), conflicted, orYes("ResolvedRefs", unresolved), orYes("Programmed", unprogrammed)];
  return { name: listener.name, attachedRoutes, supportedKinds, conditions };
}
