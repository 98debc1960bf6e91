// What the arguments of plugins may be: upstream's rules and messages, every problem with its path.
import { duplicate, type FieldError, forbiddenField, invalidValue, notSupported, required } from "../../api/meta/field-error.ts";
import { isQualifiedName } from "../../api/meta/names.ts";
import type { TopologySpreadConstraint } from "../../api/types/core-v1.ts";
import { addProblems } from "../../api/validation/rules.ts";
import { formatDuration } from "../../base/duration.ts";
import { validateAddedAffinity } from "./added-affinity.ts";
import type { PluginArgs, PluginWithArgs, ResourceWeight, ScoringStrategy, ShapePoint } from "./plugin-args.ts";

type Validators = { readonly [Name in PluginWithArgs]: (errors: FieldError[], path: string, args: PluginArgs[Name]) => void };

const validators: Validators = {
  DefaultPreemption(errors, path, { minCandidateNodesPercentage: percentage, minCandidateNodesAbsolute: absolute }) {
    const [percentagePath, absolutePath] = [`${path}.minCandidateNodesPercentage`, `${path}.minCandidateNodesAbsolute`];
    if (percentage < 0 || percentage > 100) errors.push(invalidValue(percentagePath, percentage, "not in valid range [0, 100]"));
    if (absolute < 0) errors.push(invalidValue(absolutePath, absolute, "not in valid range [0, inf)"));
    if (percentage !== 0 || absolute !== 0) return;
    errors.push(invalidValue(percentagePath, 0, "cannot be zero at the same time as minCandidateNodesAbsolute"));
    errors.push(invalidValue(absolutePath, 0, "cannot be zero at the same time as minCandidateNodesPercentage"));
  },
  FailureBackoff(errors, path, { halfLifeSeconds }) {
    if (halfLifeSeconds < 1) errors.push(invalidValue(`${path}.halfLifeSeconds`, halfLifeSeconds, "must be greater than zero"));
  },
  InterPodAffinity(errors, path, { hardPodAffinityWeight: weight }) {
    if (weight < 0 || weight > 100) errors.push(invalidValue(`${path}.hardPodAffinityWeight`, weight, "not in valid range [0, 100]"));
  },
  NodeAffinity(errors, path, { addedAffinity }) {
    if (addedAffinity) validateAddedAffinity(errors, `${path}.addedAffinity`, addedAffinity);
  },
  NodeResourcesBalancedAllocation(errors, path, { resources }) {
    const seen = new Set<string>();
    for (const [i, { name, weight }] of resources.entries()) {
      if (seen.has(name)) errors.push(duplicate(`${path}.resources[${i}].name`, name));
      seen.add(name);
      if (weight !== 1) errors.push(invalidValue(`${path}.resources[${i}].weight`, weight, "must be 1"));
    }
  },
  NodeResourcesFit(errors, path, { ignoredResources, ignoredResourceGroups, scoringStrategy }) {
    for (const [i, name] of ignoredResources.entries()) addProblems(errors, `${path}.ignoredResources[${i}]`, name, isQualifiedName(name));
    for (const [i, group] of ignoredResourceGroups.entries()) {
      const field = `${path}.ignoredResourceGroups[${i}]`;
      if (group.includes("/")) errors.push(invalidValue(field, group, "resource group name can't contain '/'"));
      addProblems(errors, field, group, isQualifiedName(group));
    }
    validateStrategy(errors, `${path}.scoringStrategy`, scoringStrategy);
  },
  PodTopologySpread(errors, path, { defaultingType, defaultConstraints }) {
    const typePath = `${path}.defaultingType`;
    if (defaultingType !== "System" && defaultingType !== "List") errors.push(notSupported(typePath, defaultingType, ["System", "List"]));
    else if (defaultingType === "System" && defaultConstraints.length > 0)
      errors.push(invalidValue(typePath, defaultingType, "when .defaultConstraints are not empty"));
    for (const i of defaultConstraints.keys())
      validateConstraint(errors, `${path}.defaultConstraints`, { constraints: defaultConstraints, i });
  },
  VolumeBinding(errors, path, { bindTimeoutSeconds, shape }) {
    if (bindTimeoutSeconds < 0) {
      const detail = "invalid BindTimeoutSeconds, should not be a negative value";
      errors.push(invalidValue(`${path}.bindTimeoutSeconds`, bindTimeoutSeconds, detail));
    }
    if (shape.length === 0) return;
    const points = shape.map(({ utilization, score }) => ({ Utilization: utilization, Score: score }));
    const detail = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring";
    errors.push(invalidValue(`${path}.shape`, points, detail));
  },
  DynamicResources(errors, path, { filterTimeoutMs, bindingTimeoutMs }) {
    if (filterTimeoutMs < 0)
      errors.push(invalidValue(`${path}.filterTimeout`, formatDuration(filterTimeoutMs), "must be zero or positive"));
    if (bindingTimeoutMs < 1000)
      errors.push(invalidValue(`${path}.bindingTimeout`, formatDuration(bindingTimeoutMs), "must be at least 1 second"));
  },
};

export function validatePluginArgs<Name extends PluginWithArgs>(
  errors: FieldError[],
  path: string,
  { plugin, args }: { readonly plugin: Name; readonly args: PluginArgs[Name] },
): void {
  validators[plugin](errors, path, args);
}

const strategies = ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"];

function validateStrategy(errors: FieldError[], path: string, { type, resources, shape }: ScoringStrategy): void {
  if (!strategies.includes(type)) errors.push(notSupported(`${path}.type`, type, strategies));
  for (const [i, { name, weight }] of resources.entries() as Iterable<[number, ResourceWeight]>) {
    if (weight > 0 && weight <= 100) continue;
    errors.push(invalidValue(`${path}.resources[${i}].weight`, weight, `resource weight of ${name} not in valid range (0, 100]`));
  }
  const ratioPath = `${path}.requestedToCapacityRatio`;
  if (type === "RequestedToCapacityRatio") {
    if (shape) validateShape(errors, `${ratioPath}.shape`, shape);
    else errors.push(required(ratioPath, "must be specified when type is RequestedToCapacityRatio"));
  } else if (shape) errors.push(forbiddenField(ratioPath, "must be nil when type is not RequestedToCapacityRatio"));
}

function validateShape(errors: FieldError[], path: string, shape: readonly ShapePoint[]): void {
  if (shape.length === 0) errors.push(required(path, "at least one point must be specified"));
  const unsorted = shape.findIndex((point, i) => i > 0 && (shape[i - 1]?.utilization ?? 0) >= point.utilization);
  if (unsorted > 0) {
    const { utilization } = shape[unsorted] as ShapePoint;
    errors.push(invalidValue(`${path}[${unsorted}].utilization`, utilization, "values must be sorted in increasing order"));
  }
  for (const [i, { utilization, score }] of shape.entries()) {
    if (utilization < 0 || utilization > 100)
      errors.push(invalidValue(`${path}[${i}].utilization`, utilization, "not in valid range [0, 100]"));
    if (score < 0 || score > 10) errors.push(invalidValue(`${path}[${i}].score`, score, "not in valid range [0, 10]"));
  }
}

const actions = ["DoNotSchedule", "ScheduleAnyway"];

function validateConstraint(
  errors: FieldError[],
  path: string,
  { constraints, i }: { readonly constraints: readonly TopologySpreadConstraint[]; readonly i: number },
): void {
  const { maxSkew, topologyKey, whenUnsatisfiable, labelSelector } = constraints[i] as TopologySpreadConstraint;
  const at = `${path}[${i}]`;
  if (maxSkew <= 0) errors.push(invalidValue(`${at}.maxSkew`, maxSkew, "not in valid range (0, inf)"));
  if (topologyKey === "") errors.push(required(`${at}.topologyKey`, "can not be empty"));
  else addProblems(errors, `${at}.topologyKey`, topologyKey, isQualifiedName(topologyKey));
  const action: string = whenUnsatisfiable;
  if (action === "") errors.push(required(`${at}.whenUnsatisfiable`, "can not be empty"));
  else if (!actions.includes(action)) errors.push(notSupported(`${at}.whenUnsatisfiable`, action, actions));
  if (labelSelector) {
    const detail = "constraint must not define a selector, as they deduced for each pod";
    errors.push(forbiddenField(`${at}.labelSelector`, detail));
  }
  const repeats = constraints.slice(0, i).some((c) => c.topologyKey === topologyKey && c.whenUnsatisfiable === whenUnsatisfiable);
  if (repeats) errors.push(duplicate(at, `{${topologyKey}, ${whenUnsatisfiable}}`));
}
