// The Pod Security Standards: what a pod must not do at the levels "baseline" and "restricted", as of each version of
// Kubernetes. A check says in a few words what is wrong, and in its detail where. Restricted includes the baseline checks,
// except those that a stricter one of its own replaces.
import type { Container, LifecycleHandler, PodSpec, Probe, Volume } from "../../api/types/core-v1.ts";

export type PodSecurityLevel = "privileged" | "baseline" | "restricted";

/** What is checked: of a pod, or of a template for pods. */
export interface CheckedPod {
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
}

export interface Violation {
  /** "host namespaces". */
  readonly reason: string;
  /** "hostNetwork=true". */
  readonly detail: string;
}

interface Check {
  readonly id: string;
  readonly level: "baseline" | "restricted";
  /** First minor version it holds for. */
  readonly from: number;
  /** First minor version it does not hold for any more. */
  readonly until?: number;
  /** Checks of baseline that it replaces. */
  readonly replaces?: string;
  readonly check: (pod: CheckedPod) => Violation | undefined;
}

/** The newest version with checks of its own: "latest", and every version beyond. */
const newestVersion = 35;

/** The violations of a pod at a level, in upstream's order. `version` is a minor version, undefined for the latest. */
export function podViolations(pod: CheckedPod, level: PodSecurityLevel, version: number | undefined): readonly Violation[] {
  if (level === "privileged") return [];
  const minor = Math.min(version ?? newestVersion, newestVersion);
  const current = checks.filter((c) => minor >= c.from && minor < (c.until ?? Number.POSITIVE_INFINITY));
  const replaced = new Set(level === "restricted" ? current.flatMap((c) => (c.level === "restricted" ? (c.replaces ?? []) : [])) : []);
  const found: Violation[] = [];
  for (const c of current) {
    if ((level === "baseline" && c.level === "restricted") || replaced.has(c.id)) continue;
    const violation = c.check(pod);
    if (violation) found.push(violation);
  }
  return found;
}

type AnyContainer = Pick<
  Container,
  "name" | "securityContext" | "ports" | "livenessProbe" | "readinessProbe" | "startupProbe" | "lifecycle"
>;

function containersOf({ spec }: CheckedPod): readonly AnyContainer[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
}

const quoted = (values: Iterable<string>): string => [...values].map((v) => `"${v}"`).join(", ");
const sorted = (values: Iterable<string>): readonly string[] => [...new Set(values)].sort();
const plural = (noun: string, count: number): string => (count === 1 ? noun : `${noun}s`);
const named = (containers: readonly { readonly name: string }[]): string =>
  `${plural("container", containers.length)} ${quoted(containers.map((c) => c.name))}`;

/** "pod and container "c"": who has set something bad; "" for nobody. */
function setters(podIsBad: boolean, bad: readonly { readonly name: string }[]): string {
  return [...(podIsBad ? ["pod"] : []), ...(bad.length > 0 ? [named(bad)] : [])].join(" and ");
}

const isWindows = ({ spec }: CheckedPod): boolean => spec.os?.name === "windows";
/** A pod in a user namespace is not root on the host, whatever it is inside. */
const isInUserNamespace = ({ spec }: CheckedPod): boolean => spec.hostUsers === false;

const unlessWindows =
  (check: Check["check"]): Check["check"] =>
  (pod) =>
    isWindows(pod) ? undefined : check(pod);
const unlessUserNamespace =
  (check: Check["check"]): Check["check"] =>
  (pod) =>
    isInUserNamespace(pod) ? undefined : check(pod);

const appArmorTypes = new Set(["RuntimeDefault", "Localhost"]);

function appArmorProfile(pod: CheckedPod): Violation | undefined {
  const isBad = (profile: { readonly type: string } | undefined): boolean => profile !== undefined && !appArmorTypes.has(profile.type);
  const podProfile = pod.spec.securityContext?.appArmorProfile;
  const bad = containersOf(pod).filter((c) => isBad(c.securityContext?.appArmorProfile));
  const types = [...(isBad(podProfile) ? [podProfile?.type ?? ""] : []), ...bad.map((c) => c.securityContext?.appArmorProfile?.type ?? "")];
  const annotations = Object.entries(pod.annotations)
    .filter(([k, v]) => k.startsWith("container.apparmor.security.beta.kubernetes.io/") && !/^($|runtime\/default$|localhost\/)/.test(v))
    .map(([k, v]) => `${k}=${JSON.stringify(v)}`);
  const who = [setters(isBad(podProfile), bad), ...(annotations.length > 0 ? [plural("annotation", annotations.length)] : [])].filter(
    (w) => w !== "",
  );
  if (who.length === 0) return undefined;
  const values = [...sorted(types), ...sorted(annotations)];
  return {
    reason: plural("forbidden AppArmor profile", values.length),
    detail: `${who.join(" and ")} must not set AppArmor profile type to ${quoted(values)}`,
  };
}

const defaultCapabilities = new Set([
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
]);

/** Containers that add capabilities beyond the allowed ones, and which. */
function addedCapabilities(pod: CheckedPod, allowed: ReadonlySet<string>): { readonly detail: string } | undefined {
  const beyond = (c: AnyContainer): readonly string[] => (c.securityContext?.capabilities?.add ?? []).filter((cap) => !allowed.has(cap));
  const bad = containersOf(pod).filter((c) => beyond(c).length > 0);
  if (bad.length === 0) return undefined;
  return { detail: `${named(bad)} must not include ${quoted(sorted(bad.flatMap(beyond)))} in securityContext.capabilities.add` };
}

function capabilitiesBaseline(pod: CheckedPod): Violation | undefined {
  const added = addedCapabilities(pod, defaultCapabilities);
  return added && { reason: "non-default capabilities", ...added };
}

function capabilitiesRestricted(pod: CheckedPod): Violation | undefined {
  const keeping = containersOf(pod).filter((c) => !c.securityContext?.capabilities?.drop?.includes("ALL"));
  const added = addedCapabilities(pod, new Set(["NET_BIND_SERVICE"]));
  const details = [
    ...(keeping.length > 0 ? [`${named(keeping)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(added ? [added.detail] : []),
  ];
  return details.length === 0 ? undefined : { reason: "unrestricted capabilities", detail: details.join("; ") };
}

function hostNamespaces({ spec }: CheckedPod): Violation | undefined {
  const used = (["hostNetwork", "hostPID", "hostIPC"] as const).filter((name) => spec[name] === true);
  return used.length === 0 ? undefined : { reason: "host namespaces", detail: used.map((name) => `${name}=true`).join(", ") };
}

function hostPathVolumes({ spec }: CheckedPod): Violation | undefined {
  const bad = (spec.volumes ?? []).filter((v) => v.hostPath);
  if (bad.length === 0) return undefined;
  return { reason: "hostPath volumes", detail: `${plural("volume", bad.length)} ${quoted(bad.map((v) => v.name))}` };
}

const uses = (count: number): string => (count === 1 ? "uses" : "use");

function hostPorts(pod: CheckedPod): Violation | undefined {
  const portsOf = (c: AnyContainer): readonly string[] => (c.ports ?? []).flatMap((p) => (p.hostPort ? [String(p.hostPort)] : []));
  const bad = containersOf(pod).filter((c) => portsOf(c).length > 0);
  if (bad.length === 0) return undefined;
  const ports = sorted(bad.flatMap(portsOf));
  return { reason: "hostPort", detail: `${named(bad)} ${uses(bad.length)} ${plural("hostPort", ports.length)} ${ports.join(", ")}` };
}

function hostProbes(pod: CheckedPod): Violation | undefined {
  const hostsOf = (handler: Probe | LifecycleHandler | undefined): readonly string[] =>
    [handler?.httpGet?.host, handler?.tcpSocket?.host].filter((h): h is string => Boolean(h));
  const all = (c: AnyContainer): readonly string[] =>
    [c.livenessProbe, c.readinessProbe, c.startupProbe, c.lifecycle?.postStart, c.lifecycle?.preStop].flatMap(hostsOf);
  const bad = sorted(containersOf(pod).flatMap((c) => (all(c).length > 0 ? [c.name] : [])));
  if (bad.length === 0) return undefined;
  const hosts = sorted(containersOf(pod).flatMap(all));
  const who = `${plural("container", bad.length)} ${quoted(bad)} ${uses(bad.length)}`;
  return { reason: "probe or lifecycle host", detail: `${who} ${plural("probe or lifecycle host", hosts.length)} ${quoted(hosts)}` };
}

function privileged(pod: CheckedPod): Violation | undefined {
  const bad = containersOf(pod).filter((c) => c.securityContext?.privileged === true);
  return bad.length === 0 ? undefined : { reason: "privileged", detail: `${named(bad)} must not set securityContext.privileged=true` };
}

function procMount(pod: CheckedPod): Violation | undefined {
  const bad = containersOf(pod).filter((c) => (c.securityContext?.procMount ?? "Default") !== "Default");
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map((c) => c.securityContext?.procMount ?? ""));
  return { reason: "procMount", detail: `${named(bad)} must not set securityContext.procMount to ${quoted(types)}` };
}

const seLinuxTypes = ["", "container_t", "container_init_t", "container_kvm_t"];

const seLinuxOptions =
  (allowed: readonly string[]): Check["check"] =>
  (pod) => {
    const own = pod.spec.securityContext?.seLinuxOptions;
    type Options = typeof own;
    const isBad = (o: Options): boolean => o !== undefined && (!allowed.includes(o.type ?? "") || Boolean(o.user) || Boolean(o.role));
    const bad = containersOf(pod).filter((c) => isBad(c.securityContext?.seLinuxOptions));
    const who = setters(isBad(own), bad);
    if (who === "") return undefined;
    const set = [own, ...containersOf(pod).map((c) => c.securityContext?.seLinuxOptions)];
    const types = sorted(set.flatMap((o) => (o && !allowed.includes(o.type ?? "") ? [o.type ?? ""] : [])));
    const details = [
      ...(types.length > 0 ? [`${plural("type", types.length)} ${quoted(types)}`] : []),
      ...(set.some((o) => o?.user) ? ["user may not be set"] : []),
      ...(set.some((o) => o?.role) ? ["role may not be set"] : []),
    ];
    return { reason: "seLinuxOptions", detail: `${who} set forbidden securityContext.seLinuxOptions: ${details.join("; ")}` };
  };

const seccompTypes = new Set(["RuntimeDefault", "Localhost"]);
const seccompAnnotation = /^(runtime\/default$|docker\/default$|localhost\/)/;

function seccompAnnotations(pod: CheckedPod): Violation | undefined {
  const keys = [
    "seccomp.security.alpha.kubernetes.io/pod",
    ...containersOf(pod).map((c) => `container.seccomp.security.alpha.kubernetes.io/${c.name}`),
  ];
  const bad = keys.flatMap((k) => {
    const value = pod.annotations[k];
    return value === undefined || seccompAnnotation.test(value) ? [] : [`${k}=${JSON.stringify(value)}`];
  });
  if (bad.length === 0) return undefined;
  return { reason: "seccompProfile", detail: `forbidden ${plural("annotation", bad.length)} ${sorted(bad).join(", ")}` };
}

function seccompBaseline(pod: CheckedPod): Violation | undefined {
  const isBad = (profile: { readonly type: string } | undefined): boolean => profile !== undefined && !seccompTypes.has(profile.type);
  const own = pod.spec.securityContext?.seccompProfile;
  const bad = containersOf(pod).filter((c) => isBad(c.securityContext?.seccompProfile));
  const who = setters(isBad(own), bad);
  if (who === "") return undefined;
  const types = sorted([...(isBad(own) ? [own?.type ?? ""] : []), ...bad.map((c) => c.securityContext?.seccompProfile?.type ?? "")]);
  return { reason: "seccompProfile", detail: `${who} must not set securityContext.seccompProfile.type to ${quoted(types)}` };
}

function seccompRestricted(pod: CheckedPod): Violation | undefined {
  const explicit = seccompBaseline(pod);
  if (explicit || pod.spec.securityContext?.seccompProfile) return explicit;
  const silent = containersOf(pod).filter((c) => !c.securityContext?.seccompProfile);
  if (silent.length === 0) return undefined;
  return {
    reason: "seccompProfile",
    detail: `pod or ${named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
}

const sysctls0 = [
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
];
const sysctls27 = [...sysctls0, "net.ipv4.ip_local_reserved_ports"];
const sysctls29 = [
  ...sysctls27,
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
];
const sysctls32 = [...sysctls29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"];

const sysctls =
  (allowed: readonly string[]): Check["check"] =>
  ({ spec }) => {
    const bad = (spec.securityContext?.sysctls ?? []).filter((s) => !allowed.includes(s.name));
    return bad.length === 0 ? undefined : { reason: "forbidden sysctls", detail: bad.map((s) => s.name).join(", ") };
  };

function windowsHostProcess(pod: CheckedPod): Violation | undefined {
  const bad = containersOf(pod).filter((c) => c.securityContext?.windowsOptions?.hostProcess === true);
  const who = setters(pod.spec.securityContext?.windowsOptions?.hostProcess === true, bad);
  return who === "" ? undefined : { reason: "hostProcess", detail: `${who} must not set securityContext.windowsOptions.hostProcess=true` };
}

function allowPrivilegeEscalation(pod: CheckedPod): Violation | undefined {
  const bad = containersOf(pod).filter((c) => c.securityContext?.allowPrivilegeEscalation !== false);
  if (bad.length === 0) return undefined;
  return { reason: "allowPrivilegeEscalation != false", detail: `${named(bad)} must set securityContext.allowPrivilegeEscalation=false` };
}

const unrestrictedVolumes: readonly (keyof Volume)[] = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

function restrictedVolumes({ spec }: CheckedPod): Violation | undefined {
  const bad = (spec.volumes ?? []).filter((v) => !unrestrictedVolumes.some((type) => v[type] !== undefined));
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map((v) => Object.keys(v).find((key) => key !== "name") ?? "unknown"));
  const who = `${plural("volume", bad.length)} ${quoted(bad.map((v) => v.name))} ${uses(bad.length)}`;
  return { reason: "restricted volume types", detail: `${who} ${plural("restricted volume type", types.length)} ${quoted(types)}` };
}

function runAsNonRoot(pod: CheckedPod): Violation | undefined {
  const own = pod.spec.securityContext?.runAsNonRoot;
  const explicit = containersOf(pod).filter((c) => c.securityContext?.runAsNonRoot === false);
  const who = setters(own === false, explicit);
  if (who !== "") return { reason: "runAsNonRoot != true", detail: `${who} must not set securityContext.runAsNonRoot=false` };
  const silent = own === true ? [] : containersOf(pod).filter((c) => c.securityContext?.runAsNonRoot === undefined);
  if (silent.length === 0) return undefined;
  return { reason: "runAsNonRoot != true", detail: `pod or ${named(silent)} must set securityContext.runAsNonRoot=true` };
}

function runAsUser(pod: CheckedPod): Violation | undefined {
  const bad = containersOf(pod).filter((c) => c.securityContext?.runAsUser === 0);
  const who = setters(pod.spec.securityContext?.runAsUser === 0, bad);
  return who === "" ? undefined : { reason: "runAsUser=0", detail: `${who} must not set runAsUser=0` };
}

/** In the order in which violations are told: baseline by id, then restricted by id. */
const checks: readonly Check[] = [
  { id: "appArmorProfile", level: "baseline", from: 0, check: appArmorProfile },
  { id: "capabilities_baseline", level: "baseline", from: 0, check: capabilitiesBaseline },
  { id: "hostNamespaces", level: "baseline", from: 0, check: hostNamespaces },
  { id: "hostPathVolumes", level: "baseline", from: 0, check: hostPathVolumes },
  { id: "hostPorts", level: "baseline", from: 0, check: hostPorts },
  { id: "hostProbesAndHostLifecycle", level: "baseline", from: 34, check: hostProbes },
  { id: "privileged", level: "baseline", from: 0, check: privileged },
  { id: "procMount", level: "baseline", from: 0, until: 35, check: procMount },
  { id: "procMount", level: "baseline", from: 35, check: unlessUserNamespace(procMount) },
  { id: "seLinuxOptions", level: "baseline", from: 0, until: 31, check: seLinuxOptions(seLinuxTypes) },
  { id: "seLinuxOptions", level: "baseline", from: 31, check: seLinuxOptions([...seLinuxTypes, "container_engine_t"]) },
  { id: "seccompProfile_baseline", level: "baseline", from: 0, until: 19, check: seccompAnnotations },
  { id: "seccompProfile_baseline", level: "baseline", from: 19, check: seccompBaseline },
  { id: "sysctls", level: "baseline", from: 0, until: 27, check: sysctls(sysctls0) },
  { id: "sysctls", level: "baseline", from: 27, until: 29, check: sysctls(sysctls27) },
  { id: "sysctls", level: "baseline", from: 29, until: 32, check: sysctls(sysctls29) },
  { id: "sysctls", level: "baseline", from: 32, check: sysctls(sysctls32) },
  { id: "windowsHostProcess", level: "baseline", from: 0, check: windowsHostProcess },
  { id: "allowPrivilegeEscalation", level: "restricted", from: 8, until: 25, check: allowPrivilegeEscalation },
  { id: "allowPrivilegeEscalation", level: "restricted", from: 25, check: unlessWindows(allowPrivilegeEscalation) },
  {
    id: "capabilities_restricted",
    level: "restricted",
    from: 22,
    until: 25,
    replaces: "capabilities_baseline",
    check: capabilitiesRestricted,
  },
  {
    id: "capabilities_restricted",
    level: "restricted",
    from: 25,
    replaces: "capabilities_baseline",
    check: unlessWindows(capabilitiesRestricted),
  },
  { id: "procMount_restricted", level: "restricted", from: 35, replaces: "procMount", check: procMount },
  { id: "restrictedVolumes", level: "restricted", from: 0, replaces: "hostPathVolumes", check: restrictedVolumes },
  { id: "runAsNonRoot", level: "restricted", from: 0, until: 35, check: runAsNonRoot },
  { id: "runAsNonRoot", level: "restricted", from: 35, check: unlessUserNamespace(runAsNonRoot) },
  { id: "runAsUser", level: "restricted", from: 23, until: 35, check: runAsUser },
  { id: "runAsUser", level: "restricted", from: 35, check: unlessUserNamespace(runAsUser) },
  {
    id: "seccompProfile_restricted",
    level: "restricted",
    from: 19,
    until: 25,
    replaces: "seccompProfile_baseline",
    check: seccompRestricted,
  },
  {
    id: "seccompProfile_restricted",
    level: "restricted",
    from: 25,
    replaces: "seccompProfile_baseline",
    check: unlessWindows(seccompRestricted),
  },
];
