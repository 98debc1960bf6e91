// PodSecurity: holds pods to the Pod Security level that their namespace's labels name. Pods beyond the enforced level are
// refused, those beyond the warned one accepted with a warning; templates of workloads are warned about only. What is found is
// told to the audit log too. Whoever
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
import { findNamespace, type NamespaceDependencies } from "./find-namespace.ts";
import { type CheckedPod, podViolations, type Violation } from "./pod-security-checks.ts";
import type { PodSecurityMetrics } from "./pod-security-metrics.ts";
import {
  compareLevels,
  type LevelVersion,
  levelText,
  noPodSecurity,
  type PodSecurityDefaults,
  type PodSecurityPolicy,
  podSecurityPolicy,
  sameLevel,
} from "./pod-security-policy.ts";
import { isAbout, joinProblems, refuse } from "./refusal.ts";

/** Subresources of pods that do not change what they run. */
const ignoredSubresources = new Set(["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"]);
const templated = [replicationcontrollers, podtemplates, replicasets, deployments, statefulsets, daemonsets, jobs, cronjobs];

/** Of a namespace's pods at most so many are looked at when it is tightened. */
const maxPodsToCheck = 3000;

export interface PodSecuritySettings {
  readonly defaults: PodSecurityDefaults;
  /** Who and what is not held to any level. */
  readonly exemptions: {
    readonly usernames: ReadonlySet<string>;
    readonly namespaces: ReadonlySet<string>;
    readonly runtimeClasses: ReadonlySet<string>;
  };
}

const nobody: ReadonlySet<string> = new Set();
const noSettings: PodSecuritySettings = {
  defaults: noPodSecurity,
  exemptions: { usernames: nobody, namespaces: nobody, runtimeClasses: nobody },
};

type Labels = Readonly<Record<string, string>>;
const noLabels: Labels = {};

const auditPrefix = "pod-security.kubernetes.io/";

export function createPodSecurity(
  deps: NamespaceDependencies,
  settings: PodSecuritySettings = noSettings,
  metrics?: PodSecurityMetrics,
): AdmissionPlugin {
  const { reader } = deps;
  const { usernames, namespaces: exempt } = settings.exemptions;
  const known = new WeakMap<Labels, PodSecurityPolicy>();
  /** Of labels that are the same object, as those of a namespace are until it changes, found out once. */
  const policyOf = (labels: Labels = noLabels): PodSecurityPolicy => {
    let policy = known.get(labels);
    if (!policy) known.set(labels, (policy = podSecurityPolicy(labels, settings.defaults)));
    return policy;
  };
  const checkIn = (request: AdmissionRequest, namespace: Namespace): void => {
    const policy = policyOf(namespace.metadata.labels);
    if (request.resource.resource === "pods") checkPod(request, policy, { settings, metrics });
    else checkTemplate(request, policy, { settings, metrics });
  };
  return {
    name: "PodSecurity",
    only: [pods, namespaces, ...templated],
    handles: (request) => {
      if (request.operation !== "CREATE" && request.operation !== "UPDATE") return false;
      if (isAbout(request, pods, request.subresource)) return !ignoredSubresources.has(request.subresource);
      return isAbout(request, namespaces) || templated.some((type) => isAbout(request, type));
    },
    validate(request) {
      if (isAbout(request, namespaces)) return checkNamespace(request, reader, settings);
      const exemption = exempt.has(request.namespace) ? "namespace" : usernames.has(request.user.name) ? "user" : undefined;
      if (exemption !== undefined) {
        metrics?.exempted(request);
        return request.annotate(`${auditPrefix}exempt`, exemption);
      }
      const known = reader.informer(namespaces).get(request.namespace);
      if (known) return checkIn(request, known);
      return findNamespace(deps, request.namespace).then((namespace) => checkIn(request, namespace));
    },
  };
}

/** What every check is given. */
interface Given {
  readonly settings: PodSecuritySettings;
  readonly metrics: PodSecurityMetrics | undefined;
}

function checkPod(request: AdmissionRequest, policy: PodSecurityPolicy, given: Given): void {
  const { enforce, audit, warn, errors } = policy;
  if (errors.length === 0 && enforce.level === "privileged" && audit.level === "privileged" && warn.level === "privileged") {
    request.annotate(`${auditPrefix}enforce-policy`, "privileged:latest");
    given.metrics?.evaluated(request, enforce, "enforce", "allow");
    return;
  }
  const pod = request.object as Pod;
  if (request.operation === "UPDATE" && !changesImages(pod, request.oldObject as Pod)) return;
  evaluate(request, checkedPod(pod), { policy, ...given, enforces: true });
}

function checkTemplate(request: AdmissionRequest, policy: PodSecurityPolicy, given: Given): void {
  const { audit, warn, errors } = policy;
  if (errors.length === 0 && audit.level === "privileged" && warn.level === "privileged") return;
  const template = templateOf(request);
  if (template) evaluate(request, template, { policy, ...given, enforces: false });
}

interface Evaluation extends Given {
  readonly policy: PodSecurityPolicy;
  /** Whether violations of the enforced level are refused: those of templates are not. */
  readonly enforces: boolean;
}

function evaluate(request: AdmissionRequest, pod: CheckedPod, { policy, settings, metrics, enforces }: Evaluation): void {
  const { enforce, audit, warn, errors } = policy;
  if (settings.exemptions.runtimeClasses.has(pod.spec.runtimeClassName ?? "")) {
    metrics?.exempted(request);
    return request.annotate(`${auditPrefix}exempt`, "runtimeClass");
  }
  if (errors.length > 0) {
    request.annotate(`${auditPrefix}error`, `Failed to parse policy: ${joinProblems(errors.map((error) => error.message))}`);
    metrics?.misled(request);
  }
  const violationsOf = (at: LevelVersion): string => {
    const violations = podViolations(pod, at.level, at.version);
    return violations.length === 0 ? "" : `PodSecurity ${JSON.stringify(levelText(at))}: ${describe(violations)}`;
  };
  if (enforces) request.annotate(`${auditPrefix}enforce-policy`, levelText(enforce));
  const enforced = enforces ? violationsOf(enforce) : "";
  if (enforces) metrics?.evaluated(request, enforce, "enforce", enforced === "" ? "allow" : "deny");
  const audited = violationsOf(audit);
  if (audited !== "") metrics?.evaluated(request, audit, "audit", "deny");
  if (audited !== "") request.annotate(`${auditPrefix}audit-violations`, `would violate ${audited}`);
  if (enforced !== "") throw refuse(request, `violates ${enforced}`);
  const warned = violationsOf(warn);
  if (warned !== "") metrics?.evaluated(request, warn, "warn", "deny");
  if (warned !== "") request.warn(`would violate ${warned}`);
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
  const known = new Map<string, string | undefined>();
  for (const { name, image } of old.spec?.ephemeralContainers ?? []) if (!known.has(name)) known.set(name, image);
  return (
    differ(pod.spec?.containers, old.spec?.containers) ||
    differ(pod.spec?.initContainers, old.spec?.initContainers) ||
    (pod.spec?.ephemeralContainers ?? []).some((c) => known.get(c.name) !== c.image)
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

function checkNamespace(request: AdmissionRequest, reader: AdmissionReader, settings: PodSecuritySettings): void {
  const { metadata } = request.object as Namespace;
  const policyOf = (labels: Namespace["metadata"]["labels"]): PodSecurityPolicy => podSecurityPolicy(labels, settings.defaults);
  const policy = policyOf(metadata.labels);
  const old = request.operation === "UPDATE" ? policyOf(request.oldObject?.metadata.labels) : undefined;
  const messages = (p: PodSecurityPolicy | undefined): string => (p?.errors ?? []).map((e) => e.message).join("\n");
  // What was wrong before may stay wrong: other changes of the namespace must remain possible.
  if (policy.errors.length > 0 && messages(policy) !== messages(old)) throw invalid(request.kind, metadata.name, policy.errors);
  if (old && !tightens(policy.enforce, old.enforce)) return;
  if (settings.exemptions.namespaces.has(metadata.name)) return warnOfExemption(request, policy, settings);
  if (!old) return;
  for (const text of warningsAbout(metadata.name, policy.enforce, { reader, settings })) request.warn(text);
}

/** Labels of an exempt namespace that say something else than the defaults have no effect. */
function warnOfExemption(request: AdmissionRequest, policy: PodSecurityPolicy, { defaults }: PodSecuritySettings): void {
  const modes = ["enforce", "audit", "warn"] as const;
  if (modes.every((mode) => policy[mode].level === "privileged") || modes.every((mode) => sameLevel(policy[mode], defaults[mode]))) return;
  const { name, labels = {} } = (request.object as Namespace).metadata;
  const isSaid = (mode: string): boolean =>
    labels[auditPrefix + mode] !== undefined || labels[`${auditPrefix}${mode}-version`] !== undefined;
  const said = modes.filter((mode) => policy[mode].level !== "privileged" && isSaid(mode));
  const text = said.map((mode) => `${mode}=${levelText(policy[mode])}`).join(", ");
  request.warn(`namespace ${JSON.stringify(name)} is exempt from Pod Security, and the policy (${text}) will be ignored`);
}

function tightens(now: LevelVersion, before: LevelVersion): boolean {
  if (now.level === "privileged") return false;
  return now.version !== before.version || compareLevels(now.level, before.level) > 0;
}

function warningsAbout(
  namespace: string,
  enforce: LevelVersion,
  { reader, settings }: { readonly reader: AdmissionReader; readonly settings: PodSecuritySettings },
): readonly string[] {
  const { runtimeClasses } = settings.exemptions;
  const found = reader.informer(pods).inNamespace(namespace);
  const all = oneOfEachControllerFirst(found.filter((pod) => !runtimeClasses.has(pod.spec?.runtimeClassName ?? "")));
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
