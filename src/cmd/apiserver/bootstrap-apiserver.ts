// What an API server makes of its own when it has started: the cluster's namespaces, roles, classes and services, step by step as
// /readyz names them. Nothing is made of what is turned off.
import type { ResourceType } from "../../api/resource-type.ts";
import { flowschemas, priorityclasses, rolebindings, servicecidrs } from "../../api/resources.generated.ts";
import type { AuthenticationConfigMap } from "../../apiserver/authn/authentication-config-map.ts";
import type { TokenTracking } from "../../apiserver/authn/legacy-token-tracking.ts";
import { bootstrapPolicy } from "../../apiserver/authz/bootstrap-policy.ts";
import { gatedRoles } from "../../apiserver/authz/gated-roles.ts";
import { reconcileBootstrapPolicy } from "../../apiserver/authz/reconcile-bootstrap-policy.ts";
import { ensurePriorityClasses } from "../../apiserver/bootstrap.ts";
import { reconcileFlowControlDefaults } from "../../apiserver/flow-control/reconcile-defaults.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { Client } from "../../client/client.ts";
import type { ServerState, StartStep } from "./apiserver-endpoints.ts";
import type { Peers } from "./peers.ts";

export interface BootstrapFacts {
  readonly settings: ApiServerSettings;
  readonly authenticationMap: AuthenticationConfigMap;
  readonly tokenTracking: TokenTracking;
  readonly peers: Peers;
  readonly serves: (type: ResourceType) => boolean;
  /** Whether storage versions are served, for whose collector there is a role then. */
  readonly storageVersions: boolean;
}

/** Resolves when all of it is there; each step is noted in `state`. */
export async function bootstrap(client: Client, state: ServerState, facts: BootstrapFacts): Promise<void> {
  const { settings, authenticationMap, tokenTracking, peers, serves, storageVersions } = facts;
  const step = async (name: StartStep, work: Promise<void> | undefined): Promise<void> => {
    await work;
    state.ready.add(name);
  };
  /** Nothing is made of what is turned off. */
  const where = (type: ResourceType, work: () => Promise<void>): Promise<void> | undefined => (serves(type) ? work() : undefined);
  await step("start-system-namespaces-controller", peers.startNamespaces());
  await Promise.all([
    step(
      "rbac/bootstrap-roles",
      where(rolebindings, () => reconcileBootstrapPolicy(client, bootstrapPolicy(gatedRoles(settings.featureGates, { storageVersions })))),
    ),
    step("start-cluster-authentication-info-controller", authenticationMap.start()),
    step("start-legacy-token-tracking-controller", tokenTracking.start()),
    step(
      "scheduling/bootstrap-system-priority-classes",
      where(priorityclasses, () => ensurePriorityClasses(client)),
    ),
    step(
      "priority-and-fairness-config-producer",
      where(flowschemas, () => reconcileFlowControlDefaults(client)),
    ),
    step(
      "start-kubernetes-service-cidr-controller",
      where(servicecidrs, () => peers.startServiceCidr()),
    ),
    step("bootstrap-controller", peers.startService()),
  ]);
  await peers.startLoops();
  state.ready.add("start-service-ip-repair-controllers");
}
