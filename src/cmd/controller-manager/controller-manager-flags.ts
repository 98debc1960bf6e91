// The flags of `coracle controller-manager`: upstream's names, defaults and units, so that a manifest written for
// kube-controller-manager starts this one. Those that have nothing to set here (they tune informers, clouds and code that is
// not there) are taken and listed as such.
import { featureGatesFlag, type GateSupport } from "../../api/semantics/feature-gates.ts";
import {
  boolean,
  durationMs,
  type FlagType,
  flag,
  flagsWithoutEffect,
  integer,
  lastList,
  list,
  number,
  optionalText,
} from "../../base/flags.ts";
import { logFlags } from "../../base/log-flags.ts";
import { selectControllers } from "../../controllers/controller-names.ts";
import { allControllers } from "../../controllers/registry.ts";
import { CommandError } from "../command-error.ts";
import { electionFlags, ignoredComponentFlags, servingFlags, versionFlags } from "../component/component-flags.ts";
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
  "concurrent-rc-syncs": ["replicationcontroller-controller", 5],
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
  ...ignoredComponentFlags,
  "attach-detach-reconcile-sync-period": undefined,
  "cidr-allocator-type": undefined,
  "cloud-config": undefined,
  "cloud-provider": undefined,
  "cluster-name": undefined,
  "concurrent-service-syncs": undefined,
  "configure-cloud-routes": "true",
  "controller-shutdown-timeout": undefined,
  "controller-start-interval": undefined,
  "disable-attach-detach-reconcile-sync": "true",
  "enable-garbage-collector": "true",
  "external-cloud-volume-plugin": undefined,
  "flex-volume-plugin-dir": undefined,
  "leader-migration-config": undefined,
  "min-resync-period": undefined,
  "namespace-sync-period": undefined,
  "route-reconciliation-period": undefined,
  "service-account-private-key-file": undefined,
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
  "cluster-cidr": flag(lastList, ["10.244.0.0/16"], "ranges from which nodes get those of their pods, at most one of each family"),
  "service-cluster-ip-range": flag(lastList, [], "ranges of services, which no node gets"),
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

/** How many endpoints a slice may have, of ours and of mirrored ones. */
const perSlice = integer({ min: 1, max: 1000 });

const endpointFlags = {
  "max-endpoints-per-slice": flag(perSlice, 100, "endpoints that a slice of the endpointslice-controller has at most"),
  "mirroring-max-endpoints-per-subset": flag(perSlice, 1000, "endpoints that the endpointslice-mirroring-controller copies of a subset"),
  "endpoint-updates-batch-period": flag(durationMs, 0, "how long changes of pods are gathered by the endpoints-controller"),
  "endpointslice-updates-batch-period": flag(durationMs, 0, "the same by the endpointslice-controller"),
  "mirroring-endpointslice-updates-batch-period": flag(durationMs, 0, "the same by the endpointslice-mirroring-controller"),
};

const leaderMigration: FlagType<boolean> = {
  ...boolean,
  parse(value, previous) {
    if (boolean.parse(value, previous)) throw new Error("expected false: there is no cloud-controller-manager to migrate to");
    return false;
  },
};

const otherFlags = {
  "disable-force-detach-on-timeout": flag(boolean, false, "volumes are never detached because a node that is down takes too long"),
  "resource-quota-sync-period": flag(durationMs, 300_000, "how often all quotas are counted anew"),
  "enable-leader-migration": flag(leaderMigration, false, "cannot be turned on: there is no cloud-controller-manager"),
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
  ...endpointFlags,
  ...otherFlags,
  ...gateFlags,
  ...secretFlags,
  ...signerFlags,
  ...concurrency,
  ...logFlags,
  ...versionFlags,
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
