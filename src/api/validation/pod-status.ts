// Updates of a pod's status: addresses, conditions, states of containers (one that has ended for good does not run again),
// and what is said of the pod's resources.
import { duplicate, FieldError, forbiddenField, invalidValue, notSupported, required, tooLong } from "../meta/field-error.ts";
import { isLegacyIP, parseIP } from "../meta/ip.ts";
import { byteLength, isDNS1123Label, isDNS1123Subdomain, isGroupID, isQualifiedName, isUserID } from "../meta/names.ts";
import type { ContainerStatus, Pod, PodCondition, PodSpec, PodStatus, ResourceStatus } from "../types/core-v1.ts";
import { internalForm } from "./internal-form.ts";
import type { AnyContainer } from "./pod-rules.ts";
import { validateAnnotationsUpdate } from "./pod-update.ts";
import { addProblems, checkImmutable, checkName } from "./rules.ts";

/** The problems of a new status, apart from metadata. */
export function validatePodStatusUpdate(pod: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  const [status, oldStatus] = [pod.status ?? {}, old.status ?? {}];
  validateAnnotationsUpdate(errors, pod, old);
  validateConditions(errors, status.conditions ?? []);
  if ((pod.spec.nodeName ?? "") !== (old.spec.nodeName ?? ""))
    errors.push(forbiddenField("status.nodeName", "may not be changed directly"));
  validateNominatedNode(errors, status.nominatedNodeName, oldStatus.nominatedNodeName, old.spec);
  if ((status.observedGeneration ?? 0) < 0)
    errors.push(invalidValue("status.observedGeneration", status.observedGeneration, "must be a non-negative integer"));
  checkImmutable(errors, "status.qosClass", status.qosClass ?? "", oldStatus.qosClass ?? "");
  for (const list of ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] as const)
    validateTransitions(errors, `status.${list}`, status[list] ?? [], oldStatus[list] ?? [], list, old.spec);
  validateClaimStatuses(errors, status, pod.spec);
  validateAddresses(errors, "podIPs", status, oldStatus);
  validateHostAddresses(errors, status, oldStatus);
  for (const list of ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] as const)
    for (const [i, container] of (status[list] ?? []).entries()) validateUser(errors, `status.${list}[${i}].user`, container, pod.spec);
  validateAllocated(errors, "status.containerStatuses", status.containerStatuses, pod.spec.containers);
  validateAllocated(errors, "status.initContainerStatuses", status.initContainerStatuses, pod.spec.initContainers ?? []);
  for (const [i, { allocatedResourcesStatus = [] }] of (status.ephemeralContainerStatuses ?? []).entries())
    if (allocatedResourcesStatus.length > 0)
      errors.push(
        forbiddenField(`status.ephemeralContainerStatuses[${i}].allocatedResourcesStatus`, "must not be specified in container status"),
      );
  return errors;
}

const systemConditions = new Set(["PodScheduled", "Ready", "Initialized"]);

function validateConditions(errors: FieldError[], conditions: readonly PodCondition[]): void {
  for (const [i, { type = "", observedGeneration = 0 }] of conditions.entries()) {
    const path = `status.conditions[${i}]`;
    if (observedGeneration < 0)
      errors.push(invalidValue(`${path}.observedGeneration`, observedGeneration, "must be a non-negative integer"));
    if (!systemConditions.has(type)) addProblems(errors, `${path}.Type`, type, isQualifiedName(type));
  }
}

function validateNominatedNode(errors: FieldError[], name: string | undefined, old: string | undefined, { nodeName }: PodSpec): void {
  if (!name || name === old) return;
  addProblems(errors, "status.nominatedNodeName", name, isDNS1123Subdomain(name));
  if (nodeName) errors.push(forbiddenField("status.nominatedNodeName", "may not be set on pods that are already bound to a node"));
}

type StatusList = "containerStatuses" | "initContainerStatuses" | "ephemeralContainerStatuses";

function validateTransitions(
  errors: FieldError[],
  field: string,
  statuses: readonly ContainerStatus[],
  old: readonly ContainerStatus[],
  list: StatusList,
  spec: PodSpec,
): void {
  if (!old.some(({ state }) => state?.terminated)) return;
  const going = new Set(statuses.filter(({ state }) => !state?.terminated).map(({ name }) => name));
  const mayRunAgain = restartsOf(list, spec);
  for (let i = 0; i < old.length; i++) {
    const before = old[i];
    const terminated = before?.state?.terminated;
    if (before && terminated && going.has(before.name) && !mayRunAgain(before.name, terminated.exitCode))
      errors.push(forbiddenField(`${field}[${i}].state`, "may not be transitioned to non-terminated state"));
  }
}

/** Whether the restart policies of a container and its pod, and rules that restart all containers, start it once more. */
function restartsOf(list: StatusList, spec: PodSpec): (name: string, exitCode: number) => boolean {
  if (list === "ephemeralContainerStatuses") return () => false;
  const { initContainers = [], containers } = spec;
  const all: readonly AnyContainer[] = [...initContainers, ...containers];
  if (all.some(({ restartPolicyRules = [] }) => restartPolicyRules.some(({ action }) => action === "RestartAllContainers")))
    return () => true;
  const own: readonly AnyContainer[] = list === "initContainerStatuses" ? initContainers : containers;
  const byName = new Map(own.map((container) => [container.name, container]));
  return (name, exitCode) => {
    const container = byName.get(name);
    return container !== undefined && restarts(container, exitCode, spec.restartPolicy);
  };
}

function restarts({ restartPolicy, restartPolicyRules = [] }: AnyContainer, exitCode: number, ofPod: PodSpec["restartPolicy"]): boolean {
  for (const { action, exitCodes } of restartPolicyRules) {
    const listed = (exitCodes?.values ?? []).includes(exitCode);
    if (action === "Restart" && exitCodes && (exitCodes.operator === "In") === listed) return true;
  }
  const policy = restartPolicy ?? ofPod;
  return policy === "Always" || (policy === "OnFailure" && exitCode !== 0);
}

function validateClaimStatuses(errors: FieldError[], status: PodStatus, spec: PodSpec): void {
  const field = "status.resourceClaimStatuses";
  const claims = new Set(spec.resourceClaims?.map((claim) => claim.name));
  const seen = new Set<string>();
  for (const [i, { name, resourceClaimName }] of (status.resourceClaimStatuses ?? []).entries()) {
    if (!claims.has(name))
      errors.push(invalidValue(`${field}[${i}].name`, name, "must match the name of an entry in `spec.resourceClaims`"));
    if (seen.has(name)) errors.push(duplicate(`${field}[${i}].name`, name));
    seen.add(name);
    if (resourceClaimName !== undefined)
      addProblems(errors, `${field}[${i}].resourceClaimName`, resourceClaimName, isDNS1123Subdomain(resourceClaimName));
  }
  const { extendedResourceClaimStatus: extended } = status;
  if (extended) validateExtendedClaim(errors, "status.extendedResourceClaimStatus", extended, spec);
}

type ExtendedClaim = NonNullable<PodStatus["extendedResourceClaimStatus"]>;

function validateExtendedClaim(errors: FieldError[], field: string, claim: ExtendedClaim, spec: PodSpec): void {
  const { resourceClaimName } = claim;
  const requestMappings = claim.requestMappings ?? [];
  if (requestMappings.length === 0) errors.push(required(`${field}.requestMappings`, "at least one request mapping is required"));
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const where = "spec.initContainers.resources.requests or spec.containers.resources.requests";
  const seen = new Set<string>();
  for (const [i, mapping] of requestMappings.entries()) {
    const path = `${field}.requestMappings[${i}]`;
    const { containerName, resourceName, requestName } = mapping;
    const container = containers.findLast(({ name }) => name === containerName);
    if (!container)
      errors.push(
        invalidValue(
          `${path}.containerName`,
          containerName,
          "must match the name of an entry in spec.initContainers.name or spec.containers.name",
        ),
      );
    else if (container.resources?.requests?.[resourceName] === undefined)
      errors.push(invalidValue(`${path}.resourceName`, resourceName, `must match the extended resource name of an entry in ${where}`));
    addProblems(errors, `${field}.requestName`, requestName, isDNS1123Label(requestName));
    const key = JSON.stringify([containerName, resourceName, requestName]);
    if (seen.has(key))
      for (const name of ["containerName", "resourceName", "requestName"] as const)
        errors.push(duplicate(`${path}.${name}`, mapping[name]));
    seen.add(key);
  }
  checkName(errors, `${field}.resourceClaimName`, resourceClaimName, isDNS1123Subdomain);
}

/** At most one address of each family; addresses that were there before may be in an old form. */
function validateAddresses(errors: FieldError[], list: "podIPs" | "hostIPs", status: PodStatus, old: PodStatus): void {
  const addresses = (status[list] ?? []).map(({ ip = "" }) => ip);
  const known = new Set((old[list] ?? []).map(({ ip }) => ip));
  for (const [i, ip] of addresses.entries()) if (!known.has(ip)) addProblems(errors, `status.${list}[${i}]`, ip, isLegacyIP(ip, true));
  if (addresses.length < 2) return;
  const families = addresses.map((ip) => parseIP(ip)?.family);
  const unknown = families.indexOf(undefined);
  if (unknown >= 0) {
    const why = `failed to check for dual stack with error:invalid IP[${unknown}]: ${addresses[unknown]}`;
    errors.push(new FieldError("InternalError", `status.${list}`, "", why));
  }
  if (addresses.length > 2 || unknown >= 0 || new Set(families).size < 2) {
    const shown = internalForm(list === "podIPs" ? "[PodIP" : "[HostIP", status[list]);
    errors.push(invalidValue(`status.${list}`, shown, "may specify no more than one IP for each IP family"));
  }
}

function validateHostAddresses(errors: FieldError[], status: PodStatus, old: PodStatus): void {
  const first = status.hostIPs?.[0]?.ip;
  if (first === undefined) return;
  if ((status.hostIP ?? "") !== first) errors.push(invalidValue("status.hostIPs[0].ip", first, "must be equal to `hostIP`"));
  validateAddresses(errors, "hostIPs", status, old);
}

function validateUser(errors: FieldError[], field: string, { user }: ContainerStatus, { os }: PodSpec): void {
  const linux = user?.linux;
  if (!linux) return;
  const name: string = os?.name ?? "linux";
  if (name === "windows") errors.push(forbiddenField(`${field}.linux`, "cannot be set for a windows pod"));
  if (name !== "linux") return;
  addProblems(errors, `${field}.linux.uid`, linux.uid, isUserID(linux.uid));
  addProblems(errors, `${field}.linux.gid`, linux.gid, isGroupID(linux.gid));
  for (const [i, group] of (linux.supplementalGroups ?? []).entries())
    addProblems(errors, `${field}.linux.supplementalGroups[${i}]`, group, isGroupID(group));
}

function validateAllocated(
  errors: FieldError[],
  field: string,
  statuses: readonly ContainerStatus[] = [],
  containers: readonly AnyContainer[],
): void {
  const byName = new Map<string, AnyContainer>();
  for (const container of containers) if (!byName.has(container.name)) byName.set(container.name, container);
  for (const [i, { name, allocatedResourcesStatus = [] }] of statuses.entries()) {
    const container = byName.get(name);
    for (const [j, resource] of allocatedResourcesStatus.entries())
      validateResourceStatus(errors, `${field}[${i}].allocatedResourcesStatus[${j}]`, resource, container);
  }
}

const maxMessageBytes = 32768;

function validateResourceStatus(
  errors: FieldError[],
  field: string,
  { name, resources = [] }: ResourceStatus,
  container: AnyContainer | undefined,
): void {
  if (container) {
    const claims = (container.resources?.claims ?? []).map((claim) => `claim:${claim.name}${claim.request ? `/${claim.request}` : ""}`);
    const isClaim = name.startsWith("claim:");
    const detail = isClaim
      ? "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"
      : "must match one of the container's resource requests";
    const known = isClaim ? claims : Object.keys(container.resources?.requests ?? {});
    if (!known.includes(name)) errors.push(invalidValue(`${field}.name`, name, detail));
  }
  const seen = new Set<string>();
  for (const [i, { health = "", resourceID, message }] of resources.entries()) {
    const path = `${field}.resources[${i}]`;
    const states = ["Healthy", "Unhealthy", "Unknown"];
    if (!states.includes(health)) errors.push(notSupported(`${path}.health`, health, states));
    if (message === "") errors.push(required(`${path}.message`, "must be non-empty if specified"));
    else if (byteLength(message ?? "") > maxMessageBytes) errors.push(tooLong(`${path}.message`, maxMessageBytes));
    if (seen.has(resourceID)) errors.push(duplicate(`${path}.resourceID`, resourceID));
    seen.add(resourceID);
  }
}
