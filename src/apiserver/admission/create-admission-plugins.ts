// The admission plugins in upstream's order, with those that are on by default, and --enable-admission-plugins and
// --disable-admission-plugins applied. NodeRestriction is on here, as every installer of upstream switches it on.
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import { escalationCheck } from "../authz/escalation.ts";
import { createServiceResolver } from "../webhook/service-resolver.ts";
import type { WebhookClient } from "../webhook/webhook-client.ts";
import type { AdmissionPlugin, AdmissionReader } from "./admission.ts";
import { createCertificateApproval, createCertificateSigning, createCertificateSubjectRestriction } from "./certificate-signers.ts";
import { createDefaultIngressClass } from "./default-ingress-class.ts";
import { createDefaultStorageClass } from "./default-storage-class.ts";
import { createDefaultTolerationSeconds, type DefaultTolerationSecondsOptions } from "./default-toleration-seconds.ts";
import { createLimitRanger } from "./limit-ranger.ts";
import { createNamespaceLifecycle } from "./namespace-lifecycle.ts";
import { createNodeRestriction } from "./node-restriction.ts";
import { createPersistentVolumeClaimResize } from "./persistent-volume-claim-resize.ts";
import { createPodSecurity } from "./pod-security.ts";
import { createPodTopologyLabels } from "./pod-topology-labels.ts";
import { createMutatingPolicies } from "./policies/mutating-policies.ts";
import { createValidatingPolicies } from "./policies/validating-policies.ts";
import { createPriority } from "./priority.ts";
import { createResourceQuota } from "./resource-quota.ts";
import { createRuntimeClass } from "./runtime-class.ts";
import { createServiceAccount } from "./service-account.ts";
import { createStorageObjectInUseProtection } from "./storage-object-in-use-protection.ts";
import { createTaintNodesByCondition } from "./taint-nodes-by-condition.ts";
import type { WebhookDependencies } from "./webhooks/call-webhook.ts";
import { createMutatingWebhooks } from "./webhooks/mutating-webhooks.ts";
import type { ServedKinds } from "./webhooks/served-kinds.ts";
import { createValidatingWebhooks } from "./webhooks/validating-webhooks.ts";
import { webhookConditions } from "./webhooks/webhook-conditions.ts";
import { createWebhookMetrics } from "./webhooks/webhook-metrics.ts";

export interface AdmissionDependencies {
  readonly reader: AdmissionReader;
  readonly authorizer: Authorizer;
  /** The server's own client: asked where the reader may be behind, and to write the use of quotas. */
  readonly client: Pick<Client, "get" | "updateStatus">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** Calls webhooks. */
  readonly webhooks: WebhookClient;
  readonly kinds: ServedKinds;
}

export interface AdmissionOptions {
  /** Names of plugins to have besides the default ones. */
  readonly enable?: readonly string[];
  /** Names of default plugins not to have. */
  readonly disable?: readonly string[];
  readonly tolerations?: DefaultTolerationSecondsOptions;
}

/** The plugins that run, in order. Throws for a name that is not a plugin's. */
export function createAdmissionPlugins(deps: AdmissionDependencies, options: AdmissionOptions = {}): readonly AdmissionPlugin[] {
  const all = allPlugins(deps, options);
  const known = new Set(all.map((p) => p.name));
  for (const name of [...(options.enable ?? []), ...(options.disable ?? [])])
    if (!known.has(name)) throw new Error(`unknown admission plugin ${JSON.stringify(name)}; known are ${[...known].join(", ")}`);
  for (const name of options.enable ?? [])
    if (options.disable?.includes(name)) throw new Error(`admission plugin ${JSON.stringify(name)} is both enabled and disabled`);
  // That nobody grants what he does not hold is no option: upstream has it in the storage of roles and bindings.
  return [escalationCheck(deps), ...all.filter((p) => !options.disable?.includes(p.name))];
}

function allPlugins(deps: AdmissionDependencies, options: AdmissionOptions): readonly AdmissionPlugin[] {
  const webhooks: WebhookDependencies = {
    ...deps,
    logger: deps.logger.named("admission-webhooks"),
    metrics: createWebhookMetrics(deps.metrics),
    resolve: createServiceResolver(deps),
  };
  return [
    createNamespaceLifecycle(deps),
    createLimitRanger(deps),
    createServiceAccount(deps),
    createNodeRestriction(deps),
    createTaintNodesByCondition(),
    createPodSecurity(deps),
    createPriority(deps),
    createDefaultTolerationSeconds(options.tolerations),
    createDefaultStorageClass(deps),
    createStorageObjectInUseProtection(),
    createPersistentVolumeClaimResize(deps),
    createRuntimeClass(deps),
    createCertificateApproval(deps),
    createCertificateSigning(deps),
    createCertificateSubjectRestriction(),
    createDefaultIngressClass(deps),
    createPodTopologyLabels(deps),
    createMutatingPolicies(deps),
    createMutatingWebhooks(webhooks, webhookConditions(deps.authorizer)),
    createValidatingPolicies(deps),
    createValidatingWebhooks(webhooks, webhookConditions(deps.authorizer)),
    createResourceQuota(deps),
  ];
}
