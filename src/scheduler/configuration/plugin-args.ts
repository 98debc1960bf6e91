// What pluginConfig may say to each plugin: NodeResourcesFitArgs and its like, read strictly, with upstream's defaults. What
// they may contain is checked in validate-plugin-args.ts.
import { ConfigError, ConfigFields } from "../../api/encode/config-fields.ts";
import type {
  NodeAffinity,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  TopologySpreadConstraint,
} from "../../api/types/core-v1.ts";

export const configurationVersion = "kubescheduler.config.k8s.io/v1";

export interface ResourceWeight {
  readonly name: string;
  readonly weight: number;
}

export interface ShapePoint {
  /** 0 to 100. */
  readonly utilization: number;
  /** 0 to 10. */
  readonly score: number;
}

export interface ScoringStrategy {
  readonly type: string;
  readonly resources: readonly ResourceWeight[];
  readonly shape?: readonly ShapePoint[];
}

/** By the plugins' names; every plugin with arguments has them, given or default. */
export interface PluginArgs {
  readonly NodeResourcesFit: {
    readonly ignoredResources: readonly string[];
    readonly ignoredResourceGroups: readonly string[];
    readonly scoringStrategy: ScoringStrategy;
  };
  readonly NodeResourcesBalancedAllocation: { readonly resources: readonly ResourceWeight[] };
  readonly InterPodAffinity: { readonly hardPodAffinityWeight: number; readonly ignorePreferredTermsOfExistingPods: boolean };
  readonly NodeAffinity: { readonly addedAffinity?: NodeAffinity };
  readonly PodTopologySpread: { readonly defaultingType: string; readonly defaultConstraints: readonly TopologySpreadConstraint[] };
  readonly VolumeBinding: { readonly bindTimeoutSeconds: number; readonly shape: readonly ShapePoint[] };
  readonly DefaultPreemption: { readonly minCandidateNodesPercentage: number; readonly minCandidateNodesAbsolute: number };
  /** Ours. */
  readonly FailureBackoff: { readonly halfLifeSeconds: number };
  readonly DynamicResources: { readonly filterTimeoutMs: number; readonly bindingTimeoutMs: number };
}

type Readers = { readonly [Name in keyof PluginArgs]: (fields: ConfigFields) => PluginArgs[Name] };

const readers: Readers = {
  NodeResourcesFit: (fields) => ({
    ignoredResources: fields.texts("ignoredResources"),
    ignoredResourceGroups: fields.texts("ignoredResourceGroups"),
    scoringStrategy: readStrategy(fields.object("scoringStrategy")),
  }),
  NodeResourcesBalancedAllocation: (fields) => ({ resources: readResources(fields) }),
  InterPodAffinity: (fields) => ({
    hardPodAffinityWeight: fields.integer("hardPodAffinityWeight") ?? 1,
    ignorePreferredTermsOfExistingPods: fields.boolean("ignorePreferredTermsOfExistingPods") ?? false,
  }),
  NodeAffinity(fields) {
    const added = fields.object("addedAffinity");
    return added ? { addedAffinity: readNodeAffinity(added) } : {};
  },
  PodTopologySpread: (fields) => ({
    defaultingType: fields.text("defaultingType") || "System",
    defaultConstraints: fields.objects("defaultConstraints").map(readSpreadConstraint),
  }),
  VolumeBinding(fields) {
    return { bindTimeoutSeconds: fields.integer("bindTimeoutSeconds") ?? 600, shape: readShape(fields) };
  },
  DefaultPreemption: (fields) => ({
    minCandidateNodesPercentage: fields.integer("minCandidateNodesPercentage") ?? 10,
    minCandidateNodesAbsolute: fields.integer("minCandidateNodesAbsolute") ?? 100,
  }),
  FailureBackoff: (fields) => ({ halfLifeSeconds: fields.integer("halfLifeSeconds") ?? 300 }),
  DynamicResources: (fields) => ({
    filterTimeoutMs: fields.durationMs("filterTimeout") ?? 10_000,
    bindingTimeoutMs: fields.durationMs("bindingTimeout") ?? 600_000,
  }),
};

export type PluginWithArgs = keyof PluginArgs;

export const takesArgs = (plugin: string): plugin is PluginWithArgs => Object.hasOwn(readers, plugin);

/** The arguments of one plugin; kind and version may be left out. Throws ConfigError. */
export function readPluginArgs<Name extends PluginWithArgs>(plugin: Name, fields: ConfigFields): PluginArgs[Name] {
  const [version, kind] = [fields.text("apiVersion") || configurationVersion, fields.text("kind") || `${plugin}Args`];
  if (version !== configurationVersion || !kindsOfArgs.has(kind))
    throw new ConfigError(`decoding args for plugin ${plugin}: ${unregistered(kind, version)}`);
  if (kind !== `${plugin}Args`) {
    const group = configurationVersion.slice(0, configurationVersion.indexOf("/"));
    throw new ConfigError(`args for plugin ${plugin} were not of type ${plugin}Args.${group}, got ${kind}.${group}`);
  }
  const args = readers[plugin](fields);
  fields.end();
  return args;
}

const kindsOfArgs: ReadonlySet<string> = new Set(Object.keys(readers).map((name) => `${name}Args`));

/** Upstream's words for a kind that no configuration has. */
export const unregistered = (kind: string, version: string): string =>
  `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(version)} in scheme "pkg/scheduler/apis/config/scheme/scheme.go:29"`;

/** Of every plugin, where nothing is given. */
export function defaultPluginArgs(): PluginArgs {
  const nothing = Object.keys(readers).map((name) => [name, readPluginArgs(name as PluginWithArgs, new ConfigFields({}, ""))]);
  return Object.fromEntries(nothing) as unknown as PluginArgs; // one entry for each reader, made by it
}

const defaultResources: readonly ResourceWeight[] = [
  { name: "cpu", weight: 1 },
  { name: "memory", weight: 1 },
];

function readResources(fields: ConfigFields): readonly ResourceWeight[] {
  const given = fields.objects("resources").map((entry) => {
    const resource = { name: entry.text("name") ?? "", weight: entry.integer("weight") || 1 };
    entry.end();
    return resource;
  });
  return given.length > 0 ? given : defaultResources;
}

function readStrategy(fields: ConfigFields | undefined): ScoringStrategy {
  if (!fields) return { type: "LeastAllocated", resources: defaultResources };
  const ratio = fields.object("requestedToCapacityRatio");
  const shape = ratio && readShape(ratio);
  ratio?.end();
  const strategy = { type: fields.text("type") ?? "", resources: readResources(fields), ...(shape ? { shape } : {}) };
  fields.end();
  return strategy;
}

function readShape(fields: ConfigFields): readonly ShapePoint[] {
  return fields.objects("shape").map((point) => {
    const read = { utilization: point.integer("utilization") ?? 0, score: point.integer("score") ?? 0 };
    point.end();
    return read;
  });
}

function readSpreadConstraint(fields: ConfigFields): TopologySpreadConstraint {
  const minDomains = fields.integer("minDomains");
  const policies = ["Honor", "Ignore"] as const;
  const constraint = {
    maxSkew: fields.integer("maxSkew") ?? 0,
    topologyKey: fields.text("topologyKey") ?? "",
    // Checked by validation, which knows upstream's message.
    whenUnsatisfiable: (fields.text("whenUnsatisfiable") ?? "") as TopologySpreadConstraint["whenUnsatisfiable"],
    matchLabelKeys: fields.texts("matchLabelKeys"),
    ...(fields.has("labelSelector") ? { labelSelector: {} } : {}),
    ...(minDomains === undefined ? {} : { minDomains }),
    ...(fields.has("nodeAffinityPolicy") ? { nodeAffinityPolicy: fields.oneOf("nodeAffinityPolicy", policies) } : {}),
    ...(fields.has("nodeTaintsPolicy") ? { nodeTaintsPolicy: fields.oneOf("nodeTaintsPolicy", policies) } : {}),
  };
  fields.end();
  return constraint;
}

function readNodeAffinity(fields: ConfigFields): NodeAffinity {
  const required = fields.object("requiredDuringSchedulingIgnoredDuringExecution");
  const preferred = fields.objects("preferredDuringSchedulingIgnoredDuringExecution").map((entry) => {
    const preference = entry.object("preference");
    const term = { weight: entry.integer("weight") ?? 0, preference: preference ? readTerm(preference) : {} };
    entry.end();
    return term;
  });
  const affinity = {
    ...(required ? { requiredDuringSchedulingIgnoredDuringExecution: readNodeSelector(required) } : {}),
    ...(preferred.length > 0 ? { preferredDuringSchedulingIgnoredDuringExecution: preferred } : {}),
  };
  fields.end();
  return affinity;
}

function readNodeSelector(fields: ConfigFields): NodeSelector {
  const selector = { nodeSelectorTerms: fields.objects("nodeSelectorTerms").map(readTerm) };
  fields.end();
  return selector;
}

function readTerm(fields: ConfigFields): NodeSelectorTerm {
  const read = (name: string): readonly NodeSelectorRequirement[] => fields.objects(name).map(readRequirement);
  const term = { matchExpressions: read("matchExpressions"), matchFields: read("matchFields") };
  fields.end();
  return term;
}

function readRequirement(fields: ConfigFields): NodeSelectorRequirement {
  const requirement = {
    key: fields.text("key") ?? "",
    // Checked by validation, which knows upstream's message.
    operator: (fields.text("operator") ?? "") as NodeSelectorRequirement["operator"],
    values: fields.texts("values"),
  };
  fields.end();
  return requirement;
}
