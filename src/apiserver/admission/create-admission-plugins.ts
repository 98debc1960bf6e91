// The admission plugins in upstream's order, with those that are on by default, and --enable-admission-plugins and
// --disable-admission-plugins applied. NodeRestriction is on here, as every installer of upstream switches it on. Names that
// upstream knows but that do something only with a feature that is off are known here too.
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Tracer } from "../../base/tracing.ts";
import type { Client } from "../../client/client.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import { escalationCheck } from "../authz/escalation.ts";
import { createServiceResolver } from "../webhook/service-resolver.ts";
import type { WebhookClient, WebhookTarget } from "../webhook/webhook-client.ts";
import type { AdmissionPlugin, AdmissionReader } from "./admission.ts";
import type { PluginSettings } from "./admission-configuration.ts";
import { createAlwaysAdmit } from "./always-admit.ts";
import { createAlwaysDeny } from "./always-deny.ts";
import { createAlwaysPullImages } from "./always-pull-images.ts";
import { createCertificateApproval, createCertificateSigning, createCertificateSubjectRestriction } from "./certificate-signers.ts";
import { createClusterTrustBundleAttest } from "./cluster-trust-bundle-attest.ts";
import { createDefaultIngressClass } from "./default-ingress-class.ts";
import { createDefaultStorageClass } from "./default-storage-class.ts";
import { createDefaultTolerationSeconds, type DefaultTolerationSecondsOptions } from "./default-toleration-seconds.ts";
import { createDenyServiceExternalIPs } from "./deny-service-external-ips.ts";
import { deviceAccessCheck } from "./device-access.ts";
import { createEventRateLimit } from "./event-rate-limit.ts";
import { createExtendedResourceToleration } from "./extended-resource-toleration.ts";
import { createImagePolicyWebhook } from "./image-policy-webhook.ts";
import { createJobValidation } from "./job-validation.ts";
import { createLimitPodHardAntiAffinityTopology } from "./limit-pod-hard-anti-affinity-topology.ts";
import { createLimitRanger } from "./limit-ranger.ts";
import type { StaticManifests } from "./manifests/open-manifests.ts";
import { createNamespaceAutoProvision } from "./namespace-auto-provision.ts";
import { createNamespaceExists } from "./namespace-exists.ts";
import { createNamespaceLifecycle } from "./namespace-lifecycle.ts";
import { createNodeDeclaredFeatureValidator } from "./node-declared-feature-validator.ts";
import { createNodeRestriction } from "./node-restriction.ts";
import { createOwnerReferencesPermission } from "./owner-references-permission.ts";
import { parameterAccessCheck } from "./parameter-access.ts";
import { createPersistentVolumeClaimResize } from "./persistent-volume-claim-resize.ts";
import { admissionPluginNames } from "./plugin-names.ts";
import { podCertificateSigningCheck } from "./pod-certificate-signing.ts";
import { createPodGroupWorkloadExists } from "./pod-group-workload-exists.ts";
import { createPodNodeSelector } from "./pod-node-selector.ts";
import { createPodResizeValidator } from "./pod-resize-validator.ts";
import { createPodSecurity } from "./pod-security.ts";
import { createPodSecurityMetrics } from "./pod-security-metrics.ts";
import { createPodTolerationRestriction } from "./pod-toleration-restriction.ts";
import { createPodTopologyLabels } from "./pod-topology-labels.ts";
import { createMutatingPolicies } from "./policies/mutating-policies.ts";
import { createValidatingPolicies } from "./policies/validating-policies.ts";
import { createPriority } from "./priority.ts";
import { createResourceQuota } from "./resource-quota.ts";
import { createRuntimeClass } from "./runtime-class.ts";
import { createSecurityContextDeny } from "./security-context-deny.ts";
import { createServiceAccount } from "./service-account.ts";
import { createStorageObjectInUseProtection } from "./storage-object-in-use-protection.ts";
import { createTaintNodesByCondition } from "./taint-nodes-by-condition.ts";
import type { WebhookDependencies } from "./webhooks/call-webhook.ts";
import { createMutatingWebhooks } from "./webhooks/mutating-webhooks.ts";
import type { ServedKinds } from "./webhooks/served-kinds.ts";
import { createValidatingWebhooks } from "./webhooks/validating-webhooks.ts";
import { webhookConditions } from "./webhooks/webhook-conditions.ts";
import type { CredentialsFor } from "./webhooks/webhook-credentials.ts";
import { createWebhookMetrics } from "./webhooks/webhook-metrics.ts";

export interface AdmissionDependencies {
  readonly reader: AdmissionReader;
  readonly authorizer: Authorizer;
  /** The server's own client: asked where the reader may be behind, and to write the use of quotas. */
  readonly client: Pick<Client, "get" | "list" | "create" | "updateStatus">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** Calls webhooks. */
  readonly webhooks: WebhookClient;
  readonly kinds: ServedKinds;
  /** Absent where nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

export interface AdmissionOptions {
  /** Names of plugins to have besides the default ones. */
  readonly enable?: readonly string[];
  /** Names of default plugins not to have. */
  readonly disable?: readonly string[];
  readonly tolerations?: DefaultTolerationSecondsOptions;
  readonly settings?: PluginSettings;
  /** Webhooks and policies of files. */
  readonly manifests?: StaticManifests;
  /** Where ImagePolicyWebhook calls, where it is configured. */
  readonly imagePolicyTarget?: () => Promise<WebhookTarget>;
  /** Who the server is to admission webhooks. */
  readonly mutatingCredentials?: CredentialsFor | undefined;
  readonly validatingCredentials?: CredentialsFor | undefined;
}

/** The plugins that run, in order. Throws for a name that is not a plugin's. */
export function createAdmissionPlugins(deps: AdmissionDependencies, options: AdmissionOptions = {}): readonly AdmissionPlugin[] {
  const enabled = enabledPlugins(options);
  const plugins = pluginTable(deps, options).filter(({ name }) => enabled.has(name));
  // That nobody grants or uses what he does not hold is no option: upstream has it in the storage of these kinds.
  const always = [escalationCheck(deps), parameterAccessCheck(deps), deviceAccessCheck(deps), podCertificateSigningCheck(deps)];
  return [...always, ...plugins.flatMap(({ create }) => create?.() ?? [])];
}

interface PluginEntry {
  readonly name: string;
  /** Absent where it does nothing. */
  readonly create?: () => AdmissionPlugin;
}

/** Those that are not in this set are on. */
const offByDefault = new Set([
  "AlwaysAdmit",
  "AlwaysDeny",
  "AlwaysPullImages",
  "DenyServiceExternalIPs",
  "EventRateLimit",
  "ExtendedResourceToleration",
  "ImagePolicyWebhook",
  "LimitPodHardAntiAffinityTopology",
  "NamespaceAutoProvision",
  "NamespaceExists",
  "OwnerReferencesPermissionEnforcement",
  "PodNodeSelector",
  "PodTolerationRestriction",
  "SecurityContextDeny",
]);

function enabledPlugins({ enable = [], disable = [] }: AdmissionOptions): ReadonlySet<string> {
  for (const name of [...enable, ...disable])
    if (!admissionPluginNames.includes(name))
      throw new Error(`unknown admission plugin ${JSON.stringify(name)}; known are ${admissionPluginNames.toSorted().join(", ")}`);
  for (const name of enable)
    if (disable.includes(name)) throw new Error(`admission plugin ${JSON.stringify(name)} is both enabled and disabled`);
  const isOn = (name: string): boolean => enable.includes(name) || !(offByDefault.has(name) || disable.includes(name));
  return new Set(admissionPluginNames.filter(isOn));
}

function pluginTable(deps: AdmissionDependencies, options: AdmissionOptions): readonly PluginEntry[] {
  const creators = { ...ownPlugins(deps, options), ...configuredPlugins(deps, options), ...webhookPlugins(deps, options) };
  return admissionPluginNames.map((name) => {
    const create = creators[name];
    return create ? { name, create } : { name };
  });
}

type Creators = Readonly<Record<string, () => AdmissionPlugin>>;

function ownPlugins(deps: AdmissionDependencies, { tolerations }: AdmissionOptions): Creators {
  return {
    AlwaysAdmit: createAlwaysAdmit,
    AlwaysDeny: createAlwaysDeny,
    AlwaysPullImages: createAlwaysPullImages,
    CertificateApproval: () => createCertificateApproval(deps),
    CertificateSigning: () => createCertificateSigning(deps),
    CertificateSubjectRestriction: createCertificateSubjectRestriction,
    ClusterTrustBundleAttest: () => createClusterTrustBundleAttest(deps),
    DefaultIngressClass: () => createDefaultIngressClass(deps),
    DefaultStorageClass: () => createDefaultStorageClass(deps),
    DefaultTolerationSeconds: () => createDefaultTolerationSeconds(tolerations),
    DenyServiceExternalIPs: createDenyServiceExternalIPs,
    ExtendedResourceToleration: createExtendedResourceToleration,
    JobValidation: () => createJobValidation(deps),
    LimitPodHardAntiAffinityTopology: createLimitPodHardAntiAffinityTopology,
    LimitRanger: () => createLimitRanger(deps),
    NamespaceAutoProvision: () => createNamespaceAutoProvision(deps),
    NamespaceExists: () => createNamespaceExists(deps),
    NamespaceLifecycle: () => createNamespaceLifecycle(deps),
    NodeDeclaredFeatureValidator: () => createNodeDeclaredFeatureValidator(deps),
    NodeRestriction: () => createNodeRestriction(deps),
    OwnerReferencesPermissionEnforcement: () => createOwnerReferencesPermission(deps),
    PersistentVolumeClaimResize: () => createPersistentVolumeClaimResize(deps),
    PodGroupWorkloadExists: () => createPodGroupWorkloadExists(deps),
    PodResizeValidator: () => createPodResizeValidator(deps),
    PodTopologyLabels: () => createPodTopologyLabels(deps),
    Priority: () => createPriority(deps),
    RuntimeClass: () => createRuntimeClass(deps),
    SecurityContextDeny: createSecurityContextDeny,
    ServiceAccount: () => createServiceAccount(deps),
    StorageObjectInUseProtection: createStorageObjectInUseProtection,
    TaintNodesByCondition: createTaintNodesByCondition,
  };
}

function configuredPlugins(deps: AdmissionDependencies, { settings = {}, imagePolicyTarget: target }: AdmissionOptions): Creators {
  const { ImagePolicyWebhook: imagePolicy, EventRateLimit: eventLimits } = settings;
  return {
    EventRateLimit: () => {
      if (!eventLimits) throw new Error("EventRateLimit: limits: must not be empty (--admission-control-config-file)");
      return createEventRateLimit(deps, eventLimits);
    },
    ImagePolicyWebhook: () => {
      if (!imagePolicy || !target) throw new Error("ImagePolicyWebhook: no config specified (--admission-control-config-file)");
      return createImagePolicyWebhook({ ...deps, target }, imagePolicy);
    },
    PodNodeSelector: () => createPodNodeSelector(deps, settings.PodNodeSelector),
    PodSecurity: () => createPodSecurity(deps, settings.PodSecurity, createPodSecurityMetrics(deps.metrics)),
    PodTolerationRestriction: () => createPodTolerationRestriction(deps, settings.PodTolerationRestriction),
    ResourceQuota: () => createResourceQuota(deps, settings.ResourceQuota),
  };
}

function webhookPlugins(
  deps: AdmissionDependencies,
  { mutatingCredentials, validatingCredentials, manifests = {} }: AdmissionOptions,
): Creators {
  const shared: WebhookDependencies = {
    ...deps,
    logger: deps.logger.named("admission-webhooks"),
    metrics: createWebhookMetrics(deps.metrics),
    resolve: createServiceResolver(deps),
  };
  const conditions = webhookConditions(deps.authorizer);
  return {
    MutatingAdmissionPolicy: () => createMutatingPolicies(deps, manifests.MutatingAdmissionPolicy),
    MutatingAdmissionWebhook: () =>
      createMutatingWebhooks({ ...shared, credentialsFor: mutatingCredentials }, conditions, manifests.MutatingAdmissionWebhook),
    ValidatingAdmissionPolicy: () => createValidatingPolicies(deps, manifests.ValidatingAdmissionPolicy),
    ValidatingAdmissionWebhook: () =>
      createValidatingWebhooks({ ...shared, credentialsFor: validatingCredentials }, conditions, manifests.ValidatingAdmissionWebhook),
  };
}
