// What the rules of the Gateway API are decided from: the objects of the cluster at one moment.
import type { Labels } from "../../api/meta/selectors.ts";
import type { Secret, Service } from "../../api/types/core-v1.ts";
import type { Gateway, GatewayClass, GRPCRoute, HTTPRoute, ReferenceGrant, RouteKind } from "./gateway-types.ts";

export interface GatewayView {
  readonly classes: readonly GatewayClass[];
  readonly gateways: readonly Gateway[];
  readonly routes: readonly HTTPRoute[];
  readonly grpcRoutes: readonly GRPCRoute[];
  readonly grants: readonly ReferenceGrant[];
  /** By "namespace/name". */
  service(key: string): Service | undefined;
  /** Those of type kubernetes.io/tls. */
  secret(key: string): Secret | undefined;
  isUsableCertificate(secret: Secret): boolean;
  namespaceLabels(name: string): Labels | undefined;
  /** Why a port cannot be listened on; undefined where it can, or has not been tried. */
  portProblem(scheme: "http" | "https", port: number): string | undefined;
  isListening(scheme: "http" | "https", port: number): boolean;
  /** Where gateways are reached: addresses, or names. */
  readonly addresses: readonly string[];
}

interface Reference {
  readonly from: RouteKind & { readonly namespace: string };
  readonly to: RouteKind & { readonly namespace: string; readonly name: string };
}

/** Whether an object may refer to one of another namespace: only if somebody of that namespace has said so. */
export function isGranted({ from, to }: Reference, grants: readonly ReferenceGrant[]): boolean {
  if (from.namespace === to.namespace) return true;
  return grants.some(
    ({ metadata, spec }) =>
      metadata.namespace === to.namespace &&
      spec.from.some((f) => f.group === from.group && f.kind === from.kind && f.namespace === from.namespace) &&
      spec.to.some((t) => t.group === (to.group ?? "") && t.kind === to.kind && (t.name ? t.name === to.name : true)),
  );
}
