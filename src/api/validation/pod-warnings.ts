// What the server warns of when pods and templates are written: things that are accepted, and are probably not what was
// meant, or will not be accepted for ever.
import { appendAll } from "../../base/append-all.ts";
import { ipWarnings } from "../meta/ip.ts";
import { isDNS1123Label, isLabelValue } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import { oncePerPart } from "../meta/shared-parts.ts";
import type { Pod, PodAffinity, PodSpec, PodTemplateSpec, ResourceRequirements, Volume } from "../types/core-v1.ts";
import { deprecatedNodeLabel } from "./deprecated-labels.ts";
import { overlapWarnings } from "./overlapping-paths.ts";
import { claimSpecWarnings } from "./persistent-volume-claim-spec.ts";
import { appArmorPrefix, seccompAnnotation, seccompContainerPrefix } from "./pod-annotations.ts";
import { type AnyContainer, eachContainer } from "./pod-rules.ts";
import { portWarnings } from "./port-warnings.ts";
import { isFractional } from "./resources.ts";

type Annotations = Readonly<Record<string, string>>;

const noSpec: PodSpec = { containers: [] };

/** Warnings for a new pod. */
export function podWarnings({ metadata, spec = noSpec }: Pod): string[] {
  const warnings = nameWarnings(metadata.name, "the Pod's hostname");
  const { annotations } = metadata;
  appendAll(warnings, annotations ? specWarnings("", spec, annotations) : plainSpecWarnings(spec));
  return warnings;
}

const noAnnotations: Annotations = {};
const plainSpecWarnings = oncePerPart((spec: PodSpec): readonly string[] => specWarnings("", spec, noAnnotations));

/** Names that do not fit into host names; `use`: what is made of the name. */
export function nameWarnings(name: string, use = "Pod names and hostnames"): string[] {
  const problems = isDNS1123Label(name);
  if (problems.length === 0) return [];
  return [
    `metadata.name: this is used in ${use}, which can result in surprising behavior; a DNS label is recommended: [${problems.join(" ")}]`,
  ];
}

/** Warnings for a template at `field`. */
export function podTemplateWarnings(field: string, { metadata, spec = noSpec }: PodTemplateSpec): string[] {
  return specWarnings(`${field}.`, spec, metadata?.annotations ?? {}, true);
}

function specWarnings(prefix: string, spec: PodSpec, annotations: Annotations, isTemplate = false): string[] {
  const warnings: string[] = [];
  const at = (field: string): string => `${prefix}spec.${field}`;
  for (const key in spec.nodeSelector) {
    const text = deprecatedNodeLabel(key);
    if (text !== undefined) warnings.push(`${at("nodeSelector")}[${key}]: ${text}`);
  }
  if (spec.affinity?.nodeAffinity) addNodeAffinity(warnings, at("affinity.nodeAffinity"), spec.affinity.nodeAffinity);
  addSpread(warnings, at("topologySpreadConstraints"), spec);
  for (const [key, text] of deprecatedAnnotations)
    if (annotations[key] !== undefined) warnings.push(`${prefix}metadata.annotations[${key}]: ${text}`);
  for (const [i, volume] of (spec.volumes ?? []).entries()) addVolume(warnings, `${at("volumes")}[${i}]`, volume);
  if (spec.volumes) appendAll(warnings, overlapWarnings(spec.volumes));
  addRepeated(
    warnings,
    at("hostAliases"),
    "ip",
    (spec.hostAliases ?? []).map(({ ip = "" }) => ip),
  );
  const secrets = (spec.imagePullSecrets ?? []).map(({ name = "" }) => name);
  addRepeated(warnings, at("imagePullSecrets"), "name", secrets);
  for (const [i, name] of secrets.entries()) if (name === "") warnings.push(`${at("imagePullSecrets")}[${i}].name: invalid empty name ""`);
  for (const name of ["memory", "ephemeral-storage"] as const) addFractional(warnings, at("overhead"), spec.overhead, name);
  addContainers(warnings, prefix, spec, annotations, isTemplate);
  appendAll(warnings, portWarnings(spec, `${prefix}spec`));
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0)
    warnings.push(`${at("terminationGracePeriodSeconds")}: must be >= 0; negative values are invalid and will be treated as 1`);
  addPodAffinity(warnings, at("affinity.podAffinity"), spec.affinity?.podAffinity);
  addPodAffinity(warnings, at("affinity.podAntiAffinity"), spec.affinity?.podAntiAffinity);
  for (const [i, server] of (spec.dnsConfig?.nameservers ?? []).entries())
    appendAll(warnings, ipWarnings(`${at("dnsConfig.nameservers")}[${i}]`, server));
  for (const [i, { ip = "" }] of (spec.hostAliases ?? []).entries()) appendAll(warnings, ipWarnings(`${at("hostAliases")}[${i}].ip`, ip));
  return warnings;
}

const deprecatedAnnotations: readonly (readonly [string, string])[] = [
  ["scheduler.alpha.kubernetes.io/critical-pod", 'non-functional in v1.16+; use the "priorityClassName" field instead'],
  ["security.alpha.kubernetes.io/sysctls", 'non-functional in v1.11+; use the "sysctls" field instead'],
  ["security.alpha.kubernetes.io/unsafe-sysctls", 'non-functional in v1.11+; use the "sysctls" field instead'],
];

/** Kinds of volumes nobody should use, in the order of upstream's warnings, with the field as the warning names it. */
const deprecatedVolumes: readonly (readonly [keyof Volume, string, string])[] = [
  ["photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"],
  ["gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"],
  ["scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"],
  ["flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"],
  ["storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"],
  ["quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"],
  ["glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"],
  ["cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"],
  ["rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"],
];

function addVolume(warnings: string[], field: string, volume: Volume): void {
  const claim = volume.ephemeral?.volumeClaimTemplate?.spec;
  if (claim) appendAll(warnings, claimSpecWarnings(`${field}.ephemeral.volumeClaimTemplate.spec`, claim));
  for (const [source, name, text] of deprecatedVolumes) if (volume[source] !== undefined) warnings.push(`${field}.${name}: ${text}`);
}

type NodeAffinity = NonNullable<NonNullable<PodSpec["affinity"]>["nodeAffinity"]>;

function addNodeAffinity(warnings: string[], field: string, affinity: NodeAffinity): void {
  const must = affinity.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const preferred = affinity.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const terms = [
    ...must.map((term, i) => ({
      term,
      path: `requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`,
      checkValues: false,
    })),
    ...preferred.map(({ preference }, i) => ({
      term: preference ?? {},
      path: `preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`,
      checkValues: true,
    })),
  ];
  for (const { term, path, checkValues } of terms)
    for (const [i, { key = "", values = [] }] of (term.matchExpressions ?? []).entries()) {
      const at = `${field}.${path}.matchExpressions[${i}]`;
      const text = deprecatedNodeLabel(key);
      if (text !== undefined) warnings.push(`${at}.key: ${key} is ${text}`);
      if (!checkValues) continue;
      for (const [j, value] of values.entries())
        for (const problem of isLabelValue(value)) warnings.push(`${at}.values[${j}]: ${value} is invalid, ${problem}`);
    }
}

const matchesNothing = "a null labelSelector results in matching no pod";

function addSpread(warnings: string[], field: string, { topologySpreadConstraints = [] }: PodSpec): void {
  for (const [i, { topologyKey = "", labelSelector }] of topologySpreadConstraints.entries()) {
    const text = deprecatedNodeLabel(topologyKey);
    if (text !== undefined) warnings.push(`${field}[${i}].topologyKey: ${topologyKey} is ${text}`);
    if (!labelSelector) warnings.push(`${field}[${i}].labelSelector: ${matchesNothing}`);
  }
}

function addPodAffinity(warnings: string[], field: string, affinity: PodAffinity | undefined): void {
  for (const [i, term] of (affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).entries())
    if (!term.labelSelector)
      warnings.push(`${field}.requiredDuringSchedulingIgnoredDuringExecution[${i}].labelSelector: ${matchesNothing}`);
  for (const [i, { podAffinityTerm }] of (affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries())
    if (!podAffinityTerm?.labelSelector)
      warnings.push(`${field}.preferredDuringSchedulingIgnoredDuringExecution[${i}].podAffinityTerm.labelSelector: ${matchesNothing}`);
}

function addRepeated(warnings: string[], field: string, key: string, values: readonly string[]): void {
  const seen = new Set<string>();
  for (const [i, value] of values.entries()) {
    if (seen.has(value)) warnings.push(`${field}[${i}].${key}: duplicate ${key} ${JSON.stringify(value)}`);
    seen.add(value);
  }
}

function addFractional(warnings: string[], field: string, list: ResourceRequirements["limits"], name: string): void {
  const amount = list?.[name];
  if (amount !== undefined && isFractional(parseQuantity(amount)))
    warnings.push(`${field}[${name}]: fractional byte value "${parseQuantity(amount)}" is invalid, must be an integer`);
}

function addContainers(warnings: string[], prefix: string, spec: PodSpec, annotations: Annotations, isTemplate: boolean): void {
  const annotation = (key: string, text: string): void => {
    if (annotations[key] !== undefined) warnings.push(`${prefix}metadata.annotations[${key}]: ${text}`);
  };
  const seccompText = 'non-functional in v1.27+; use the "seccompProfile" field instead';
  if (!spec.securityContext?.seccompProfile) annotation(seccompAnnotation, seccompText);
  eachContainer(spec, `${prefix}spec`, (container, field) => {
    if (!container.securityContext?.seccompProfile) annotation(seccompContainerPrefix + container.name, seccompText);
    if (isTemplate && !container.securityContext?.appArmorProfile && !isPodProfile(annotations[appArmorPrefix + container.name], spec))
      annotation(appArmorPrefix + container.name, appArmorText);
    for (const name of ["memory", "ephemeral-storage"])
      for (const list of ["limits", "requests"] as const)
        addFractional(warnings, `${field}.resources.${list}`, container.resources?.[list], name);
    addHiddenVariables(warnings, field, container);
  });
}

/** Of pods themselves the server warns where it takes the annotation over into the field. */
export const appArmorText = 'deprecated since v1.30; use the "appArmorProfile" field instead';

/** Whether an annotation says the same as the pod's own profile. */
function isPodProfile(text: string | undefined, spec: PodSpec): boolean {
  const profile = spec.securityContext?.appArmorProfile;
  if (!profile || text === undefined) return false;
  if (profile.type === "Localhost") return text === `localhost/${profile.localhostProfile}`;
  return text === (profile.type === "Unconfined" ? "unconfined" : "runtime/default");
}

/** A variable that is defined twice, unless the second definition extends the first. */
function addHiddenVariables(warnings: string[], field: string, { env = [] }: AnyContainer): void {
  if (env.length < 2) return;
  const seen = new Set<string>();
  for (const [i, { name, value = "", valueFrom }] of env.entries()) {
    const reference = `$(${name})`;
    if (!seen.has(name)) seen.add(name);
    else if (valueFrom || value === reference || !value.includes(reference))
      warnings.push(`${field}.env[${i}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`);
  }
}
