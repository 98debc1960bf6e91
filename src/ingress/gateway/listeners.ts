// The listeners of gateways: which of them can be served, and what is wrong with the others. Pure. Gateways come oldest first: all
// share the machine's ports, and a port with its name belongs to the first who asks for it.
import { SelectorError, selects } from "../../api/meta/selectors.ts";
import type { WantedCertificate } from "../certificates.ts";
import { coversHost } from "../sites.ts";
import { type Gateway, type GatewayListener, type GRPCRoute, gatewayGroup, type HTTPRoute, type RouteKind } from "./gateway-types.ts";
import { type GatewayView, isGranted } from "./gateway-view.ts";

export interface Verdict {
  readonly reason: string;
  readonly message: string;
}

export interface CheckedListener {
  readonly gateway: Gateway;
  readonly listener: GatewayListener;
  readonly scheme: "http" | "https";
  /** In lower case. */
  readonly host: string | undefined;
  readonly supportedKinds: readonly RouteKind[];
  readonly certificates: readonly WantedCertificate<Gateway>[];
  /** Why its port cannot be had at the moment. */
  readonly portProblem: string | undefined;
  /** Why it is not accepted, conflicts with another, or has references that lead nowhere; undefined where that is not so. */
  readonly unaccepted: Verdict | undefined;
  readonly conflict: Verdict | undefined;
  readonly unresolved: Verdict | undefined;
}

/** Whether it can be served, if only in parts. */
export const isServable = ({ unaccepted, conflict, certificates, scheme }: CheckedListener): boolean =>
  !unaccepted && !conflict && (scheme === "http" || certificates.length > 0);

/** A route with its kind, which objects that are read need not say. */
export interface KindOfRoute {
  readonly kind: "HTTPRoute" | "GRPCRoute";
  readonly route: HTTPRoute | GRPCRoute;
}

const servedKinds: readonly (RouteKind & { readonly kind: KindOfRoute["kind"] })[] = [
  { group: gatewayGroup, kind: "HTTPRoute" },
  { group: gatewayGroup, kind: "GRPCRoute" },
];
const schemes: ReadonlyMap<string, "http" | "https"> = new Map([
  ["HTTP", "http"],
  ["HTTPS", "https"],
]);

export function checkListeners(gateways: readonly Gateway[], view: GatewayView): readonly CheckedListener[] {
  const claims: Claims = { schemes: new Map(), names: new Map() };
  return gateways.flatMap((gateway) => gateway.spec.listeners.map((listener) => checkListener(gateway, listener, { claims, view })));
}

interface Claims {
  /** By port. */
  readonly schemes: Map<number, string>;
  /** By port and name. */
  readonly names: Map<string, string>;
}

interface CheckInput {
  readonly claims: Claims;
  readonly view: GatewayView;
}

function checkListener(gateway: Gateway, listener: GatewayListener, { claims, view }: CheckInput): CheckedListener {
  const scheme = schemes.get(listener.protocol);
  const host = listener.hostname?.toLowerCase() || undefined;
  const { kinds, wrong } = kindsOf(listener);
  const base = { gateway, listener, scheme: scheme ?? "http", host };
  if (!scheme) {
    const message = `Listeners of protocol ${listener.protocol} are not served`;
    const unaccepted = { reason: "UnsupportedProtocol", message };
    const nothing = { supportedKinds: [], certificates: [], portProblem: undefined };
    return { ...base, ...nothing, unaccepted, conflict: undefined, unresolved: undefined };
  }
  const { certificates, problem } = scheme === "https" ? certificatesOf(gateway, { listener, host, view }) : noCertificates;
  return {
    ...base,
    ...{ supportedKinds: kinds, certificates },
    portProblem: view.portProblem(scheme, listener.port),
    unaccepted: undefined,
    conflict: claim(claims, gateway, { listener, scheme, host }),
    unresolved: wrong ?? problem,
  };
}

const noCertificates = { certificates: [], problem: undefined };

function kindsOf({ allowedRoutes }: GatewayListener): { readonly kinds: readonly RouteKind[]; readonly wrong: Verdict | undefined } {
  const asked = allowedRoutes?.kinds ?? [];
  if (asked.length === 0) return { kinds: servedKinds, wrong: undefined };
  const isSame = (a: RouteKind, { group = gatewayGroup, kind }: RouteKind): boolean => a.group === group && a.kind === kind;
  const unknown = asked.filter((kind) => !servedKinds.some((served) => isSame(served, kind))).map(({ kind }) => kind);
  return {
    kinds: servedKinds.filter((served) => asked.some((kind) => isSame(served, kind))),
    wrong:
      unknown.length === 0 ? undefined : { reason: "InvalidRouteKinds", message: `Routes of kind ${unknown.join(", ")} are not served` },
  };
}

interface Claimed {
  readonly listener: GatewayListener;
  readonly scheme: string;
  readonly host: string | undefined;
}

function claim({ schemes: taken, names }: Claims, { metadata }: Gateway, { listener, scheme, host }: Claimed): Verdict | undefined {
  const { port } = listener;
  const other = taken.get(port);
  if (other !== undefined && other !== scheme)
    return { reason: "ProtocolConflict", message: `Port ${port} is served as ${other.toUpperCase()} already` };
  const key = `${port} ${host ?? ""}`;
  const holder = names.get(key);
  if (holder !== undefined) return { reason: "HostnameConflict", message: `Port ${port} with this hostname belongs to ${holder}` };
  taken.set(port, scheme);
  names.set(key, `listener ${listener.name} of gateway ${metadata.namespace}/${metadata.name}`);
  return undefined;
}

function certificatesOf(
  gateway: Gateway,
  { listener, host, view }: { readonly listener: GatewayListener; readonly host: string | undefined; readonly view: GatewayView },
): { readonly certificates: readonly WantedCertificate<Gateway>[]; readonly problem: Verdict | undefined } {
  const { namespace = "" } = gateway.metadata;
  const from = { group: gatewayGroup, kind: "Gateway", namespace };
  const certificates: WantedCertificate<Gateway>[] = [];
  let problem: Verdict | undefined;
  for (const { group = "", kind = "Secret", name, namespace: of = namespace } of listener.tls?.certificateRefs ?? []) {
    const key = `${of}/${name}`;
    const refuse = (reason: string, message: string): void => void (problem ??= { reason, message });
    const secret = view.secret(key);
    if (group !== "" || kind !== "Secret") refuse("InvalidCertificateRef", `${kind} ${key} is no Secret`);
    else if (!isGranted({ from, to: { group, kind, namespace: of, name } }, view.grants))
      refuse("RefNotPermitted", `No ReferenceGrant of namespace ${of} allows secret ${key}`);
    else if (!secret) refuse("InvalidCertificateRef", `There is no secret ${key} of type kubernetes.io/tls`);
    else if (!view.isUsableCertificate(secret)) refuse("InvalidCertificateRef", `The certificate and key of secret ${key} cannot be used`);
    else certificates.push({ owner: gateway, secret: key, hosts: [host ?? "*"], deepWildcards: true });
  }
  if (certificates.length === 0) problem ??= { reason: "InvalidCertificateRef", message: "There is no certificate" };
  return { certificates, problem };
}

/** Whether the listener lets routes of that kind and namespace be attached. */
export function allowsRoute(
  { gateway, listener, supportedKinds }: CheckedListener,
  { kind, route }: KindOfRoute,
  view: GatewayView,
): boolean {
  if (!supportedKinds.some((supported) => supported.kind === kind)) return false;
  const { from = "Same", selector } = listener.allowedRoutes?.namespaces ?? {};
  const { namespace = "" } = route.metadata;
  if (from === "All") return true;
  if (from === "Same") return namespace === gateway.metadata.namespace;
  const labels = view.namespaceLabels(namespace);
  try {
    return labels !== undefined && selects(selector, labels);
  } catch (error) {
    if (error instanceof SelectorError) return false;
    throw error;
  }
}

/** The names for which a route is served by a listener: the narrower of both, one by one. None: they have none in common. */
export function commonHosts(listenerHost: string | undefined, hostnames: readonly string[]): readonly (string | undefined)[] {
  if (hostnames.length === 0) return [listenerHost];
  if (listenerHost === undefined) return hostnames.map((name) => name.toLowerCase());
  return hostnames.flatMap((hostname) => {
    const name = hostname.toLowerCase();
    if (coversHost(listenerHost, name) || listenerHost === name) return [name];
    // A wildcard that covers the listener's own name, or its wildcard.
    return name.startsWith("*.") && coversHost(name, listenerHost) ? [listenerHost] : [];
  });
}
