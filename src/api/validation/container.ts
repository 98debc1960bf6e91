// Containers of a pod spec: what all containers have in common, and what is special to init and ephemeral containers.
import {
  duplicate,
  type FieldError,
  forbiddenField,
  invalidValue,
  notFoundError,
  notSupported,
  required,
  tooMany,
} from "../meta/field-error.ts";
import { isDNS1123Label, isPortName, isPortNumber } from "../meta/names.ts";
import type { Container, ContainerPort, ContainerResizePolicy, ContainerRestartRule, PodSpec } from "../types/core-v1.ts";
import { validateEnv, validateEnvFrom } from "./env.ts";
import type { PodAllowances } from "./pod-rules.ts";
import { probeKinds, validateLifecycle, validateProbe } from "./probe.ts";
import { repeats } from "./repeats.ts";
import { validateContainerResources } from "./resources.ts";
import { addProblems, checkSupported } from "./rules.ts";
import { validateSecurityContext } from "./security-context.ts";
import { type VolumesByName, validateMounts } from "./volume-mount.ts";

/** The pod that a container belongs to, as far as it matters to the container. */
export interface ContainerSurroundings {
  readonly spec: PodSpec;
  readonly volumes: VolumesByName;
  readonly claimNames: readonly string[];
  readonly allows: PodAllowances | undefined;
}

export function validateContainers(errors: FieldError[], field: string, pod: ContainerSurroundings): void {
  const containers = pod.spec.containers ?? [];
  if (containers.length === 0) {
    errors.push(required(field));
    return;
  }
  const isRepeated = repeats<string | undefined>();
  for (let i = 0; i < containers.length; i++) {
    const container = containers[i];
    if (!container) continue;
    const path = `${field}[${i}]`;
    validateCommon(errors, path, container, pod);
    if (isRepeated(container.name)) errors.push(duplicate(`${path}.name`, container.name ?? ""));
    validateHooksAndProbes(errors, path, container, pod.spec);
    validateRestartPolicy(errors, path, container, false);
  }
  validateHostPorts(errors, containers, (i) => `${field}[${i}]`);
}

const onlyForSidecars = "may not be set for init containers without restartPolicy=Always";

export function validateInitContainers(errors: FieldError[], field: string, pod: ContainerSurroundings): void {
  const names = new Set((pod.spec.containers ?? []).map((container) => container.name));
  for (const [i, container] of (pod.spec.initContainers ?? []).entries()) {
    const path = `${field}[${i}]`;
    const sidecar = container.restartPolicy === "Always";
    validateCommon(errors, path, container, pod);
    validateRestartPolicy(errors, path, container, true);
    if (names.has(container.name)) errors.push(duplicate(`${path}.name`, container.name));
    else if (container.name) names.add(container.name);
    // Upstream checks each init container for itself, and names it as the first.
    validateHostPorts(errors, [container], () => `${field}[0]`);
    if (sidecar) validateHooksAndProbes(errors, path, container, pod.spec);
    else
      for (const key of ["lifecycle", ...probeKinds] as const)
        if (container[key]) errors.push(forbiddenField(`${path}.${key}`, onlyForSidecars));
    if (sidecar || pod.allows?.restartingInitContainerResize) continue;
    for (const [j, { restartPolicy }] of (container.resizePolicy ?? []).entries())
      if (restartPolicy === "RestartContainer")
        errors.push(
          invalidValue(
            `${path}.resizePolicy[${j}].restartPolicy`,
            restartPolicy,
            "must not be set to 'RestartContainer' for non-sidecar initContainers",
          ),
        );
  }
}

/** What ephemeral containers may not have, in upstream's order. */
const notEphemeral = [
  "ports",
  "resources",
  "resizePolicy",
  "restartPolicy",
  "restartPolicyRules",
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "lifecycle",
] as const;
const notEphemeralText = "cannot be set for an Ephemeral Container";

export function validateEphemeralContainers(errors: FieldError[], field: string, pod: ContainerSurroundings): void {
  const targets = new Set([...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])].map((container) => container.name));
  const names = new Set(targets);
  for (const [i, container] of (pod.spec.ephemeralContainers ?? []).entries()) {
    const path = `${field}[${i}]`;
    validateCommon(errors, path, container, pod);
    validateImageSpace(errors, path, container);
    if (names.has(container.name)) errors.push(duplicate(`${path}.name`, container.name));
    else names.add(container.name);
    const target = container.targetContainerName;
    if (target && !targets.has(target)) errors.push(notFoundError(`${path}.targetContainerName`, target));
    for (const key of notEphemeral) if (isGiven(key, container[key])) errors.push(forbiddenField(`${path}.${key}`, notEphemeralText));
    for (const [j, mount] of (container.volumeMounts ?? []).entries())
      for (const key of ["subPath", "subPathExpr"] as const)
        if (mount[key]) errors.push(forbiddenField(`${path}.volumeMounts[${j}].${key}`, notEphemeralText));
  }
}

/** `resources: {}` is the same as none; an empty probe is one. */
const isGiven = (key: (typeof notEphemeral)[number], value: unknown): boolean =>
  value !== undefined && value !== null && !(key === "resources" && Object.keys(value).length === 0);

/** In a pod itself (a template may still be completed by someone) images have no space around them. */
export function validateImageSpace(errors: FieldError[], path: string, { image = "" }: Pick<Container, "image">): void {
  if (image.trim().length !== image.length)
    errors.push(invalidValue(`${path}.image`, image, "must not have leading or trailing whitespace"));
}

function validateCommon(errors: FieldError[], path: string, container: Container, pod: ContainerSurroundings): void {
  const { name, env, envFrom, ports, resizePolicy, securityContext } = container;
  if (!name) errors.push(required(`${path}.name`));
  else addProblems(errors, `${path}.name`, name, isDNS1123Label(name));
  if (!container.image) errors.push(required(`${path}.image`));
  checkSupported(
    errors,
    `${path}.terminationMessagePolicy`,
    container.terminationMessagePolicy,
    ["File", "FallbackToLogsOnError"],
    "required",
  );
  if (ports) validatePorts(errors, `${path}.ports`, ports);
  if (env) validateEnv(errors, `${path}.env`, env);
  if (envFrom) validateEnvFrom(errors, `${path}.envFrom`, envFrom);
  validateMounts(errors, path, container, pod.volumes);
  checkSupported(errors, `${path}.imagePullPolicy`, container.imagePullPolicy, ["Always", "IfNotPresent", "Never"], "required");
  validateContainerResources(errors, `${path}.resources`, container.resources, pod);
  if (resizePolicy) validateResizePolicy(errors, `${path}.resizePolicy`, resizePolicy, pod.spec.restartPolicy);
  if (securityContext) validateSecurityContext(errors, `${path}.securityContext`, securityContext, pod.spec.hostUsers !== false);
}

function validateHooksAndProbes(errors: FieldError[], path: string, container: Container, spec: PodSpec): void {
  const { lifecycle } = container;
  if (lifecycle) validateLifecycle(errors, `${path}.lifecycle`, lifecycle, spec.terminationGracePeriodSeconds);
  for (const kind of probeKinds) {
    const probe = container[kind];
    if (probe) validateProbe(errors, `${path}.${kind}`, kind, probe);
  }
}

function validatePorts(errors: FieldError[], field: string, ports: readonly ContainerPort[]): void {
  const names = new Set<string>();
  for (const [i, { name, containerPort, hostPort, protocol }] of ports.entries()) {
    const path = `${field}[${i}]`;
    if (name) {
      const problems = isPortName(name);
      addProblems(errors, `${path}.name`, name, problems);
      if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
      else if (problems.length === 0) names.add(name);
    }
    if (!containerPort) errors.push(required(`${path}.containerPort`));
    else addProblems(errors, `${path}.containerPort`, containerPort, isPortNumber(containerPort));
    if (hostPort) addProblems(errors, `${path}.hostPort`, hostPort, isPortNumber(hostPort));
    checkSupported(errors, `${path}.protocol`, protocol, ["SCTP", "TCP", "UDP"], "required");
  }
}

function validateHostPorts(errors: FieldError[], containers: readonly Container[], pathOf: (index: number) => string): void {
  const taken = new Set<string>();
  for (let i = 0; i < containers.length; i++)
    for (const [j, { protocol, hostIP = "", hostPort }] of (containers[i]?.ports ?? []).entries()) {
      if (!hostPort) continue;
      const key = `${protocol}/${hostIP}/${hostPort}`;
      if (taken.has(key)) errors.push(duplicate(`${pathOf(i)}.ports[${j}].hostPort`, key));
      taken.add(key);
    }
}

function validateResizePolicy(
  errors: FieldError[],
  field: string,
  policies: readonly ContainerResizePolicy[],
  podRestartPolicy: string | undefined,
): void {
  const seen = new Set<string>();
  for (const [i, { resourceName = "", restartPolicy = "" }] of policies.entries()) {
    if (seen.has(resourceName)) errors.push(duplicate(`${field}[${i}]`, resourceName));
    seen.add(resourceName);
    checkSupported(errors, field, resourceName, ["cpu", "memory"], "required");
    checkSupported(errors, field, restartPolicy, ["NotRequired", "RestartContainer"], "required");
    if (podRestartPolicy === "Never" && restartPolicy !== "NotRequired")
      errors.push(invalidValue(field, restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"));
  }
}

function validateRestartPolicy(
  errors: FieldError[],
  path: string,
  { restartPolicy, restartPolicyRules: rules = [] }: Container,
  init: boolean,
): void {
  if (restartPolicy !== undefined) checkSupported(errors, `${path}.restartPolicy`, restartPolicy, ["Always", "Never", "OnFailure"]);
  else if (rules.length > 0) errors.push(required(`${path}.restartPolicy`, "must specify restartPolicy when restart rules are used"));
  if (restartPolicy === undefined && init) return;
  const field = `${path}.restartPolicyRules`;
  if (rules.length > 20) errors.push(tooMany(field, rules.length, 20));
  for (const [i, rule] of rules.entries()) validateRestartRule(errors, `${field}[${i}]`, rule);
}

function validateRestartRule(errors: FieldError[], path: string, { action, exitCodes }: ContainerRestartRule): void {
  checkSupported(errors, `${path}.action`, action, ["Restart", "RestartAllContainers"]);
  if (!exitCodes) {
    errors.push(required(`${path}.exitCodes`, "must be specified"));
    return;
  }
  const { operator = "", values = [] } = exitCodes;
  if (operator !== "In" && operator !== "NotIn") errors.push(notSupported(`${path}.exitCodes.operator`, operator, ["In", "NotIn"]));
  if (values.length > 255) errors.push(tooMany(`${path}.exitCodes.values`, values.length, 255));
}
