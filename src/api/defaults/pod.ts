// Defaults of pods themselves, beyond those of any pod spec: requests follow limits, host-network ports are host ports.
import { oncePerPartShared } from "../meta/shared-parts.ts";
import { containerSums } from "../semantics/container-sums.ts";
import { isPodLevel } from "../semantics/pod-quantities.ts";
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

const isHugePages = (name: string): boolean => name.startsWith("hugepages-");

type Amounts = Readonly<Record<string, string | number>>;

/**
 * Where something is said for the pod as a whole, its limits of huge pages follow those of its containers, and with limits its
 * requests follow its containers', or else those limits.
 */
function defaultPodLevel(spec: PodSpec): PodSpec {
  const { resources } = spec;
  const { limits: given = {}, requests = {} } = resources ?? {};
  if (!resources || Object.keys({ ...given, ...requests }).length === 0) return spec;
  const limits = { ...sumsOf(spec, "limits", (name) => isHugePages(name) && requests[name] === undefined), ...given };
  if (Object.keys(limits).length === 0) return spec;
  const ofLimits = Object.fromEntries(Object.entries(limits).filter(([name]) => isPodLevel(name)));
  const all = { ...ofLimits, ...sumsOf(spec, "requests", (name) => name === "cpu" || name === "memory"), ...requests };
  const isComplete = addsNothing(limits, given) && addsNothing(all, requests);
  return isComplete ? spec : { ...spec, resources: { ...resources, limits, requests: all } };
}

const addsNothing = (all: Amounts, given: Amounts): boolean => Object.keys(all).every((name) => given[name] !== undefined);

function sumsOf(spec: PodSpec, list: "requests" | "limits", counts: (name: string) => boolean): Amounts {
  return Object.fromEntries([...containerSums(spec, list)].filter(([name]) => counts(name)).map(([name, sum]) => [name, sum.toString()]));
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
