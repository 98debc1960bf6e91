// The CRI configuration of a pod's sandbox.
import type { Pod } from "../../api/types/core-v1.ts";
import type { ResolverConfig } from "../../base/resolv-conf.ts";
import type { PodSandboxConfig, UserNamespace } from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import { sandboxLabels } from "../runtime/labels.ts";
import { type CpuQuota, enforcedQuota, overheadResources, podCgroupResources } from "./linux-resources.ts";
import { sandboxSecurityContext } from "./security-context.ts";
import { dottedName } from "./sysctls.ts";

export interface SandboxContext {
  readonly attempt: number;
  readonly hostname: string;
  readonly logDirectory: string;
  readonly resolver: ResolverConfig;
  /** Parent of the pod's cgroups; "" leaves it to the runtime. */
  readonly cgroupParent: string;
  readonly userNamespace?: UserNamespace | undefined;
  /** Default: limits of CPU are enforced, every 100 ms. */
  readonly quota?: CpuQuota;
}

export function sandboxConfig(pod: Pod, context: SandboxContext): Input<PodSandboxConfig> {
  const { name, namespace, uid, annotations = {} } = pod.metadata;
  const sysctls = (pod.spec.securityContext?.sysctls ?? []).map((s) => [dottedName(s.name), s.value]);
  const { quota = enforcedQuota } = context;
  const resources = podCgroupResources(pod, quota);
  return {
    metadata: { name, namespace, uid, attempt: context.attempt },
    labels: sandboxLabels(pod),
    annotations,
    logDirectory: context.logDirectory,
    dnsConfig: context.resolver,
    ...(pod.spec.hostNetwork ? {} : { hostname: context.hostname, portMappings: portMappings(pod) }),
    linux: {
      cgroupParent: context.cgroupParent,
      securityContext: sandboxSecurityContext(pod, { userNamespace: context.userNamespace }),
      sysctls: Object.fromEntries(sysctls),
      resources: {
        cpuShares: resources.cpuShares,
        ...(resources.cpuQuota === undefined ? {} : { cpuQuota: resources.cpuQuota, cpuPeriod: quota.periodUs }),
        ...(resources.memoryBytes === undefined ? {} : { memoryLimitInBytes: resources.memoryBytes }),
      },
      ...(pod.spec.overhead ? { overhead: overheadResources(pod.spec.overhead, quota) } : {}),
    },
  };
}

function portMappings(pod: Pod): PodSandboxConfig["portMappings"] {
  const containers = [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers];
  return containers.flatMap((c) =>
    (c.ports ?? [])
      .filter((p) => (p.hostPort ?? 0) > 0)
      .map((p) => ({
        protocol: p.protocol ?? "TCP",
        containerPort: p.containerPort,
        hostPort: p.hostPort ?? 0,
        hostIp: p.hostIP ?? "",
      })),
  );
}
