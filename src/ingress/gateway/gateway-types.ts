// The Gateway API's kinds as far as they are served (gateway.networking.k8s.io/v1), as the API server hands them out: with the
// defaults of their definitions. They are custom resources, ours (gateway-definitions.ts) or upstream's.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { Condition, LabelSelector } from "../../api/types/meta-v1.ts";

export const gatewayGroup = "gateway.networking.k8s.io";

export interface GatewayClass extends KubernetesObject {
  readonly spec: { readonly controllerName: string; readonly parametersRef?: object };
  readonly status?: { readonly conditions?: readonly Condition[]; readonly supportedFeatures?: readonly { readonly name: string }[] };
}

export interface RouteKind {
  readonly group?: string;
  readonly kind: string;
}

export interface ObjectReference extends Partial<RouteKind> {
  readonly name: string;
  readonly namespace?: string;
}

export interface GatewayListener {
  readonly name: string;
  readonly hostname?: string;
  readonly port: number;
  readonly protocol: string;
  readonly tls?: { readonly mode?: string; readonly certificateRefs?: readonly ObjectReference[] };
  readonly allowedRoutes?: {
    readonly kinds?: readonly RouteKind[];
    readonly namespaces?: { readonly from?: string; readonly selector?: LabelSelector };
  };
}

export interface GatewayAddress {
  readonly type?: string;
  readonly value?: string;
}

export interface ListenerStatus {
  readonly name: string;
  readonly attachedRoutes: number;
  readonly supportedKinds: readonly RouteKind[];
  readonly conditions: readonly Condition[];
}

export interface Gateway extends KubernetesObject {
  readonly spec: {
    readonly gatewayClassName: string;
    readonly listeners: readonly GatewayListener[];
    readonly addresses?: readonly GatewayAddress[];
  };
  readonly status?: {
    readonly addresses?: readonly GatewayAddress[];
    readonly conditions?: readonly Condition[];
    readonly listeners?: readonly ListenerStatus[];
  };
}

export interface ParentReference extends ObjectReference {
  readonly sectionName?: string;
  readonly port?: number;
}

export interface BackendReference extends ObjectReference {
  readonly port?: number;
  readonly weight?: number;
  readonly filters?: readonly RouteFilter[];
}

export interface HeaderModifier {
  readonly set?: readonly { readonly name: string; readonly value: string }[];
  readonly add?: readonly { readonly name: string; readonly value: string }[];
  readonly remove?: readonly string[];
}

export interface PathModifier {
  readonly type: string;
  readonly replaceFullPath?: string;
  readonly replacePrefixMatch?: string;
}

export interface RouteFilter {
  readonly type: string;
  readonly requestHeaderModifier?: HeaderModifier;
  readonly responseHeaderModifier?: HeaderModifier;
  readonly requestRedirect?: {
    readonly scheme?: "http" | "https";
    readonly hostname?: string;
    readonly port?: number;
    readonly path?: PathModifier;
    readonly statusCode?: number;
  };
  readonly urlRewrite?: { readonly hostname?: string; readonly path?: PathModifier };
  readonly requestMirror?: {
    readonly backendRef: BackendReference;
    readonly percent?: number;
    readonly fraction?: { readonly numerator: number; readonly denominator?: number };
  };
}

export interface ValueMatch {
  readonly type?: string;
  readonly name: string;
  readonly value: string;
}

export interface RouteMatch {
  readonly path?: { readonly type?: string; readonly value?: string };
  readonly headers?: readonly ValueMatch[];
  readonly queryParams?: readonly ValueMatch[];
  readonly method?: string;
}

export interface RouteRule {
  readonly matches?: readonly RouteMatch[];
  readonly filters?: readonly RouteFilter[];
  readonly backendRefs?: readonly BackendReference[];
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string };
}

export interface RouteParentStatus {
  readonly parentRef: ParentReference;
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

export interface HTTPRoute extends KubernetesObject {
  readonly spec: {
    readonly parentRefs?: readonly ParentReference[];
    readonly hostnames?: readonly string[];
    readonly rules?: readonly RouteRule[];
  };
  readonly status?: { readonly parents?: readonly RouteParentStatus[] };
}

export interface GRPCRouteMatch {
  readonly method?: { readonly type?: string; readonly service?: string; readonly method?: string };
  readonly headers?: readonly ValueMatch[];
}

export interface GRPCRouteRule {
  readonly matches?: readonly GRPCRouteMatch[];
  readonly filters?: readonly RouteFilter[];
  readonly backendRefs?: readonly BackendReference[];
}

export interface GRPCRoute extends KubernetesObject {
  readonly spec: {
    readonly parentRefs?: readonly ParentReference[];
    readonly hostnames?: readonly string[];
    readonly rules?: readonly GRPCRouteRule[];
  };
  readonly status?: { readonly parents?: readonly RouteParentStatus[] };
}

export interface ReferenceGrant extends KubernetesObject {
  readonly spec: {
    readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[];
    readonly to: readonly { readonly group: string; readonly kind: string; readonly name?: string }[];
  };
}

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

interface Names {
  readonly kind: string;
  readonly resource: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  readonly version?: string;
  readonly hasStatus?: boolean;
}

function typeOf<T>({ kind, resource, shortNames, namespaced, version = "v1", hasStatus = true }: Names): ResourceType<T> {
  const status = { name: "status", kind: { group: gatewayGroup, version, kind }, verbs: ["get", "patch", "update"] };
  return {
    ...{ group: gatewayGroup, version, kind, resource, singular: kind.toLowerCase(), namespaced, verbs, shortNames },
    ...{ categories: ["gateway-api"], subresources: hasStatus ? [status] : [] },
  };
}

export const gatewayclasses = typeOf<GatewayClass>({
  ...{ kind: "GatewayClass", resource: "gatewayclasses", shortNames: ["gc"], namespaced: false },
});
export const gateways = typeOf<Gateway>({ kind: "Gateway", resource: "gateways", shortNames: ["gtw"], namespaced: true });
export const httproutes = typeOf<HTTPRoute>({ kind: "HTTPRoute", resource: "httproutes", shortNames: [], namespaced: true });
export const grpcroutes = typeOf<GRPCRoute>({ kind: "GRPCRoute", resource: "grpcroutes", shortNames: [], namespaced: true });

/** Older definitions have it as v1beta1 alone. */
export const referencegrants = (version: string): ResourceType<ReferenceGrant> =>
  typeOf({ kind: "ReferenceGrant", resource: "referencegrants", shortNames: ["refgrant"], namespaced: true, version, hasStatus: false });
