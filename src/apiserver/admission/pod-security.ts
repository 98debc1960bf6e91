// PodSecurity: holds pods to the Pod Security level that their namespace's labels name. Pods beyond the enforced level are
// refused, those beyond the warned one accepted with a warning; templates of workloads are warned about only. Whoever
// tightens a namespace is told which of its pods would not pass any more.
import { controllerOf, type KubernetesObject } from "../../api/meta/object.ts";
import { invalid } from "../../api/meta/status-error.ts";
import {
  cronjobs,
  daemonsets,
  deployments,
  jobs,
  namespaces,
  pods,
  podtemplates,
  replicasets,
  replicationcontrollers,
  statefulsets,
} from "../../api/resources.generated.ts";
import type { CronJob } from "../../api/types/batch-v1.ts";
import type { Container, Namespace, Pod, PodTemplate, PodTemplateSpec } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { type CheckedPod, podViolations, type Violation } from "./pod-security-checks.ts";
import { compareLevels, type LevelVersion, levelText, type PodSecurityPolicy, podSecurityPolicy } from "./pod-security-policy.ts";
import { isAbout, refuse } from "./refusal.ts";

/** Subresources of pods that do not change what they run. */
const ignoredSubresources = new Set(["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"]);
const templated = [replicationcontrollers, podtemplates, replicasets, deployments, statefulsets, daemonsets, jobs, cronjobs];

/** Of a namespace's pods at most so many are looked at when it is tightened. */
const maxPodsToCheck = 3000;

export function createPodSecurity({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  return {
    name: "PodSecurity",
    handles: (request) => {
      if (request.operation !== "CREATE" && request.operation !== "UPDATE") return false;
      if (isAbout(request, pods, request.subresource)) return !ignoredSubresources.has(request.subresource);
      return isAbout(request, namespaces) || templated.some((type) => isAbout(request, type));
    },
    validate(request) {
      if (isAbout(request, namespaces)) return checkNamespace(request, reader);
      const policy = podSecurityPolicy(reader.informer(namespaces).get(request.namespace)?.metadata.labels);
      if (request.resource.resource === "pods") return checkPod(request, policy);
      const template = templateOf(request);
      if (template) warn(request, template, policy.warn);
    },
  };
}

function checkPod(request: AdmissionRequest, policy: PodSecurityPolicy): void {
  const pod = request.object as Pod;
  if (request.operation === "UPDATE" && !changesImages(pod, request.oldObject as Pod)) return;
  const checked = checkedPod(pod);
  const violations = podViolations(checked, policy.enforce.level, policy.enforce.version);
  if (violations.length > 0)
    throw refuse(request, `violates PodSecurity ${JSON.stringify(levelText(policy.enforce))}: ${describe(violations)}`);
  warn(request, checked, policy.warn);
}

function warn(request: AdmissionRequest, pod: CheckedPod, at: LevelVersion): void {
  const violations = podViolations(pod, at.level, at.version);
  if (violations.length > 0) request.warn(`would violate PodSecurity ${JSON.stringify(levelText(at))}: ${describe(violations)}`);
}

const describe = (violations: readonly Violation[]): string =>
  violations.map((v) => (v.detail === "" ? v.reason : `${v.reason} (${v.detail})`)).join(", ");

const checkedPod = (pod: {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: Pod["spec"];
}): CheckedPod => ({
  annotations: pod.metadata?.annotations ?? {},
  spec: pod.spec ?? { containers: [] },
});

/** Of what can change in a pod only its images and its ephemeral containers matter. */
function changesImages(pod: Pod, old: Pod): boolean {
  type Named = Pick<Container, "name" | "image">;
  const differ = (now: readonly Named[] = [], before: readonly Named[] = []): boolean =>
    now.length !== before.length || now.some((c, i) => c.image !== before[i]?.image);
  const known = old.spec?.ephemeralContainers ?? [];
  return (
    differ(pod.spec?.containers, old.spec?.containers) ||
    differ(pod.spec?.initContainers, old.spec?.initContainers) ||
    (pod.spec?.ephemeralContainers ?? []).some((c) => known.find((k) => k.name === c.name)?.image !== c.image)
  );
}

function templateOf(request: AdmissionRequest): CheckedPod | undefined {
  const object = request.object as KubernetesObject;
  const template: PodTemplateSpec | undefined = isAbout(request, podtemplates)
    ? (object as PodTemplate).template
    : isAbout(request, cronjobs)
      ? (object as CronJob).spec?.jobTemplate?.spec?.template
      : (object as KubernetesObject & { readonly spec?: { readonly template?: PodTemplateSpec } }).spec?.template;
  return template && checkedPod(template);
}

function checkNamespace(request: AdmissionRequest, reader: AdmissionReader): void {
  const { metadata } = request.object as Namespace;
  const policy = podSecurityPolicy(metadata.labels);
  const old = request.operation === "UPDATE" ? podSecurityPolicy(request.oldObject?.metadata.labels) : undefined;
  const messages = (p: PodSecurityPolicy | undefined): string => (p?.errors ?? []).map((e) => e.message).join("\n");
  // What was wrong before may stay wrong: other changes of the namespace must remain possible.
  if (policy.errors.length > 0 && messages(policy) !== messages(old)) throw invalid(request.kind, metadata.name, policy.errors);
  if (!old || !tightens(policy.enforce, old.enforce)) return;
  for (const text of warningsAbout(metadata.name, policy.enforce, reader)) request.warn(text);
}

function tightens(now: LevelVersion, before: LevelVersion): boolean {
  if (now.level === "privileged") return false;
  return now.version !== before.version || compareLevels(now.level, before.level) > 0;
}

function warningsAbout(namespace: string, enforce: LevelVersion, reader: AdmissionReader): readonly string[] {
  const all = oneOfEachControllerFirst(reader.informer(pods).inNamespace(namespace));
  const names = new Map<string, string[]>();
  for (const pod of all.slice(0, maxPodsToCheck)) {
    const violations = podViolations(checkedPod(pod), enforce.level, enforce.version);
    if (violations.length === 0) continue;
    const reasons = violations.map((v) => v.reason).join(", ");
    names.set(reasons, [...(names.get(reasons) ?? []), pod.metadata.name]);
  }
  const level = JSON.stringify(levelText(enforce));
  return [
    ...(all.length > maxPodsToCheck
      ? [`new PodSecurity enforce level only checked against the first ${maxPodsToCheck} of ${all.length} existing pods`]
      : []),
    ...(names.size > 0
      ? [`existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level ${level}`]
      : []),
    ...[...names].map(([reasons, found]) => `${countText(found)}: ${reasons}`).sort(),
  ];
}

/** Replicas of one controller are alike: the first of each is looked at before all others. */
function oneOfEachControllerFirst(all: readonly Pod[]): readonly Pod[] {
  const seen = new Set<string>();
  const [first, others]: [Pod[], Pod[]] = [[], []];
  for (const pod of all) {
    const uid = controllerOf(pod)?.uid;
    if (uid !== undefined && seen.has(uid)) others.push(pod);
    else first.push(pod);
    if (uid !== undefined) seen.add(uid);
  }
  return [...first, ...others];
}

function countText(names: readonly string[]): string {
  const [first = ""] = [...names].sort();
  if (names.length === 1) return first;
  return `${first} (and ${names.length - 1} other ${names.length === 2 ? "pod" : "pods"})`;
}
