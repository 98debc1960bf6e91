// The flags of `coracle controller-manager`: upstream's names, defaults and units, so that a manifest written for
// kube-controller-manager starts this one. Those that have nothing to set here (they tune informers, clouds and code that is
// not there) are taken and listed as such.
import { featureGatesFlag, type GateSupport } from "../api/semantics/feature-gates.ts";
import { boolean, durationMs, flag, flagsWithoutEffect, integer, list, number, optionalText } from "../base/flags.ts";
import { logFlags } from "../base/log-flags.ts";
import { selectControllers } from "../controllers/controller-names.ts";
import { allControllers } from "../controllers/registry.ts";
import { CommandError } from "./command-error.ts";
import { electionFlags, servingFlags } from "./component-flags.ts";
import { volumeFlags, volumeSyncFlags } from "./volume-flags.ts";

/** Its gates do by default what upstream's do; none can be turned yet. */
export const controllerGates: GateSupport = { component: "controllers", switchable: new Set() };

const workers = integer({ min: 1, max: 10_000 });

/** Flags that say how many objects a controller works on at a time, with the controllers they are about. */
const concurrencyFlags = {
  "concurrent-cron-job-syncs": ["cronjob-controller", 5],
  "concurrent-daemonset-syncs": ["daemonset-controller", 2],
  "concurrent-deployment-syncs": ["deployment-controller", 5],
  "concurrent-device-taint-eviction-syncs": ["device-taint-eviction-controller", 8],
  "concurrent-endpoint-syncs": ["endpoints-controller", 5],
  "concurrent-service-endpoint-syncs": ["endpointslice-controller", 5],
  "mirroring-concurrent-service-endpoint-syncs": ["endpointslice-mirroring-controller", 5],
  "concurrent-ephemeralvolume-syncs": ["ephemeral-volume-controller", 5],
  "concurrent-gc-syncs": ["garbage-collector-controller", 20],
  "concurrent-horizontal-pod-autoscaler-syncs": ["horizontal-pod-autoscaler-controller", 5],
  "concurrent-job-syncs": ["job-controller", 5],
  "concurrent-namespace-syncs": ["namespace-controller", 10],
  "concurrent-replicaset-syncs": ["replicaset-controller", 5],
  concurrent_rc_syncs: ["replicationcontroller-controller", 5],
  "concurrent-resourceclaim-syncs": ["resourceclaim-controller", 50],
  "concurrent-resource-quota-syncs": ["resourcequota-controller", 5],
  "concurrent-serviceaccount-token-syncs": ["serviceaccount-token-controller", 5],
  "concurrent-statefulset-syncs": ["statefulset-controller", 5],
  "concurrent-ttl-after-finished-syncs": ["ttl-after-finished-controller", 5],
  "concurrent-validating-admission-policy-status-syncs": ["validatingadmissionpolicy-status-controller", 5],
} as const satisfies Readonly<Record<string, readonly [string, number]>>;

type ConcurrencyFlag = keyof typeof concurrencyFlags;

/** Taken for the sake of manifests, without effect. */
const withoutEffect = {
  "attach-detach-reconcile-sync-period": undefined,
  "authentication-kubeconfig": undefined,
  "authentication-skip-lookup": "true",
  "authentication-token-webhook-cache-ttl": undefined,
  "authentication-tolerate-lookup-failure": "true",
  "authorization-kubeconfig": undefined,
  "authorization-webhook-cache-authorized-ttl": undefined,
  "authorization-webhook-cache-unauthorized-ttl": undefined,
  "cidr-allocator-type": undefined,
  "cloud-config": undefined,
  "cloud-provider": undefined,
  "cluster-name": undefined,
  "configure-cloud-routes": "true",
  "contention-profiling": "true",
  "controller-start-interval": undefined,
  "disable-attach-detach-reconcile-sync": "true",
  "enable-garbage-collector": "true",
  "endpoint-updates-batch-period": undefined,
  "endpointslice-updates-batch-period": undefined,
  "external-cloud-volume-plugin": undefined,
  "flex-volume-plugin-dir": undefined,
  "http2-max-streams-per-connection": undefined,
  "kube-api-burst": undefined,
  "kube-api-content-type": undefined,
  "kube-api-qps": undefined,
  "leader-elect-resource-lock": undefined,
  "min-resync-period": undefined,
  "mirroring-endpointslice-updates-batch-period": undefined,
  "namespace-sync-period": undefined,
  "permit-address-sharing": "true",
  "permit-port-sharing": "true",
  profiling: "true",
  "requestheader-allowed-names": undefined,
  "requestheader-client-ca-file": undefined,
  "requestheader-extra-headers-prefix": undefined,
  "requestheader-group-headers": undefined,
  "requestheader-username-headers": undefined,
  "resource-quota-sync-period": undefined,
  "route-reconciliation-period": undefined,
  "service-account-private-key-file": undefined,
  "show-hidden-metrics-for-version": undefined,
  "tls-cipher-suites": undefined,
  "tls-min-version": undefined,
} as const satisfies Readonly<Record<string, "true" | undefined>>;

type IgnoredFlag = keyof typeof withoutEffect;

/** Object.fromEntries loses the names, which the type gives back. */
const concurrency = Object.fromEntries(
  Object.entries(concurrencyFlags).map(([name, [controller, count]]) => [
    name,
    flag(workers, count, `objects that ${controller} works on at a time`),
  ]),
) as Readonly<Record<ConcurrencyFlag, ReturnType<typeof flag<number>>>>;

const ignored = flagsWithoutEffect(withoutEffect);

const nodeFlags = {
  "allocate-node-cidrs": flag(boolean, true, "give each node a range for its pods (upstream's default is false)"),
  "cluster-cidr": flag(list, ["10.244.0.0/16"], "ranges from which nodes get those of their pods, at most one of each family"),
  "service-cluster-ip-range": flag(list, [], "ranges of services, which no node gets"),
  "node-cidr-mask-size": flag(integer({ min: 1, max: 32 }), 24, "length of a node's IPv4 range"),
  "node-cidr-mask-size-ipv4": flag(integer({ min: 0, max: 32 }), 0, "the same in a cluster of both families; 0 is --node-cidr-mask-size"),
  "node-cidr-mask-size-ipv6": flag(integer({ min: 1, max: 128 }), 64, "length of a node's IPv6 range"),
  "node-monitor-grace-period": flag(durationMs, 50_000, "how long a node may be silent before it is unknown"),
  "node-startup-grace-period": flag(durationMs, 60_000, "the same for a node that has never reported"),
  "node-monitor-period": flag(durationMs, 5_000, "how often nodes are looked at"),
  "node-eviction-rate": flag(number({ min: 0 }), 0.1, "nodes per second whose pods are evicted when a zone is well"),
  "secondary-node-eviction-rate": flag(number({ min: 0 }), 0.01, "the same in a zone that is not; 0 in small ones"),
  "large-cluster-size-threshold": flag(integer({ min: 0 }), 50, "nodes beyond which a zone is no small one"),
  "unhealthy-zone-threshold": flag(number({ min: 0, max: 1 }), 0.55, "share of nodes not ready at which a zone is not well"),
  "terminated-pod-gc-threshold": flag(integer(), 12_500, "ended pods that are kept; 0 or less keeps all"),
};

const gateFlags = {
  "feature-gates": flag(featureGatesFlag(controllerGates), {}, "gates of v1.36; those that cannot be turned here are refused"),
};

const autoscalerFlags = {
  "horizontal-pod-autoscaler-sync-period": flag(durationMs, 15_000, "how often each autoscaler is looked at"),
  "horizontal-pod-autoscaler-downscale-stabilization": flag(durationMs, 300_000, "how long fewer pods must be recommended"),
  "horizontal-pod-autoscaler-tolerance": flag(number({ min: 0 }), 0.1, "how far from its target usage may be"),
  "horizontal-pod-autoscaler-cpu-initialization-period": flag(durationMs, 300_000, "how long processor usage may be that of a pod's start"),
  "horizontal-pod-autoscaler-initial-readiness-delay": flag(durationMs, 30_000, "how long a pod that is not ready counts as starting"),
};

const secretFlags = {
  "root-ca-file": flag(optionalText, undefined, "certificates published in every namespace as kube-root-ca.crt"),
  "cluster-signing-cert-file": flag(optionalText, undefined, "certificate of the authority that signs certificate signing requests"),
  "cluster-signing-key-file": flag(optionalText, undefined, "its key; without the two no request is signed"),
  "cluster-signing-duration": flag(durationMs, 365 * 24 * 3_600_000, "the longest that signed certificates are valid"),
  "use-service-account-credentials": flag(boolean, false, "each controller with a service account of its own in kube-system"),
  "legacy-service-account-token-clean-up-period": flag(durationMs, 365 * 24 * 3_600_000, "unused legacy tokens are deleted after so long"),
};

const ofSigner = (what: string, signer: string) => flag(optionalText, undefined, `${what} for ${signer}, instead of the cluster's`);

/** Authorities of single signers: certificate, key, and the signer's name. */
const signerFlags = {
  "cluster-signing-kubelet-serving-cert-file": ofSigner("certificate", "kubernetes.io/kubelet-serving"),
  "cluster-signing-kubelet-serving-key-file": ofSigner("key", "kubernetes.io/kubelet-serving"),
  "cluster-signing-kubelet-client-cert-file": ofSigner("certificate", "kubernetes.io/kube-apiserver-client-kubelet"),
  "cluster-signing-kubelet-client-key-file": ofSigner("key", "kubernetes.io/kube-apiserver-client-kubelet"),
  "cluster-signing-kube-apiserver-client-cert-file": ofSigner("certificate", "kubernetes.io/kube-apiserver-client"),
  "cluster-signing-kube-apiserver-client-key-file": ofSigner("key", "kubernetes.io/kube-apiserver-client"),
  "cluster-signing-legacy-unknown-cert-file": ofSigner("certificate", "kubernetes.io/legacy-unknown"),
  "cluster-signing-legacy-unknown-key-file": ofSigner("key", "kubernetes.io/legacy-unknown"),
};

/** By the name of a signer the part of its flags' names that is its own. */
export const signerFlagNames = {
  "kubernetes.io/kubelet-serving": "kubelet-serving",
  "kubernetes.io/kube-apiserver-client-kubelet": "kubelet-client",
  "kubernetes.io/kube-apiserver-client": "kube-apiserver-client",
  "kubernetes.io/legacy-unknown": "legacy-unknown",
} as const;

export const controllerManagerFlags = {
  kubeconfig: flag(
    optionalText,
    undefined,
    "how to reach the API server; default $KUBECONFIG, ~/.kube/config or the pod's service account",
  ),
  master: flag(optionalText, undefined, "address of the API server, instead of the kubeconfig's"),
  controllers: flag(list, ["*"], "controllers to run: '*' is all that are on by default, 'foo' adds, '-foo' takes away"),
  ...electionFlags("kube-controller-manager", "managers"),
  ...servingFlags(10_257),
  ...nodeFlags,
  ...autoscalerFlags,
  ...volumeFlags,
  ...volumeSyncFlags,
  ...gateFlags,
  ...secretFlags,
  ...signerFlags,
  ...concurrency,
  ...logFlags,
  ...ignored,
};

/** Keys worked on at a time, by the controller's name. */
export function concurrencyOf(values: Readonly<Record<ConcurrencyFlag, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    (Object.entries(concurrencyFlags) as [ConcurrencyFlag, readonly [string, number]][]).map(([name, [controller]]) => [
      controller,
      values[name],
    ]),
  );
}

/** Those of the flags that were given and do nothing. */
export function ignoredFlags(values: Readonly<Record<IgnoredFlag, unknown>>): readonly string[] {
  return (Object.keys(withoutEffect) as IgnoredFlag[]).filter((name) => values[name] !== undefined);
}

/** The selection, if --controllers knows all its names; throws CommandError otherwise. */
export function checkedSelection(selection: readonly string[]): readonly string[] {
  try {
    selectControllers(allControllers, selection);
  } catch (error) {
    throw new CommandError(`--controllers: ${error instanceof Error ? error.message : String(error)}`);
  }
  return selection;
}
