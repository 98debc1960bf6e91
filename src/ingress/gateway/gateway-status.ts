// Writes the status of the Gateway API's objects: conditions keep the time since when they hold, what other controllers have said
// about a route stays, and nothing is written that is there already.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { findCondition } from "../../api/semantics/conditions.ts";
import type { Condition } from "../../api/types/meta-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import { type GatewayPlan, gatewayControllerName, type Said } from "./gateway-plan.ts";
import {
  type GRPCRoute,
  gatewayclasses,
  gateways,
  grpcroutes,
  type HTTPRoute,
  httproutes,
  type ParentReference,
  type RouteParentStatus,
} from "./gateway-types.ts";

/** What this controller can do besides what every one must, by upstream's names, which are kept in order. */
const supportedFeatures = [
  "GRPCRoute",
  "GRPCRouteNamedRouteRule",
  "Gateway",
  "GatewayHTTPListenerIsolation",
  "GatewayPort8080",
  "HTTPRoute",
  "HTTPRoute303RedirectStatusCode",
  "HTTPRoute307RedirectStatusCode",
  "HTTPRoute308RedirectStatusCode",
  "HTTPRouteBackendProtocolH2C",
  "HTTPRouteBackendProtocolWebSocket",
  "HTTPRouteBackendRequestHeaderModification",
  "HTTPRouteBackendTimeout",
  "HTTPRouteHostRewrite",
  "HTTPRouteMethodMatching",
  "HTTPRouteNamedRouteRule",
  "HTTPRouteParentRefPort",
  "HTTPRoutePathRedirect",
  "HTTPRoutePathRewrite",
  "HTTPRoutePortRedirect",
  "HTTPRouteQueryParamMatching",
  "HTTPRouteRequestMirror",
  "HTTPRouteRequestMultipleMirrors",
  "HTTPRouteRequestPercentageMirror",
  "HTTPRouteRequestTimeout",
  "HTTPRouteResponseHeaderModification",
  "HTTPRouteSchemeRedirect",
  "ReferenceGrant",
].map((name) => ({ name }));

interface WriteDeps {
  readonly client: Client;
  readonly clock: Pick<Clock, "now">;
}

/** Rejects with the first failure after everything has been tried; the next look puts right what is left. */
export async function writeGatewayStatus(plan: GatewayPlan, deps: WriteDeps, signal: AbortSignal): Promise<void> {
  const { clock } = deps;
  const conditionsOf = (object: KubernetesObject, before: readonly Condition[] | undefined, said: readonly Said[]): readonly Condition[] =>
    said.map((one) => condition(one, { before, generation: object.metadata.generation, nowMs: clock.now() }));
  const failures: unknown[] = [];
  const write = async <T extends KubernetesObject & { readonly status?: unknown }>(
    type: ResourceType<T>,
    object: T,
    status: T["status"],
  ): Promise<void> => {
    if (semanticallyEqual(object.status, status)) return;
    try {
      await deps.client.updateStatus(type, { ...object, status }, { signal });
    } catch (error) {
      // Gone meanwhile; or changed, which brings it here again.
      if (!isStatus(error, "NotFound", "Conflict")) failures.push(error);
    }
  };
  for (const { gatewayClass, conditions } of plan.classes) {
    const wanted = conditionsOf(gatewayClass, gatewayClass.status?.conditions, conditions);
    await write(gatewayclasses, gatewayClass, { ...gatewayClass.status, conditions: wanted, supportedFeatures });
  }
  for (const { gateway, conditions, addresses, listeners } of plan.gateways) {
    const before = new Map(gateway.status?.listeners?.map((listener) => [listener.name, listener.conditions]));
    await write(gateways, gateway, {
      ...gateway.status,
      conditions: conditionsOf(gateway, gateway.status?.conditions, conditions),
      addresses,
      listeners: listeners.map((l) => ({ ...l, conditions: conditionsOf(gateway, before.get(l.name), l.conditions) })),
    });
  }
  for (const { kind, route, parents } of plan.routes) {
    const known = route.status?.parents ?? [];
    const others = known.filter(({ controllerName }) => controllerName !== gatewayControllerName);
    const own = parents.map(({ parentRef, conditions }): RouteParentStatus => {
      const before = known.find((one) => one.controllerName === gatewayControllerName && isSameParent(one.parentRef, parentRef));
      return { parentRef, controllerName: gatewayControllerName, conditions: conditionsOf(route, before?.conditions, conditions) };
    });
    const status = { parents: [...others, ...own] };
    if (kind === "GRPCRoute")
      await write(grpcroutes, route as GRPCRoute, status); // as its kind says
    else await write(httproutes, route as HTTPRoute, status);
  }
  if (failures.length > 0) throw failures[0];
}

const isSameParent = (a: ParentReference, b: ParentReference): boolean => semanticallyEqual(a, b);

function condition(
  said: Said,
  at: { readonly before: readonly Condition[] | undefined; readonly generation: number | undefined; readonly nowMs: number },
): Condition {
  const known = findCondition(at.before, said.type);
  const lastTransitionTime = known?.status === said.status ? known.lastTransitionTime : formatTime(at.nowMs);
  return { ...said, lastTransitionTime, ...(at.generation === undefined ? {} : { observedGeneration: at.generation }) };
}
