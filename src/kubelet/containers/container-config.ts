// The CRI configuration of a container: command, environment, mounts, security, resources. Building it touches the disk
// only where the runtime needs a file to mount: the termination message, /etc/hosts, directories for logs and subPaths.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Container, Pod, VolumeMount } from "../../api/types/core-v1.ts";
import type { FileCalls } from "../../base/file-calls.ts";
import type {
  ContainerConfig,
  Device,
  Image,
  ImageSpec,
  LinuxContainerConfig,
  Mount,
  MountPropagation,
  Signal,
  UserNamespace,
} from "../../cri/generated/runtime-v1.ts";
import type { HugePages } from "../../linux/huge-pages.ts";
import type { Input } from "../../rpc/protocol.ts";
import type { GivenResources } from "../resource-managers/container-resources.ts";
import { containerAnnotations, containerLabels } from "../runtime/labels.ts";
import { checkSubPath, resolveSubPath } from "../volumes/sub-path.ts";
import type { MountedVolumes } from "../volumes/volume-manager.ts";
import { buildEnvironment, type EnvironmentContext } from "./environment.ts";
import { expandReferences } from "./expansion.ts";
import { hostsFile, nodeHostsFile, podHostname } from "./hosts-file.ts";
import { hugepageLimits, linuxResources, type NodeResourceRules } from "./linux-resources.ts";
import { containerSecurityContext, type ImageUser, type SecurityOptions, verifyRunAsNonRoot } from "./security-context.ts";
import { type SwapOptions, swapResources } from "./swap.ts";

export interface ContainerConfigContext {
  readonly pod: Pod;
  readonly container: Container;
  readonly image: Image;
  readonly restartCount: number;
  readonly podIPs: readonly string[];
  readonly volumes: MountedVolumes;
  readonly environment: Omit<EnvironmentContext, "podIPs" | "readVolumeFile">;
  /** <root>/pods/<uid>. */
  readonly podDirectory: string;
  /** The pod's directory of logs; the container's file is <name>/<restartCount>.log in it. */
  readonly logDirectory: string;
  readonly clusterDomain: string;
  readonly rules: NodeResourceRules;
  /** A signal of the container's own ends it (the gate ContainerStopSignals). */
  readonly ownStopSignals: boolean;
  /** Those the machine has. */
  readonly hugePages: readonly HugePages[];
  readonly security: SecurityOptions;
  readonly swap?: SwapOptions;
  /** The runtime can make mounts read-only together with those below them. */
  readonly recursiveReadOnly: boolean;
  /** The pod's own users, where it has them. */
  readonly userNamespace: UserNamespace | undefined;
  /** Images that are volumes, as the runtime knows them, by volume. */
  readonly imageVolumes: ReadonlyMap<string, Input<ImageSpec>>;
  /** Of the container whose processes an ephemeral container shall see. */
  readonly targetContainerId?: string;
  /** Devices and CPUs. */
  readonly given: GivenResources;
  /** A name that is new for each instance of the container. */
  readonly instanceId: string;
  /** What the pod's small files are written with. */
  readonly files: FileCalls;
}

/** A new group has no quota; not every OCI runtime takes -1 for none. */
const unsaid = 0;

/** Throws an Error whose message the container's status shows (CreateContainerConfigError). */
export async function buildContainerConfig(context: ContainerConfigContext): Promise<Input<ContainerConfig>> {
  const { pod, container, restartCount } = context;
  const environment = await buildEnvironment(pod, container, {
    ...context.environment,
    podIPs: context.podIPs,
    readVolumeFile: (volume, path) => readVolumeFile(context, volume, path),
  });
  const user = imageUser(context.image);
  verifyRunAsNonRoot(pod, container, user);
  const expand = (text: string): string => expandReferences(text, (name) => environment.get(name));
  await context.files.mkdir(join(context.logDirectory, container.name), { recursive: true });
  const stopSignal = context.ownStopSignals ? container.lifecycle?.stopSignal : undefined;
  const { devices } = context.given;
  return {
    metadata: { name: container.name, attempt: restartCount },
    image: { image: context.image.id, userSpecifiedImage: container.image ?? "" },
    command: (container.command ?? []).map(expand),
    args: (container.args ?? []).map(expand),
    workingDir: container.workingDir ?? "",
    // What the specification sets counts more than what a plugin does.
    envs: [...new Map([...(devices?.envs ?? []), ...environment])].map(([key, value]) => ({ key, value: Buffer.from(value) })),
    mounts: [...(devices?.mounts ?? []), ...(await buildMounts(context, environment))],
    labels: containerLabels(pod, container),
    annotations: { ...devices?.annotations, ...containerAnnotations(pod, container, restartCount) },
    devices: [...(devices?.devices ?? []), ...blockDevices(context)],
    cdiDevices: devices?.cdiDevices ?? [],
    logPath: `${container.name}/${restartCount}.log`,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    linux: linuxConfig(context, user),
    // The API's names of signals are CRI's, but for the sign in SIGRTMIN+1.
    ...(stopSignal ? { stopSignal: stopSignal.replace("+", "PLUS").replace("-", "MINUS") as Signal } : {}),
  };
}

function linuxConfig(context: ContainerConfigContext, user: ImageUser): Input<LinuxContainerConfig> {
  const { pod, container, targetContainerId, given } = context;
  const security = containerSecurityContext(pod, container, user, { ...context.security, userNamespace: context.userNamespace });
  const joins = targetContainerId !== undefined && security.namespaceOptions?.pid === "CONTAINER";
  const namespaceOptions = joins
    ? { ...security.namespaceOptions, pid: "TARGET" as const, targetId: targetContainerId }
    : security.namespaceOptions;
  const own = linuxResources(pod, container, context.rules);
  const swap = swapResources(pod, container, context.swap);
  const resources = {
    ...own,
    ...(own.unified || swap.unified ? { unified: { ...own.unified, ...swap.unified } } : {}),
    ...(context.hugePages.length > 0 ? { hugepageLimits: hugepageLimits(pod, container, context.hugePages) } : {}),
    ...(given.hasOwnCpus ? { cpuQuota: unsaid } : {}),
    ...(given.cpusetCpus === undefined ? {} : { cpusetCpus: given.cpusetCpus }),
    ...(given.cpusetMems === undefined ? {} : { cpusetMems: given.cpusetMems }),
  };
  return { resources, securityContext: { ...security, namespaceOptions } };
}

/** Who the image runs as; without a word about it, root. */
function imageUser(image: Image): ImageUser {
  if (image.uid) return { uid: image.uid.value };
  return image.username ? { username: image.username } : { uid: 0 };
}

async function readVolumeFile({ volumes }: ContainerConfigContext, volume: string, path: string): Promise<string> {
  const mounted = volumes.get(volume);
  if (!mounted) throw new Error(`cannot find the volume "${volume}" referenced by FileKeyRef`);
  return await readFile(await resolveSubPath(mounted.hostPath, path), "utf8");
}

const propagations: Readonly<Record<string, MountPropagation>> = {
  None: "PROPAGATION_PRIVATE",
  HostToContainer: "PROPAGATION_HOST_TO_CONTAINER",
  Bidirectional: "PROPAGATION_BIDIRECTIONAL",
};

function blockDevices({ container, volumes }: ContainerConfigContext): readonly Input<Device>[] {
  return (container.volumeDevices ?? []).map(({ name, devicePath }) => {
    const volume = volumes.get(name);
    if (!volume?.isDevice) throw new Error(`cannot find volume "${name}" to pass into container "${container.name}"`);
    return { hostPath: volume.hostPath, containerPath: devicePath, permissions: volume.readOnly ? "r" : "mrw" };
  });
}

async function buildMounts(context: ContainerConfigContext, environment: ReadonlyMap<string, string>): Promise<readonly Input<Mount>[]> {
  const { container } = context;
  const mounts: Input<Mount>[] = [];
  for (const mount of container.volumeMounts ?? []) mounts.push(await volumeMount(context, mount, environment));
  const ownHosts = container.volumeMounts?.some((m) => m.mountPath === "/etc/hosts");
  if (!ownHosts) mounts.push({ containerPath: "/etc/hosts", hostPath: await writeHostsFile(context) });
  if (container.terminationMessagePath) mounts.push(await terminationMessageMount(context, container.terminationMessagePath));
  return mounts;
}

async function volumeMount(
  context: ContainerConfigContext,
  mount: VolumeMount,
  environment: ReadonlyMap<string, string>,
): Promise<Input<Mount>> {
  const { container, volumes } = context;
  const subPath = mount.subPathExpr ? expandAll(mount.subPathExpr, environment) : (mount.subPath ?? "");
  const containerPath = resolve("/", mount.mountPath);
  const image = context.imageVolumes.get(mount.name);
  if (image) {
    checkSubPath(subPath);
    return { containerPath, readonly: true, image, imageSubPath: subPath };
  }
  const volume = volumes.get(mount.name);
  if (!volume) throw new Error(`cannot find volume "${mount.name}" to mount into container "${container.name}"`);
  return {
    containerPath,
    hostPath: subPath === "" ? volume.hostPath : await partOfVolume(volume.hostPath, subPath, { mount, container }),
    readonly: mount.readOnly === true || volume.readOnly,
    propagation: propagations[mount.mountPropagation ?? "None"] ?? "PROPAGATION_PRIVATE",
    ...(isRecursiveReadOnly(mount, context.recursiveReadOnly) ? { recursiveReadOnly: true } : {}),
  };
}

/** What a path in a volume is in truth is not for those to know who can read events: the reason is the cause. */
async function partOfVolume(
  volumePath: string,
  subPath: string,
  { mount, container }: { readonly mount: VolumeMount; readonly container: Container },
): Promise<string> {
  checkSubPath(subPath);
  return resolveSubPath(volumePath, subPath).catch((cause: unknown) => {
    throw new Error(`failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}"`, { cause });
  });
}

/** Throws where it is asked for and cannot be had. */
function isRecursiveReadOnly(mount: VolumeMount, supported: boolean): boolean {
  const { name, recursiveReadOnly = "Disabled", readOnly, mountPropagation = "None" } = mount;
  if (recursiveReadOnly === "Disabled") return false;
  const refuse = (why: string): never => {
    throw new Error(
      `failed to resolve recursive read-only mode: volume "${name}" requested recursive read-only mode, but it is not ${why}`,
    );
  };
  if (!readOnly) refuse("read-only");
  if (mountPropagation !== "None") refuse(`compatible with propagation "${mountPropagation}"`);
  if (recursiveReadOnly === "Enabled" && !supported) refuse("supported by the runtime");
  return supported;
}

/** subPathExpr: unlike elsewhere, an unknown name is an error. */
function expandAll(text: string, environment: ReadonlyMap<string, string>): string {
  const missing = new Set<string>();
  const expanded = expandReferences(text, (name) => {
    const value = environment.get(name) ?? "";
    if (value === "") missing.add(name);
    return value;
  });
  if (missing.size > 0) throw new Error(`missing value for ${[...missing].sort().join(", ")}`);
  return expanded;
}

async function writeHostsFile({ pod, podIPs, podDirectory, clusterDomain, files }: ContainerConfigContext): Promise<string> {
  const path = join(podDirectory, "etc-hosts");
  const { hostAliases, hostNetwork } = pod.spec;
  const text = hostNetwork
    ? nodeHostsFile(await readFile("/etc/hosts", "utf8"), hostAliases)
    : hostsFile(podIPs, podHostname(pod, clusterDomain), hostAliases);
  await files.mkdir(podDirectory, { recursive: true });
  await files.writeFile(path, text, { mode: 0o644 });
  return path;
}

/** An empty file that every user may write, new for each instance of the container. */
async function terminationMessageMount(context: ContainerConfigContext, containerPath: string): Promise<Input<Mount>> {
  const directory = join(context.podDirectory, "containers", context.container.name);
  const hostPath = join(directory, context.instanceId);
  const { files } = context;
  await files.mkdir(directory, { recursive: true });
  await files.writeFile(hostPath, "");
  await files.chmod(hostPath, 0o666);
  return { containerPath: resolve("/", containerPath), hostPath };
}
