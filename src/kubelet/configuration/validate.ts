// What upstream refuses in a KubeletConfiguration, in its words. Everything that is wrong comes at once.
import { isPortNumber, isQualifiedName } from "../../api/meta/names.ts";
import { parseQuantity, QuantityError } from "../../api/meta/quantity.ts";
import { parseThresholds } from "../eviction/thresholds.ts";
import { cpuListProblem } from "./cpu-list.ts";
import { type FeatureGates, resolveKubeletGates } from "./feature-gates.ts";
import { durationMs } from "./field.ts";
import type { KubeletConfiguration } from "./kubelet-configuration.ts";
import { enforcementProblems } from "./validate-enforcement.ts";
import { reservedMemoryProblems } from "./validate-reserved-memory.ts";

const q = (value: string): string => JSON.stringify(value);
const within = (value: number, min: number, max: number): boolean => value >= min && value <= max;

interface Problems {
  /** Adds "invalid configuration: …" where it holds. */
  when(wrong: boolean, text: string): void;
  readonly list: string[];
}

/** Throws ConfigError for feature gates; else everything that is wrong, in upstream's order. */
export function validateKubeletConfiguration(c: KubeletConfiguration): readonly string[] {
  const gates = resolveKubeletGates(c.featureGates);
  const list: string[] = [];
  const problems: Problems = { list, when: (wrong, text) => void (wrong && list.push(`invalid configuration: ${text}`)) };
  checkNumbers(problems, c, gates);
  checkImages(problems, c, gates);
  checkAllowlist(problems, c);
  checkPorts(problems, c);
  problems.when(c.runOnce, `runOnce (--runOnce) ${c.runOnce}, Runonce mode has been deprecated and should not be set`);
  problems.when(
    c.serverTLSBootstrap && !gates.enabled("RotateKubeletServerCertificate"),
    `serverTLSBootstrap ${c.serverTLSBootstrap} requires feature gate RotateKubeletServerCertificate`,
  );
  checkTaints(problems, c);
  checkPolicies(problems, c, gates);
  checkShutdown(problems, c, gates);
  problems.when(
    !["", "NoSwap", "LimitedSwap"].includes(c.memorySwap.swapBehavior),
    `memorySwap.swapBehavior ${q(c.memorySwap.swapBehavior)} must be one of: "", "LimitedSwap" or "NoSwap"`,
  );
  for (const problem of enforcementProblems(c)) problems.when(true, problem);
  checkReserved(problems, c);
  for (const problem of reservedMemoryProblems(c.reservedMemory)) problems.when(true, problem);
  checkThresholds(problems, c);
  checkLogs(problems, c);
  checkLogging(problems, c);
  checkModes(problems, c);
  checkTracing(problems, c);
  return list;
}

function checkNumbers({ when }: Problems, c: KubeletConfiguration, gates: FeatureGates): void {
  when(c.nodeLeaseDurationSeconds <= 0, "nodeLeaseDurationSeconds must be greater than 0");
  when(
    c.systemCgroups !== "" && c.cgroupRoot === "",
    "systemCgroups (--system-cgroups) was specified and cgroupRoot (--cgroup-root) was not specified",
  );
  const notNegative = (value: number, name: string): void => when(value < 0, `${name} ${value} must not be a negative number`);
  notNegative(c.eventBurst, "eventBurst (--event-burst)");
  notNegative(c.eventRecordQPS, "eventRecordQPS (--event-qps)");
  notNegative(c.kubeAPIBurst, "kubeAPIBurst (--kube-api-burst)");
  notNegative(c.kubeAPIQPS, "kubeAPIQPS (--kube-api-qps)");
  when(c.nodeStatusMaxImages < -1, `nodeStatusMaxImages (--node-status-max-images) ${c.nodeStatusMaxImages} must be -1 or greater`);
  notNegative(c.maxOpenFiles, "maxOpenFiles (--max-open-files)");
  notNegative(c.maxPods, "maxPods (--max-pods)");
  when(!within(c.oomScoreAdj, -1000, 1000), `oomScoreAdj (--oom-score-adj) ${c.oomScoreAdj} must be between -1000 and 1000, inclusive`);
  notNegative(c.podsPerCore, "podsPerCore (--pods-per-core)");
  notNegative(c.registryBurst, "registryBurst (--registry-burst)");
  notNegative(c.registryPullQPS, "registryPullQPS (--registry-qps)");
  const period = durationMs(c.cpuCFSQuotaPeriod);
  if (!gates.enabled("CustomCPUCFSQuotaPeriod"))
    when(
      period !== 100,
      `cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {${c.cpuCFSQuotaPeriod}} requires feature gate CustomCPUCFSQuotaPeriod`,
    );
  when(
    gates.enabled("CustomCPUCFSQuotaPeriod") && !within(period, 1, 1000),
    `cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {${c.cpuCFSQuotaPeriod}} must be between 1ms and 1sec, inclusive`,
  );
  const bit = (value: number, name: string): void => when(!within(value, 0, 31), `${name} ${value} must be between 0 and 31, inclusive`);
  bit(c.iptablesDropBit, "iptablesDropBit (--iptables-drop-bit)");
  bit(c.iptablesMasqueradeBit, "iptablesMasqueradeBit (--iptables-masquerade-bit)");
  const { maxContainerRestartPeriod } = c.crashLoopBackOff;
  const restart = maxContainerRestartPeriod === undefined ? 1000 : durationMs(maxContainerRestartPeriod);
  const shown = `(got: ${restart / 1000} seconds)`;
  if (!gates.enabled("KubeletCrashLoopBackOffMax"))
    when(
      maxContainerRestartPeriod !== undefined,
      "FeatureGate KubeletCrashLoopBackOffMax not enabled, CrashLoopBackOff.MaxContainerRestartPeriod must not be set",
    );
  else when(!within(restart, 1000, 300_000), `CrashLoopBackOff.MaxContainerRestartPeriod ${shown} must be set between 1s and 300s`);
  const throttling = c.memoryThrottlingFactor;
  when(throttling <= 0 || throttling > 1, `memoryThrottlingFactor ${throttling} must be greater than 0 and less than or equal to 1.0`);
}

function checkImages({ when }: Problems, c: KubeletConfiguration, gates: FeatureGates): void {
  const [high, low] = [c.imageGCHighThresholdPercent, c.imageGCLowThresholdPercent];
  const [highName, lowName] = [
    "imageGCHighThresholdPercent (--image-gc-high-threshold)",
    "imageGCLowThresholdPercent (--image-gc-low-threshold)",
  ];
  when(!within(high, 0, 100), `${highName} ${high} must be between 0 and 100, inclusive`);
  when(!within(low, 0, 100), `${lowName} ${low} must be between 0 and 100, inclusive`);
  when(low >= high, `${lowName} ${low} must be less than ${highName} ${high}`);
  const [least, most] = [durationMs(c.imageMinimumGCAge), durationMs(c.imageMaximumGCAge)];
  when(least < 0, `imageMinimumGCAge ${c.imageMinimumGCAge} must not be negative`);
  when(most < 0, `imageMaximumGCAge ${c.imageMaximumGCAge} must not be negative`);
  when(most > 0 && most <= least, `imageMaximumGCAge ${c.imageMaximumGCAge} must be greater than imageMinimumGCAge ${c.imageMinimumGCAge}`);
  const { maxParallelImagePulls: parallel, serializeImagePulls } = c;
  when(parallel !== undefined && parallel < 1, `maxParallelImagePulls ${parallel} must be a positive number`);
  when(
    serializeImagePulls === true && parallel !== undefined && parallel > 1,
    "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls (--serialize-image-pulls) is set to false",
  );
  const policies = ["NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"];
  const policy = c.imagePullCredentialsVerificationPolicy;
  if (!gates.enabled("KubeletEnsureSecretPulledImages")) {
    const unset = "must not be set if KubeletEnsureSecretPulledImages feature gate is not enabled";
    when(policy !== "" && policy !== "NeverVerifyPreloadedImages", `\`imagePullCredentialsVerificationPolicy\` ${unset}`);
    when(c.preloadedImagesVerificationAllowlist.length > 0, `\`preloadedImagesVerificationAllowlist\` ${unset}`);
    return;
  }
  when(
    !policies.includes(policy),
    `option ${q(policy)} specified for imagePullCredentialsVerificationPolicy. Valid options are ${policies.slice(0, 3).map(q).join(", ")} or "AlwaysVerify"`,
  );
}

function checkAllowlist({ when }: Problems, c: KubeletConfiguration): void {
  when(
    c.preloadedImagesVerificationAllowlist.length > 0 && c.imagePullCredentialsVerificationPolicy !== "NeverVerifyAllowlistedImages",
    'can\'t set `preloadedImagesVerificationAllowlist` if `imagePullCredentialsVertificationPolicy` is not "NeverVerifyAllowlistedImages"',
  );
}

/** Port 0 is any that is free: only flags can say so. */
function checkPorts({ when }: Problems, c: KubeletConfiguration): void {
  const isPort = (port: number): boolean => isPortNumber(port).length === 0;
  when(c.port !== 0 && !isPort(c.port), `port (--port) ${c.port} must be between 1 and 65535, inclusive`);
  when(
    c.healthzPort !== 0 && !isPort(c.healthzPort),
    `healthzPort (--healthz-port) ${c.healthzPort} must be between 1 and 65535, inclusive`,
  );
  when(
    c.readOnlyPort !== 0 && !isPort(c.readOnlyPort),
    `readOnlyPort (--read-only-port) ${c.readOnlyPort} must be between 0 and 65535, inclusive`,
  );
}

function checkTaints({ list, when }: Problems, c: KubeletConfiguration): void {
  for (const taint of c.registerWithTaints) {
    const { key, value = "", effect, timeAdded } = taint;
    const isEffect = ["", "NoSchedule", "PreferNoSchedule", "NoExecute"].includes(effect);
    if (isQualifiedName(key).length > 0 || !isEffect) list.push(`invalid taint: {${key} ${value} ${effect} ${timeAdded || "<nil>"}}`);
    when(Boolean(timeAdded), "taint.TimeAdded is not nil");
  }
}

function checkPolicies({ when }: Problems, c: KubeletConfiguration, gates: FeatureGates): void {
  const topology = ["none", "best-effort", "restricted", "single-numa-node"];
  when(
    !topology.includes(c.topologyManagerPolicy),
    `topologyManagerPolicy (--topology-manager-policy) ${q(c.topologyManagerPolicy)} must be one of: [${topology.map(q).join(" ")}]`,
  );
  when(
    !["container", "pod"].includes(c.topologyManagerScope),
    `topologyManagerScope (--topology-manager-scope) ${q(c.topologyManagerScope)} must be one of: "container", or "pod"`,
  );
  when(
    !["Get", "Cache", "Watch"].includes(c.configMapAndSecretChangeDetectionStrategy),
    `configMapAndSecretChangeDetectionStrategy ${q(c.configMapAndSecretChangeDetectionStrategy)} must be one of: "Get", "Cache" or "Watch"`,
  );
  const idsPerPod = c.userNamespaces?.idsPerPod;
  const idsProblem = idsPerPod === undefined ? undefined : idsPerPodProblem(idsPerPod);
  when(idsProblem !== undefined, `userNamespaces.idsPerPod ${idsProblem}`);
  when(
    !["cgroupfs", "systemd"].includes(c.cgroupDriver),
    `cgroupDriver (--cgroup-driver) ${q(c.cgroupDriver)} must be "cgroupfs" or "systemd"`,
  );
  when(
    !["none", "hairpin-veth", "promiscuous-bridge"].includes(c.hairpinMode),
    `option ${q(c.hairpinMode)} specified for hairpinMode (--hairpin-mode). Valid options are "none", "hairpin-veth" or "promiscuous-bridge"`,
  );
  when(
    c.memoryReservationPolicy === "TieredReservation" && !gates.enabled("MemoryQoS"),
    'memoryReservationPolicy "TieredReservation" requires MemoryQoS feature gate to be enabled',
  );
  when(
    !["None", "TieredReservation"].includes(c.memoryReservationPolicy),
    `option ${q(c.memoryReservationPolicy)} specified for memoryReservationPolicy. Valid options are "None" or "TieredReservation"`,
  );
}

/** The first of what is wrong. */
function idsPerPodProblem(ids: number): string | undefined {
  if (ids < 65_536) return "must not be less than 65536";
  if (ids % 65_536 !== 0) return "must be a multiple of 65536";
  return ids > 2 ** 32 - 1 ? "must not be more than 4294967295" : undefined;
}

function checkShutdown({ when }: Problems, c: KubeletConfiguration, gates: FeatureGates): void {
  const [all, critical] = [durationMs(c.shutdownGracePeriod), durationMs(c.shutdownGracePeriodCriticalPods)];
  const odd = (ms: number): boolean => ms < 0 || (ms > 0 && ms < 1000);
  if (gates.enabled("GracefulNodeShutdown")) {
    when(
      critical > all,
      `shutdownGracePeriodCriticalPods {${c.shutdownGracePeriodCriticalPods}} must be <= shutdownGracePeriod {${c.shutdownGracePeriod}}`,
    );
    when(odd(all), `shutdownGracePeriod {${c.shutdownGracePeriod}} must be either zero or otherwise >= 1 sec`);
    when(odd(critical), `shutdownGracePeriodCriticalPods {${c.shutdownGracePeriodCriticalPods}} must be either zero or otherwise >= 1 sec`);
  } else
    when(
      all > 0 || critical > 0,
      "specifying shutdownGracePeriod or shutdownGracePeriodCriticalPods requires feature gate GracefulNodeShutdown",
    );
  const byPriority = gates.enabled("GracefulNodeShutdownBasedOnPodPriority");
  when(
    !byPriority && c.shutdownGracePeriodByPodPriority.length > 0,
    "Specifying shutdownGracePeriodByPodPriority requires feature gate GracefulNodeShutdownBasedOnPodPriority",
  );
  when(
    byPriority && c.shutdownGracePeriodByPodPriority.length > 0 && (all > 0 || critical > 0),
    "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time",
  );
}

function checkReserved({ when }: Problems, c: KubeletConfiguration): void {
  if (c.reservedSystemCPUs !== "") {
    when(
      c.systemReservedCgroup !== "" || c.kubeReservedCgroup !== "",
      "can't use reservedSystemCPUs (--reserved-cpus) with systemReservedCgroup (--system-reserved-cgroup) or kubeReservedCgroup (--kube-reserved-cgroup)",
    );
    const problem = cpuListProblem(c.reservedSystemCPUs);
    when(problem !== undefined, `unable to parse reservedSystemCPUs (--reserved-cpus) ${c.reservedSystemCPUs}, error: ${problem}`);
  }
  for (const [field, map] of [
    ["systemReserved", c.systemReserved],
    ["kubeReserved", c.kubeReserved],
  ] as const) {
    for (const [name, amount] of Object.entries(map)) {
      const problem = reservedProblem(name, amount);
      when(problem !== undefined, `${field} (${field === "systemReserved" ? "--system-reserved" : "--kube-reserved"}): ${problem}`);
    }
  }
}

function checkThresholds({ when }: Problems, c: KubeletConfiguration): void {
  try {
    parseThresholds(c);
  } catch (error) {
    // Whatever it finds is about what is written there.
    when(true, error instanceof Error ? error.message : String(error));
  }
}

function reservedProblem(name: string, amount: string): string | undefined {
  if (!["cpu", "memory", "ephemeral-storage", "pid"].includes(name)) return `cannot reserve ${q(name)} resource`;
  try {
    return parseQuantity(amount).milliValue() < 0 ? `resource quantity for ${q(name)} cannot be negative: ${amount}` : undefined;
  } catch (error) {
    if (error instanceof QuantityError) return `failed to parse quantity ${q(amount)} for ${q(name)} resource: ${error.message}`;
    throw error;
  }
}

function checkLogs({ when }: Problems, c: KubeletConfiguration): void {
  when(c.enableSystemLogQuery && !c.enableSystemLogHandler, "enableSystemLogHandler is required for enableSystemLogQuery");
  when(c.containerLogMaxWorkers < 1, "containerLogMaxWorkers must be greater than or equal to 1");
  when(
    durationMs(c.containerLogMonitorInterval) < 3000,
    "containerLogMonitorInterval must be a positive time duration greater than or equal to 3s",
  );
  when(c.containerLogMaxFiles <= 1, "containerLogMaxFiles must be greater than 1");
  when(!isSize(c.containerLogMaxSize), `failed to parse containerLogMaxSize (--container-log-max-size) ${q(c.containerLogMaxSize)}`);
  const { podLogsDir } = c;
  if (podLogsDir === "") return;
  when(!podLogsDir.startsWith("/"), `pod logs path ${q(podLogsDir)} must be absolute path`);
  when(/\/\/|\/\.\.?(\/|$)|.\/$/.test(podLogsDir), `pod logs path ${q(podLogsDir)} must be normalized`);
  when(/[^\0-\x7f]/.test(podLogsDir), `pod logs path ${q(podLogsDir)} mut contains ASCII characters only`);
}

function checkLogging({ list }: Problems, { logging: { format, verbosity, vmodule } }: KubeletConfiguration): void {
  if (verbosity < 0)
    list.push(
      `json: cannot unmarshal number ${verbosity} into Go struct field LoggingConfiguration.logging.verbosity of type v1.VerbosityLevel`,
    );
  if (format !== "text" && format !== "json") list.push(`logging.format: Invalid value: ${q(format)}: Unsupported log format`);
  if (format !== "text" && vmodule.length > 0) list.push("logging.vmodule: Forbidden: Only supported for text log format");
  for (const [i, { filePattern }] of vmodule.entries()) {
    if (filePattern === "") list.push(`logging.vmodule[${i}]: Required value: File pattern must not be empty`);
    else if (/[=,]/.test(filePattern))
      list.push(`logging.vmodule[${i}]: Invalid value: ${q(filePattern)}: File pattern must not contain equal sign or comma`);
  }
}

function isSize(amount: string): boolean {
  try {
    return parseQuantity(amount).value() > 0;
  } catch (error) {
    if (error instanceof QuantityError) return false;
    throw error;
  }
}

function checkTracing({ list }: Problems, { tracing }: KubeletConfiguration): void {
  if (!tracing) return;
  const { samplingRatePerMillion: rate, endpoint } = tracing;
  const invalid = (field: string, value: unknown, why: string): void =>
    void list.push(`tracing.${field}: Invalid value: ${JSON.stringify(value)}: ${why}`);
  if (rate < 0) invalid("samplingRatePerMillion", rate, "sampling rate must be positive");
  if (rate > 1_000_000) invalid("samplingRatePerMillion", rate, "sampling rate per million must be less than or equal to one million");
  const scheme = endpoint.includes("//") ? (/^([a-z-]*):/.exec(endpoint)?.[1] ?? "") : "dns";
  if (!["dns", "unix", "unix-abstract"].includes(scheme))
    invalid(
      "endpoint",
      endpoint,
      `unsupported scheme: ${scheme}.  Options are none, dns, unix, or unix-abstract.  See https://github.com/grpc/grpc/blob/master/doc/naming.md`,
    );
}

function checkModes({ when }: Problems, c: KubeletConfiguration): void {
  const { mode } = c.authorization;
  when(
    !["AlwaysAllow", "Webhook"].includes(mode),
    `authorization.mode (--authorization-mode) ${q(mode)} must be one of: "AlwaysAllow" or "Webhook"`,
  );
  when(
    (c.tlsCertFile === "") !== (c.tlsPrivateKeyFile === ""),
    "tlsCertFile (--tls-cert-file) and tlsPrivateKeyFile (--tls-private-key-file) belong together",
  );
}
