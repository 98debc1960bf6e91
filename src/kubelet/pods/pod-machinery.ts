// Everything a pod worker works with, put together: images, volumes, probes, starting and stopping.

import { isStatus } from "../../api/meta/status-error.ts";
import { runtimeclasses } from "../../api/resources.generated.ts";
import type { NodeRuntimeHandlerFeatures, Pod, Secret, Service } from "../../api/types/core-v1.ts";
import { pooledFiles } from "../../base/file-calls.ts";
import type { ResolverConfig } from "../../base/resolv-conf.ts";
import { Turns } from "../../base/turns.ts";
import { noPodCgroups } from "../cgroups/pod-cgroups.ts";
import { type NodeResourceRules, quotaOf } from "../containers/linux-resources.ts";
import { memoryQosOf } from "../containers/memory-qos-options.ts";
import { UserNamespaces } from "../containers/user-namespaces.ts";
import type { ClaimManager } from "../dra/claim-manager.ts";
import type { KubeletDependencies } from "../kubelet.ts";
import type { NodeFacts } from "../node/node-status.ts";
import type { ResolvedOptions } from "../options.ts";
import { createHttpGet } from "../probes/http.ts";
import { ProbeManager } from "../probes/probe-manager.ts";
import { createProber } from "../probes/prober.ts";
import { CredentialPlugins } from "../pulls/credential-plugins.ts";
import type { CredentialProvider } from "../pulls/credential-provider-config.ts";
import { ImageManager } from "../pulls/images.ts";
import type { TrackedCredential } from "../pulls/pull-credentials.ts";
import type { PullRecords } from "../pulls/pull-records.ts";
import { PullVerification } from "../pulls/pull-verification.ts";
import type { ReferencedObjectCache } from "../referenced-objects.ts";
import type { PodAllocations } from "../resize/pod-allocations.ts";
import { PodResizer } from "../resize/pod-resizer.ts";
import type { PodResizes } from "../resize/pod-resizes.ts";
import type { ResizeMetrics } from "../resize/resize-metrics.ts";
import { nothingGiven, withCdiDevices } from "../resource-managers/container-resources.ts";
import type { NodeManagers } from "../resource-managers/node-managers.ts";
import type { RuntimeReader } from "../runtime/runtime-reader.ts";
import type { KubeletMetrics } from "../stats/kubelet-metrics.ts";
import { countedCgroups } from "../stats/node-metrics.ts";
import { registerPullMetrics } from "../stats/pull-metrics.ts";
import { PodReporter } from "../status/pod-reporter.ts";
import type { StatusManager } from "../status/status-manager.ts";
import type { PodCertificates } from "../volumes/pod-certificates.ts";
import { ServiceAccountTokens } from "../volumes/service-account-tokens.ts";
import { TrustAnchors } from "../volumes/trust-anchors.ts";
import { VolumeManager } from "../volumes/volume-manager.ts";
import { CrashBackOff } from "./crash-backoff.ts";
import { PodKiller } from "./pod-killer.ts";
import { PodStarter } from "./pod-starter.ts";
import type { PodWorkerDependencies } from "./pod-worker.ts";

export interface MachineryContext {
  readonly options: ResolvedOptions;
  readonly facts: NodeFacts;
  readonly resolver: ResolverConfig;
  readonly credentialProviders: readonly CredentialProvider[];
  readonly runtimeName: string;
  readonly reader: RuntimeReader;
  readonly objects: ReferencedObjectCache;
  readonly statuses: StatusManager;
  readonly allocations: PodAllocations;
  readonly resizes: PodResizes;
  readonly services: () => Iterable<Service>;
  readonly allocatable: () => Readonly<Record<string, string | number>>;
  readonly networkProblem: () => string | undefined;
  readonly runtimeFeatures: (handler: string) => NodeRuntimeHandlerFeatures;
  readonly wake: (podUid: string) => void;
  readonly metrics: KubeletMetrics;
  /** Absent where nothing is handed out. */
  readonly managers: NodeManagers | undefined;
  /** Absent where no driver can register. */
  readonly claims: ClaimManager | undefined;
  readonly resizeMetrics: ResizeMetrics;
  readonly pullRecords: PullRecords;
  /** Where pods may have certificates of their own. */
  readonly podCertificates: () => PodCertificates;
  /** A pod's control group is made or removed. */
  readonly onCgroups: () => void;
  /** Nothing is left of the pod. */
  readonly onGone: (pod: Pod) => Promise<void>;
}

/** User agent of probes and hooks: upstream's has the minor version only. */
const agentVersion = "1.36";

export function buildPodMachinery(deps: KubeletDependencies, context: MachineryContext): PodWorkerDependencies {
  const { cri, clock, logger, recorder, client, files = pooledFiles } = deps;
  const { options, facts, managers, claims, runtimeName, reader, objects, statuses, allocations, resizes, allocatable, metrics } = context;
  const hostIPs = (): readonly string[] => facts.addresses.map((a) => a.address);
  const httpGet = deps.httpGet ?? createHttpGet(agentVersion, deps.dial);
  const initialMs = options.gates.enabled("ReduceDefaultCrashLoopBackOffDecay") ? 1_000 : 10_000;
  const crashes = new CrashBackOff(clock, { initialMs, maxMs: options.maxContainerRestartPeriodMs });
  const { life } = metrics;
  const hooks = { onHookFallback: () => life.hookFallbacks.add(), onSleepCutShort: () => life.sleepsCutShort.add() };
  const killer = new PodKiller({ cri, clock, logger, recorder, httpGet, ...hooks });
  const tokens = new ServiceAccountTokens(client, clock);
  const anchors = options.gates.enabled("ClusterTrustBundleProjection") ? new TrustAnchors(client, clock) : undefined;
  const certificates = options.gates.enabled("PodCertificateRequest") ? context.podCertificates() : undefined;
  const verifies = options.gates.enabled("KubeletEnsureSecretPulledImages");
  const verification = new PullVerification(
    { cri, clock, logger, records: context.pullRecords, onChecked: registerPullMetrics(metrics.registry, context.pullRecords) },
    {
      policy: verifies ? options.imagePullCredentialsVerificationPolicy : "NeverVerify",
      allowlist: options.preloadedImagesVerificationAllowlist,
    },
  );
  const images = new ImageManager(
    {
      ...{ cri, clock, recorder, verification, nodeCredentials: credentialPlugins(deps, context, tokens) },
      onPulled: (uid, about) => life.imagePulled(uid, about),
      onEnsured: (policy, found) => life.imageEnsured(policy, found),
    },
    { maxParallelPulls: options.maxParallelImagePulls, pullsPerSecond: options.registryPullQPS, burst: options.registryBurst },
  );
  const volumes = new VolumeManager(options.podsDirectory, {
    ...{ mounts: deps.mounts, clock, files, plugins: deps.volumePlugins ?? [], metrics: metrics.volumes },
    payload: (pod) => ({
      ...{ objects, hostIPs: hostIPs(), allocatable: allocatable() },
      podIPs: statuses.get(pod.metadata.uid)?.podIPs?.map((p) => p.ip) ?? [],
      token: (of, projection) => tokens.token(of, projection),
      ...(anchors ? { trustAnchors: (projection) => anchors.of(projection) } : {}),
      ...(certificates ? { certificate: (of, place, projection) => certificates.bundle(of, place, projection) } : {}),
    }),
  });
  const run = deps.runProbe ?? createProber({ cri, httpGet, dial: deps.dial });
  const probes = new ProbeManager({
    clock,
    recorder,
    runtimeName,
    run,
    onChange: context.wake,
    observe: (what, probe) => metrics.probe(what, probe),
  });
  const userNamespaces = new UserNamespaces({
    podDirectory: (uid) => volumes.podDirectory(uid),
    podsOnDisk: () => volumes.podsOnDisk(),
    idsPerPod: options.userNamespaceIdsPerPod,
    isSupported: (handler) => context.runtimeFeatures(handler).userNamespaces === true,
  });
  const cgroups = countedCgroups(deps.cgroups ?? noPodCgroups, metrics.registry, clock);
  const rules = resourceRules(options, facts, cgroups.version);
  const resizeMs = (ms: number, success: boolean): void => context.resizeMetrics.durations.series(String(success)).observe(ms);
  const resizer = new PodResizer({ cri, clock, cgroups, allocations, rules, onResized: resizeMs });
  const starter = new PodStarter(
    {
      ...{ allocations, resizer, cri, clock, recorder, images, killer, crashes, httpGet, objects, hostIPs, allocatable, files },
      ...hooks,
      onImageVolume: (outcome) => life.imageVolume(outcome),
      services: context.services,
      nodeResolver: () => context.resolver,
      runtimeHandler: (pod) => runtimeHandler(deps, pod),
      runtimeFeatures: context.runtimeFeatures,
      userNamespaces,
      prepareClaims: claims && ((pod, signal) => claims.prepare(pod, signal)),
      given: async (pod, container) =>
        withCdiDevices((await managers?.given(pod, container)) ?? nothingGiven, claims?.cdiDevices(pod, container) ?? []),
      podDirectory: (uid) => volumes.podDirectory(uid),
      turns: new Turns(clock, { slots: facts.system.cpus + 1 }),
    },
    {
      logsDirectory: options.logsDirectory,
      clusterDns: { servers: options.clusterDns, domain: options.clusterDomain },
      rules,
      ownStopSignals: options.gates.enabled("ContainerStopSignals"),
      hugePages: facts.hugePages ?? [],
      ...(deps.cgroups?.version === 2
        ? { swap: { behavior: options.swapBehavior, memoryBytes: facts.system.memoryBytes, swapBytes: facts.system.swapBytes } }
        : {}),
      security: { seccompRoot: `${options.rootDirectory}/seccomp`, seccompDefault: options.seccompDefault },
    },
  );
  return {
    ...{ allocations, resizes, cri, clock, logger, recorder, reader, starter, killer, crashes, probes, volumes },
    ...(deps.tracer ? { tracer: deps.tracer } : {}),
    ...(deps.podStarts ? { starts: deps.podStarts } : {}),
    reporter: new PodReporter({
      ...{ statuses, probes, allocations, resizes, runtimeName, hostIPs },
      readyToStart: options.gates.enabled("PodReadyToStartContainersCondition"),
      showsStopSignals: options.gates.enabled("ContainerStopSignals"),
      ...(managers && options.gates.enabled("ResourceHealthStatus")
        ? {
            healthOf: (pod: Pod, container: string) => [
              ...managers.healthOf(pod.metadata.uid, container),
              ...(claims?.healthOf(pod, container) ?? []),
            ],
          }
        : {}),
      recursiveReadOnly: () => context.runtimeFeatures("").recursiveReadOnlyMounts === true,
    }),
    networkProblem: context.networkProblem,
    registerObjects: (pod) => objects.register(pod),
    onStep: (step) => metrics.podStep(step),
    async ensureCgroup(pod) {
      context.onCgroups();
      return await cgroups.ensure(pod, { hasOwnCpus: managers?.hasOwnCpus(pod.metadata.uid) === true });
    },
    async removeCgroup(pod) {
      context.onCgroups();
      await cgroups.remove(pod);
    },
    releaseClaims: claims && ((pod) => claims.unprepare(pod)),
    pullSecrets: (pod) => pullSecrets(deps, objects, pod),
    onGone: async (pod) => {
      const { uid } = pod.metadata;
      images.forget(uid);
      metrics.forget(pod);
      managers?.release(uid);
      tokens.forget(uid);
      certificates?.forget(uid);
      await userNamespaces.forget(uid);
      crashes.forgetPrefix(`${uid}_`);
      await context.onGone(pod);
    },
  };
}

/** What requests and limits mean on this node. */
function resourceRules(options: ResolvedOptions, { system }: NodeFacts, cgroupVersion: 1 | 2 | undefined): NodeResourceRules {
  const { memoryBytes } = system;
  const memoryQos = cgroupVersion === 2 ? memoryQosOf({ ...options, reservations: options.protection }, memoryBytes) : undefined;
  const endsTogether = cgroupVersion === 2 && options.singleProcessOOMKill !== true;
  return { memoryBytes, quota: quotaOf(options), endsTogether, ...(memoryQos ? { memoryQos } : {}) };
}

/** The programs of --image-credential-provider-config; none where there is none. */
function credentialPlugins(
  { client, clock, logger }: KubeletDependencies,
  { options, credentialProviders }: MachineryContext,
  tokens: ServiceAccountTokens,
): (image: string, pod: Pod) => Promise<readonly TrackedCredential[]> {
  if (credentialProviders.length === 0) return async () => [];
  const token = (pod: Pod, audience: string): Promise<string> => tokens.token(pod, { audience, path: "" });
  const plugins = new CredentialPlugins(credentialProviders, options.imageCredentialProviderBinDir, { client, clock, logger, token });
  return (image, pod) => plugins.credentialsFor(image, pod);
}

/** What the pod's RuntimeClass says; "" is the runtime's default. */
async function runtimeHandler({ client }: KubeletDependencies, pod: Pod): Promise<string> {
  const { runtimeClassName } = pod.spec;
  if (!runtimeClassName) return "";
  return (await client.get(runtimeclasses, { name: runtimeClassName })).handler;
}

/** Those that exist; for the others there is an event, and the registry may do without. */
async function pullSecrets({ recorder }: KubeletDependencies, objects: ReferencedObjectCache, pod: Pod): Promise<readonly Secret[]> {
  const found: Secret[] = [];
  const missing: string[] = [];
  for (const { name = "" } of pod.spec.imagePullSecrets ?? []) {
    try {
      found.push(await objects.secret(pod.metadata.namespace, name));
    } catch (error) {
      if (!isStatus(error, "NotFound", "Forbidden")) throw error;
      missing.push(name);
    }
  }
  if (missing.length > 0) {
    const message = `Unable to retrieve some image pull secrets (${missing.join(", ")}); attempting to pull the image may not succeed.`;
    recorder.record(pod, { type: "Warning", reason: "FailedToRetrieveImagePullSecret", message });
  }
  return found;
}
