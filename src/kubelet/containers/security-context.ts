// Security contexts in CRI's terms: the container's fields over the pod's, namespaces shared with the node or within the
// pod, seccomp and AppArmor profiles, and the check of runAsNonRoot against the image's user.
import { join } from "node:path";
import type { AppArmorProfile, Container, Pod, SeccompProfile } from "../../api/types/core-v1.ts";
import type {
  LinuxContainerSecurityContext,
  LinuxSandboxSecurityContext,
  NamespaceOption,
  SecurityProfile,
  UserNamespace,
} from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";
import { allContainers, podText } from "../pods/pod-spec.ts";

/** The user an image runs as: a number, or a name that only the runtime can look up. */
export interface ImageUser {
  readonly uid?: number;
  readonly username?: string;
}

export interface SecurityOptions {
  /** Where Localhost seccomp profiles lie. */
  readonly seccompRoot: string;
  /** RuntimeDefault instead of Unconfined where no profile is named. */
  readonly seccompDefault: boolean;
}

export interface NamespaceContext {
  /** The pod's own users, where it has them. */
  readonly userNamespace?: UserNamespace | undefined;
}

const maskedPaths = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

export function namespaceOptions(pod: Pod, { userNamespace }: NamespaceContext = {}): Input<NamespaceOption> {
  const { hostNetwork, hostPID, hostIPC, shareProcessNamespace } = pod.spec;
  return {
    network: hostNetwork ? "NODE" : "POD",
    pid: hostPID ? "NODE" : shareProcessNamespace ? "POD" : "CONTAINER",
    ipc: hostIPC ? "NODE" : "POD",
    usernsOptions: userNamespace ?? { mode: "NODE", uids: [], gids: [] },
  };
}

export function sandboxSecurityContext(pod: Pod, namespaces: NamespaceContext = {}): Input<LinuxSandboxSecurityContext> {
  const context = pod.spec.securityContext;
  return {
    privileged: allContainers(pod.spec).some((c) => c.securityContext?.privileged === true),
    seccomp: { profileType: "RuntimeDefault" },
    namespaceOptions: namespaceOptions(pod, namespaces),
    supplementalGroups: podGroups(pod),
    ...(context?.supplementalGroupsPolicy ? { supplementalGroupsPolicy: context.supplementalGroupsPolicy } : {}),
    ...(context?.runAsUser === undefined ? {} : { runAsUser: { value: context.runAsUser } }),
    ...(context?.runAsGroup === undefined ? {} : { runAsGroup: { value: context.runAsGroup } }),
    ...(context?.seLinuxOptions ? { selinuxOptions: context.seLinuxOptions } : {}),
  };
}

export function containerSecurityContext(
  pod: Pod,
  container: Container,
  user: ImageUser,
  options: SecurityOptions & NamespaceContext,
): Input<LinuxContainerSecurityContext> {
  const own = container.securityContext ?? {};
  const shared = pod.spec.securityContext ?? {};
  const runAsUser = own.runAsUser ?? shared.runAsUser;
  const runAsGroup = own.runAsGroup ?? shared.runAsGroup;
  const selinuxOptions = own.seLinuxOptions ?? shared.seLinuxOptions;
  const apparmor = own.appArmorProfile ?? shared.appArmorProfile;
  const unmasked = own.procMount === "Unmasked";
  return {
    privileged: own.privileged === true,
    readonlyRootfs: own.readOnlyRootFilesystem === true,
    noNewPrivs: own.allowPrivilegeEscalation === false,
    namespaceOptions: namespaceOptions(pod, options),
    supplementalGroups: podGroups(pod),
    maskedPaths: unmasked ? [] : maskedPaths,
    readonlyPaths: unmasked ? [] : readonlyPaths,
    seccomp: seccompProfile(own.seccompProfile ?? shared.seccompProfile, options),
    ...(shared.supplementalGroupsPolicy ? { supplementalGroupsPolicy: shared.supplementalGroupsPolicy } : {}),
    ...(apparmor ? { apparmor: profile(apparmor, apparmor.localhostProfile ?? "") } : {}),
    ...(own.capabilities
      ? { capabilities: { addCapabilities: own.capabilities.add ?? [], dropCapabilities: own.capabilities.drop ?? [] } }
      : {}),
    ...(selinuxOptions ? { selinuxOptions } : {}),
    ...(runAsGroup === undefined ? {} : { runAsGroup: { value: runAsGroup } }),
    ...runAs(runAsUser, user),
  };
}

/** Throws with upstream's text when the container must not run as root and would, or might. */
export function verifyRunAsNonRoot(pod: Pod, container: Container, user: ImageUser): void {
  const own = container.securityContext ?? {};
  const shared = pod.spec.securityContext ?? {};
  if (!(own.runAsNonRoot ?? shared.runAsNonRoot)) return;
  const where = `(pod: "${podText(pod)}", container: ${container.name})`;
  const runAsUser = own.runAsUser ?? shared.runAsUser;
  if (runAsUser !== undefined) {
    if (runAsUser === 0) throw new Error(`container's runAsUser breaks non-root policy ${where}`);
    return;
  }
  if (user.uid === 0) throw new Error(`container has runAsNonRoot and image will run as root ${where}`);
  if (user.uid === undefined && user.username)
    throw new Error(
      `container has runAsNonRoot and image has non-numeric user (${user.username}), cannot verify user is non-root ${where}`,
    );
}

function runAs(explicit: number | undefined, user: ImageUser): Input<LinuxContainerSecurityContext> {
  if (explicit !== undefined) return { runAsUser: { value: explicit } };
  if (user.uid !== undefined) return { runAsUser: { value: user.uid } };
  return user.username ? { runAsUsername: user.username } : {};
}

function podGroups(pod: Pod): readonly number[] {
  const { fsGroup, supplementalGroups = [] } = pod.spec.securityContext ?? {};
  return fsGroup === undefined ? supplementalGroups : [fsGroup, ...supplementalGroups];
}

function seccompProfile(wanted: SeccompProfile | undefined, options: SecurityOptions): Input<SecurityProfile> {
  if (!wanted) return { profileType: options.seccompDefault ? "RuntimeDefault" : "Unconfined" };
  return profile(wanted, wanted.localhostProfile ? join(options.seccompRoot, wanted.localhostProfile) : "");
}

function profile(wanted: SeccompProfile | AppArmorProfile, localhostRef: string): Input<SecurityProfile> {
  return wanted.type === "Localhost" ? { profileType: "Localhost", localhostRef } : { profileType: wanted.type };
}
