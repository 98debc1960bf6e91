// Defaults of pods themselves, beyond those of any pod spec: requests follow limits, host-network ports are host ports.
import { oncePerPartShared } from "../meta/shared-parts.ts";
import { containerSums } from "../semantics/container-sums.ts";
import type { Container, Pod, PodSpec, PodStatus, PodTemplate, ResourceRequirements } from "../types/core-v1.ts";
import { change, changeEach, fill } from "./fill.ts";
import { defaultPodSpec, defaultPodTemplate } from "./pod-spec.ts";

/** Requests that are not given are those of the limits. */
function requestsFromLimits<R extends ResourceRequirements>(resources: R): R {
  const { limits } = resources;
  if (!limits) return resources;
  const requests = fill({ ...resources.requests }, limits);
  return Object.keys(limits).every((name) => resources.requests?.[name] !== undefined) ? resources : { ...resources, requests };
}

const defaultResources = (container: Container): Container => change(container, "resources", requestsFromLimits);

/** Resources a pod may set as a whole: their requests follow the pod's limits where its containers set none. */
const podLevelResources = (name: string): boolean => name === "cpu" || name === "memory" || name.startsWith("hugepages-");

/** Requests of the pod follow those of its containers, or else its own limits. */
function defaultPodLevel(spec: PodSpec): PodSpec {
  const { resources } = spec;
  const { limits = {}, requests = {} } = resources ?? {};
  if (!resources || Object.keys(limits).length === 0) return spec;
  const added: Record<string, string | number> = {};
  for (const [name, sum] of containerSums(spec, "requests")) if (name === "cpu" || name === "memory") added[name] = sum.toString();
  const all = { ...Object.fromEntries(Object.entries(limits).filter(([name]) => podLevelResources(name))), ...added, ...requests };
  return Object.keys(all).every((name) => requests[name] !== undefined) ? spec : { ...spec, resources: { ...resources, requests: all } };
}

function hostNetworkPorts(spec: PodSpec): PodSpec {
  if (!spec.hostNetwork) return spec;
  const asHostPorts = (container: Container): Container =>
    changeEach(container, "ports", (port) => fill(port, { hostPort: port.containerPort }));
  return changeEach(changeEach(spec, "containers", asHostPorts), "initContainers", asHostPorts);
}

/** The first of a pod's addresses has a field of its own, older than the list and the one that counts where both differ. */
function withBothAddresses(status: PodStatus): PodStatus {
  const { podIP, podIPs } = status;
  const first = podIPs?.[0]?.ip;
  if (podIP) return first === podIP ? status : { ...status, podIPs: [{ ip: podIP }] };
  return first ? { ...status, podIP: first } : status;
}

export function defaultPod(given: Pod): Pod {
  const pod = change(given, "status", withBothAddresses);
  return change(pod, "spec", defaultOwnSpec);
}

/** Of a pod itself: a template keeps what it says. */
const defaultOwnSpec = oncePerPartShared((given: PodSpec): PodSpec => {
  let spec = fill(defaultPodSpec(given), { enableServiceLinks: true });
  spec = change(spec, "terminationGracePeriodSeconds", (seconds) => (seconds < 0 ? 1 : seconds));
  spec = changeEach(changeEach(spec, "containers", defaultResources), "initContainers", defaultResources);
  return hostNetworkPorts(defaultPodLevel(spec));
});

export const defaultPodTemplateObject = (object: PodTemplate): PodTemplate => change(object, "template", defaultPodTemplate);
