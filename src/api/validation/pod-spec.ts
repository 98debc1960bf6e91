// The specification of a pod, of a pod itself or in a template: all rules in upstream's order.
import { appendAll } from "../../base/append-all.ts";
import { duplicate, type FieldError, forbiddenField, invalidValue, notFoundError, required, wholeObject } from "../meta/field-error.ts";
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName } from "../meta/names.ts";
import type { PodResourceClaim, PodSchedulingGroup, PodSpec } from "../types/core-v1.ts";
import { validateAffinity } from "./affinity.ts";
import { validateContainers, validateEphemeralContainers, validateInitContainers } from "./container.ts";
import { dnsPolicies, validateDNSConfig, validateHostAliases, validateHostnameOverride } from "./dns.ts";
import { internalForm } from "./internal-form.ts";
import { validateLabels } from "./object-meta.ts";
import { validateHostUsers, validateOS } from "./pod-os.ts";
import { eachContainer, type PodRules } from "./pod-rules.ts";
import { validateContainerResources, validatePodResources } from "./resources.ts";
import { addProblems, checkSupported } from "./rules.ts";
import { validatePodSecurityContext } from "./security-context.ts";
import { validateTolerations } from "./tolerations.ts";
import { validateTopologySpread } from "./topology-spread.ts";
import { validateVolumes } from "./volume.ts";
import { validateHostProcesses } from "./windows-options.ts";

const maxInt32 = 2 ** 31 - 1;

export function validatePodSpec(errors: FieldError[], field: string, spec: PodSpec, rules: PodRules): void {
  const { allows } = rules;
  if (spec.terminationGracePeriodSeconds === undefined) errors.push(required(`${field}.terminationGracePeriodSeconds`));
  const volumes = validateVolumes(errors, `${field}.volumes`, spec.volumes ?? [], rules);
  const claims = spec.resourceClaims ?? [];
  const claimNames = claims.map((claim) => claim.name).filter((name) => name);
  validateResourceClaims(errors, `${field}.resourceClaims`, claims, rules);
  const pod = { spec, volumes, claimNames, allows };
  validateContainers(errors, `${field}.containers`, pod);
  if (spec.initContainers) validateInitContainers(errors, `${field}.initContainers`, pod);
  if (spec.ephemeralContainers) validateEphemeralContainers(errors, `${field}.ephemeralContainers`, pod);
  validatePodResources(errors, `${field}.resources`, spec, pod);
  if (spec.hostNetwork) validateHostPorts(errors, field, spec, rules);
  checkSupported(errors, `${field}.restartPolicy`, spec.restartPolicy, ["Always", "OnFailure", "Never"], "required");
  checkSupported(errors, `${field}.dnsPolicy`, spec.dnsPolicy, dnsPolicies, "required");
  if (spec.nodeSelector) appendAll(errors, validateLabels(spec.nodeSelector, `${field}.nodeSelector`));
  validatePodSecurityContext(errors, field, spec, allows);
  if (spec.affinity) validateAffinity(errors, `${field}.affinity`, spec.affinity, allows);
  validateDNSConfig(errors, `${field}.dnsConfig`, spec);
  for (const [i, { conditionType = "" }] of (spec.readinessGates ?? []).entries())
    addProblems(errors, `${field}.readinessGates[${i}].conditionType`, conditionType, isQualifiedName(conditionType));
  validateSchedulingGates(errors, `${field}.schedulingGates`, spec);
  if (spec.topologySpreadConstraints)
    validateTopologySpread(errors, `${field}.topologySpreadConstraints`, spec.topologySpreadConstraints, allows);
  validateHostProcesses(errors, field, spec);
  validateHostUsers(errors, field, spec, allows);
  validateHostnameOverride(errors, `${field}.hostnameOverride`, spec);
  validateScalars(errors, field, spec);
  if (spec.tolerations) validateTolerations(errors, `${field}.tolerations`, spec.tolerations, allows);
  if (spec.hostAliases) validateHostAliases(errors, `${field}.hostAliases`, spec.hostAliases);
  validateClasses(errors, field, spec);
  if (spec.overhead) validateContainerResources(errors, `${field}.overhead`, { limits: spec.overhead }, { allows });
  validateOS(errors, field, spec);
  if (spec.schedulingGroup) validateSchedulingGroup(errors, `${field}.schedulingGroup.podGroupName`, spec.schedulingGroup);
  validateFileReferences(errors, field, spec);
}

function validateResourceClaims(errors: FieldError[], field: string, claims: readonly PodResourceClaim[], { mirror }: PodRules): void {
  const names = new Set<string>();
  for (const [i, claim] of claims.entries()) {
    const path = `${field}[${i}]`;
    const { name, resourceClaimName, resourceClaimTemplateName } = claim;
    if (mirror) {
      errors.push(forbiddenField(wholeObject, "static pods do not support resource claims"));
      continue;
    }
    if (!name) errors.push(required(`${path}.name`));
    else if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
    else {
      addProblems(errors, `${path}.name`, name, isDNS1123Label(name));
      names.add(name);
    }
    const [byName, byTemplate] = [resourceClaimName !== undefined, resourceClaimTemplateName !== undefined];
    const refuse = (detail: string): unknown => errors.push(invalidValue(path, internalForm("PodResourceClaim", claim), detail));
    if (byName && byTemplate) refuse("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    if (!byName && !byTemplate) refuse("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    for (const key of ["resourceClaimName", "resourceClaimTemplateName"] as const) {
      const reference = claim[key];
      if (reference !== undefined) addProblems(errors, `${path}.${key}`, reference, isDNS1123Subdomain(reference));
    }
  }
}

/** In the host's network a container listens on the host's port: both must be given as one. */
function validateHostPorts(errors: FieldError[], field: string, spec: PodSpec, { isPod }: PodRules): void {
  for (const [i, { ports = [] }] of (spec.containers ?? []).entries())
    for (const [j, { hostPort = 0, containerPort = 0 }] of ports.entries())
      if ((isPod || hostPort !== 0) && hostPort !== containerPort)
        errors.push(
          invalidValue(`${field}.containers[${i}].ports[${j}].hostPort`, hostPort, "must match `containerPort` when `hostNetwork` is true"),
        );
}

function validateSchedulingGates(errors: FieldError[], field: string, { schedulingGates }: PodSpec): void {
  if (!schedulingGates) return;
  const names = new Set<string>();
  for (const [i, { name = "" }] of schedulingGates.entries()) {
    addProblems(errors, `${field}[${i}]`, name, isQualifiedName(name));
    if (names.has(name)) errors.push(duplicate(`${field}[${i}]`, name));
    names.add(name);
  }
}

function validateScalars(errors: FieldError[], field: string, spec: PodSpec): void {
  const { serviceAccountName: account, nodeName, activeDeadlineSeconds: deadline, hostname, subdomain } = spec;
  if (account) addProblems(errors, `${field}.serviceAccountName`, account, isDNS1123Subdomain(account));
  if (nodeName) addProblems(errors, `${field}.nodeName`, nodeName, isDNS1123Subdomain(nodeName));
  if (deadline !== undefined && (deadline < 1 || deadline > maxInt32))
    errors.push(invalidValue(`${field}.activeDeadlineSeconds`, deadline, `must be between 1 and ${maxInt32}, inclusive`));
  if (hostname) addProblems(errors, `${field}.hostname`, hostname, isDNS1123Label(hostname));
  if (subdomain) addProblems(errors, `${field}.subdomain`, subdomain, isDNS1123Label(subdomain));
}

function validateClasses(errors: FieldError[], field: string, spec: PodSpec): void {
  const { priorityClassName: priority, runtimeClassName: runtime, preemptionPolicy } = spec;
  if (priority) addProblems(errors, `${field}.priorityClassName`, priority, isDNS1123Subdomain(priority));
  if (runtime !== undefined) addProblems(errors, `${field}.runtimeClassName`, runtime, isDNS1123Subdomain(runtime));
  if (preemptionPolicy !== undefined)
    checkSupported(errors, `${field}.preemptionPolicy`, preemptionPolicy, ["PreemptLowerPriority", "Never"], "required");
}

/** Variables that are read from a file: it lies in an emptyDir of the pod. */
function validateSchedulingGroup(errors: FieldError[], field: string, { podGroupName: name }: PodSchedulingGroup): void {
  if (name === undefined) errors.push(invalidValue(field, null, "must specify one of: `podGroupName`"));
  else addProblems(errors, field, name, isDNS1123Subdomain(name));
}

function validateFileReferences(errors: FieldError[], field: string, spec: PodSpec): void {
  eachContainer(spec, field, ({ env = [] }, path) => {
    for (let i = 0; i < env.length; i++) {
      const reference = env[i]?.valueFrom?.fileKeyRef;
      if (!reference) continue;
      const { volumeName = "" } = reference;
      const volume = spec.volumes?.findLast(({ name }) => name === volumeName);
      const at = `${path}.env[${i}].valueFrom.fileKeyRef.volumeName`;
      if (!volume) errors.push(notFoundError(at, volumeName));
      else if (!volume.emptyDir) errors.push(invalidValue(at, volumeName, "referenced volume must be of type emptyDir"));
    }
  });
}
