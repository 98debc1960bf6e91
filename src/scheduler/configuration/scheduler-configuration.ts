// KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): the file behind `--config`. Fields that are not known are
// refused, the rest has upstream's defaults and is checked by upstream's rules; a problem names its path.
import { ConfigError, ConfigFields, readConfigValue } from "../../api/encode/config-fields.ts";
import { duplicate, FieldError, invalidValue, required } from "../../api/meta/field-error.ts";
import { type ExtenderSettings, readExtender, validateExtenders } from "./extender-settings.ts";
import {
  configurationVersion,
  defaultPluginArgs,
  type PluginArgs,
  type PluginWithArgs,
  readPluginArgs,
  takesArgs,
  unregistered,
} from "./plugin-args.ts";
import { extensionPoints, knownPlugins, removedPlugins } from "./plugin-names.ts";
import {
  orderPlugins,
  type PluginOrder,
  type PluginRegistry,
  type PluginSet,
  type PluginSets,
  profileError,
  withDefaultPlugins,
} from "./plugin-sets.ts";
import { validatePluginArgs } from "./validate-plugin-args.ts";

export interface ProfileSettings {
  readonly schedulerName: string;
  readonly percentageOfNodesToScore: number;
  readonly plugins: PluginOrder;
  /** What `plugins` was made of, the default plugins among multiPoint's. */
  readonly sets: PluginSets;
  readonly args: PluginArgs;
  /** What pluginConfig says to plugins that are not built in, by name, as written. */
  readonly otherArgs: Readonly<Record<string, unknown>>;
}

export interface LeaderElectionSettings {
  readonly leaderElect: boolean;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly resourceLock: string;
  readonly resourceName: string;
  readonly resourceNamespace: string;
}

export interface SchedulerConfiguration {
  readonly profiles: readonly ProfileSettings[];
  readonly extenders: readonly ExtenderSettings[];
  readonly leaderElection: LeaderElectionSettings;
  readonly clientConnection: { readonly kubeconfig?: string; readonly qps: number; readonly burst: number };
  /** Upstream's threads; decisions are made one after the other here. */
  readonly parallelism: number;
  readonly podInitialBackoffSeconds: number;
  readonly podMaxBackoffSeconds: number;
}

/** Throws ConfigError with everything that is wrong, or with the first field that cannot be read. */
export async function readSchedulerConfiguration(text: string, registry: PluginRegistry = knownPlugins): Promise<SchedulerConfiguration> {
  const value = await readConfigValue(text, "of kind KubeSchedulerConfiguration");
  const unknown: string[] = [];
  const root = new ConfigFields(value, "", (path) => unknown.push(path));
  checkKind(root, text);
  return decodeSchedulerConfiguration(root, { registry, unknown });
}

/** In upstream's words. */
function checkKind(root: ConfigFields, text: string): void {
  const [kind = "", version = ""] = [root.text("kind"), root.text("apiVersion")];
  if (kind === "") throw new ConfigError(`Object 'Kind' is missing in '${text}'`);
  if (version === "") throw new ConfigError(`Object 'apiVersion' is missing in '${text}'`);
  if (kind !== "KubeSchedulerConfiguration" || version !== configurationVersion) throw new ConfigError(unregistered(kind, version));
}

interface Decoding {
  readonly registry: PluginRegistry;
  /** Paths of the fields that nobody has asked for so far. */
  readonly unknown: readonly string[];
}

/** Unknown fields go before bad values; those of arguments are told as part of decoding these. */
function checkUnknown(unknown: readonly string[]): void {
  if (unknown.length === 0) return;
  const problems = unknown.map((path) => {
    const [, profile, args, plugin, field] = /^profiles\[(\d+)\]\.pluginConfig\[(\d+)\]\.args:(\w+)\.(.*)$/.exec(path) ?? [];
    if (field === undefined) return `unknown field ${JSON.stringify(path)}`;
    const decoding = `strict decoding error: decoding args for plugin ${plugin}: strict decoding error: unknown field ${JSON.stringify(field)}`;
    return `decoding .profiles[${profile}].pluginConfig[${args}]: ${decoding}`;
  });
  throw new ConfigError(`strict decoding error: ${problems.join(", ")}`);
}

function decodeSchedulerConfiguration(root: ConfigFields, { registry, unknown }: Decoding): SchedulerConfiguration {
  const errors: FieldError[] = [];
  const ofProfiles: FieldError[] = [];
  const percentage = root.int32("percentageOfNodesToScore");
  const clientConnection = readConnection(errors, root.object("clientConnection"));
  const leaderElection = readElection(errors, root.object("leaderElection"));
  const extenders = root.objects("extenders").map(readExtender);
  const given = root.objects("profiles");
  const profiles = given.map((fields) => readProfile(ofProfiles, fields, { percentage: percentage ?? 0, alone: given.length === 1 }));
  const configuration = {
    extenders,
    leaderElection,
    clientConnection,
    parallelism: root.int32("parallelism") ?? 16,
    podInitialBackoffSeconds: root.integer("podInitialBackoffSeconds") ?? 1,
    podMaxBackoffSeconds: root.integer("podMaxBackoffSeconds") ?? 10,
  };
  root.boolean("delayCacheUntilActive");
  root.boolean("enableProfiling");
  root.boolean("enableContentionProfiling");
  root.end();
  checkUnknown(unknown);
  const { parallelism } = configuration;
  if (parallelism <= 0) errors.push(invalidValue("parallelism", parallelism, "should be an integer value greater than zero"));
  errors.push(...ofProfiles);
  checkProfiles(errors, profiles);
  checkPercentage(errors, "percentageOfNodesToScore", percentage);
  checkBackoff(errors, configuration);
  validateExtenders(errors, "extenders", extenders);
  if (errors.length > 0) throw aggregate(errors);
  if (profiles.length === 0) profiles.push(defaultProfileRead(percentage ?? 0));
  return { ...configuration, profiles: profiles.map((profile) => settle(profile, extenders, registry)) };
}

function aggregate(errors: readonly FieldError[]): ConfigError {
  const messages = errors.map((error) => error.message);
  return new ConfigError(messages.length === 1 ? (messages[0] ?? "") : `[${messages.join(", ")}]`);
}

type ProfileRead = Omit<ProfileSettings, "plugins">;

/** Resources that an extender counts in the scheduler's stead are not looked at by NodeResourcesFit. */
function settle(
  { sets, args, ...profile }: ProfileRead,
  extenders: readonly ExtenderSettings[],
  registry: PluginRegistry,
): ProfileSettings {
  const managed = extenders.flatMap((e) => e.managedResources.filter((r) => r.ignoredByScheduler).map((r) => r.name));
  const fit = args.NodeResourcesFit;
  const withManaged = managed.length > 0 ? { ...fit, ignoredResources: [...fit.ignoredResources, ...managed] } : fit;
  const plugins = orderPlugins(sets, profile.schedulerName, registry);
  checkFit(profile.schedulerName, fit, plugins);
  const merged = { ...sets, multiPoint: { ...sets.multiPoint, enabled: withDefaultPlugins(sets.multiPoint, registry) } };
  return { ...profile, args: { ...args, NodeResourcesFit: withManaged }, plugins, sets: merged };
}

function checkFit(schedulerName: string, args: PluginArgs["NodeResourcesFit"], { points }: PluginOrder): void {
  const plugin = "NodeResourcesFit";
  if (!Object.values(points).some((names) => names.includes(plugin))) return;
  const errors: FieldError[] = [];
  validatePluginArgs(errors, "", { plugin, args });
  const problems = errors.map((error) => new FieldError(error.type, error.field.replace(/^\./, ""), error.value, error.detail));
  if (problems.length > 0)
    throw profileError(schedulerName, `initializing plugin ${JSON.stringify(plugin)}: ${aggregate(problems).message}`);
}

function defaultProfileRead(percentageOfNodesToScore: number): ProfileRead {
  return {
    schedulerName: "default-scheduler",
    percentageOfNodesToScore,
    args: defaultPluginArgs(),
    otherArgs: {},
    sets: readSets(undefined),
  };
}

/** What runs where nothing is configured. */
export function defaultProfileSettings(): ProfileSettings {
  return settle(defaultProfileRead(0), [], knownPlugins);
}

function readProfile(
  errors: FieldError[],
  fields: ConfigFields,
  { percentage, alone }: { readonly percentage: number; readonly alone: boolean },
): ProfileRead {
  const { path } = fields;
  const schedulerName = fields.text("schedulerName") ?? (alone ? "default-scheduler" : "");
  if (schedulerName === "") errors.push(required(`${path}.schedulerName`));
  const own = fields.int32("percentageOfNodesToScore");
  checkPercentage(errors, `${path}.percentageOfNodesToScore`, own);
  const sets = readSets(fields.object("plugins"));
  for (const point of extensionPoints) {
    for (const [i, { name }] of sets[point].enabled.entries())
      if (removedPlugins.has(name)) errors.push(removed(`${path}.plugins.${point}.enabled[${i}]`, name));
  }
  const { args, otherArgs } = readArgs(errors, fields);
  fields.end();
  return { schedulerName, percentageOfNodesToScore: own ?? percentage, sets, args, otherArgs };
}

const removed = (path: string, name: string): FieldError =>
  invalidValue(path, name, `was invalid in version "v1" (KubeSchedulerConfiguration is version "${configurationVersion}")`);

function readArgs(errors: FieldError[], profile: ConfigFields): Pick<ProfileSettings, "args" | "otherArgs"> {
  const args: PluginArgs & Record<string, unknown> = { ...defaultPluginArgs() };
  const otherArgs: Record<string, unknown> = {};
  const seen = new Set<string>();
  for (const entry of profile.objects("pluginConfig")) {
    const name = entry.text("name") ?? "";
    if (seen.has(name)) errors.push(duplicate(entry.path, name));
    seen.add(name);
    if (removedPlugins.has(name)) errors.push(removed(entry.path, name));
    // Arguments of other plugins are for those to judge.
    if (!takesArgs(name)) otherArgs[name] = entry.value("args");
    else {
      const read = readGivenArgs(name, entry);
      if (read && name !== checkedLate) validatePluginArgs(errors, `${entry.path}.args`, { plugin: name, args: read });
      if (read) Object.assign(args, { [name]: read });
    }
    entry.end();
  }
  return { args, otherArgs };
}

/** What is wrong with its arguments shows when the profile is put together, as upstream. */
const checkedLate: string = "NodeResourcesFit";

/** Those of a plugin that are given. Problems name the entry, as upstream's. */
function readGivenArgs<Name extends PluginWithArgs>(name: Name, entry: ConfigFields): PluginArgs[Name] | undefined {
  const given = entry.value("args");
  if (given === undefined) return undefined;
  try {
    return readPluginArgs(
      name,
      new ConfigFields(given, `${entry.path}.args`, (path) => entry.unknown(path.replace(/\.args/, `.args:${name}`))),
    );
  } catch (error) {
    throw error instanceof ConfigError ? new ConfigError(`decoding .${entry.path}: ${error.message}`) : error;
  }
}

const nothingSet: PluginSet = { enabled: [], disabled: [] };

function readSets(fields: ConfigFields | undefined): PluginSets {
  const names = [...extensionPoints, "multiPoint"] as const;
  const entries = names.map((name) => {
    const set = fields?.object(name);
    return [name, set ? readSet(set) : nothingSet] as const;
  });
  fields?.end();
  return Object.fromEntries(entries) as unknown as PluginSets; // an entry for each of its names
}

function readSet(fields: ConfigFields): PluginSet {
  const read = (list: string) =>
    fields.objects(list).map((entry) => {
      const weight = entry.int32("weight");
      const plugin = { name: entry.text("name") ?? "", ...(weight === undefined ? {} : { weight }) };
      entry.end();
      return plugin;
    });
  const set = { enabled: read("enabled"), disabled: read("disabled").map(({ name }) => name) };
  fields.end();
  return set;
}

function readConnection(errors: FieldError[], fields: ConfigFields | undefined): SchedulerConfiguration["clientConnection"] {
  const kubeconfig = fields?.text("kubeconfig");
  fields?.text("acceptContentTypes");
  fields?.text("contentType");
  const connection = {
    ...(kubeconfig ? { kubeconfig } : {}),
    qps: fields?.number("qps") || 50,
    burst: fields?.integer("burst") || 100,
  };
  fields?.end();
  if (connection.burst < 0) errors.push(invalidValue("clientConnection.burst", connection.burst, "must be non-negative"));
  return connection;
}

function readElection(errors: FieldError[], fields: ConfigFields | undefined): LeaderElectionSettings {
  const election = {
    leaderElect: fields?.boolean("leaderElect") ?? true,
    leaseDurationMs: fields?.durationMs("leaseDuration") || 15_000,
    renewDeadlineMs: fields?.durationMs("renewDeadline") || 10_000,
    retryPeriodMs: fields?.durationMs("retryPeriod") || 2_000,
    resourceLock: fields?.text("resourceLock") || "leases",
    resourceName: fields?.text("resourceName") || "kube-scheduler",
    resourceNamespace: fields?.text("resourceNamespace") || "kube-system",
  };
  fields?.end();
  if (!election.leaderElect) return election;
  for (const name of ["leaseDuration", "renewDeadline", "retryPeriod"] as const) {
    const ms = election[`${name}Ms`];
    if (ms <= 0) errors.push(invalidValue(`leaderElection.${name}`, `${ms / 1000}s`, "must be greater than zero"));
  }
  if (election.leaseDurationMs <= election.renewDeadlineMs)
    errors.push(
      invalidValue("leaderElection.leaseDuration", `${election.renewDeadlineMs / 1000}s`, "must be greater than `RenewDeadline`"),
    );
  if (election.resourceLock !== "leases")
    errors.push(invalidValue("leaderElection.resourceLock", election.resourceLock, 'resourceLock value must be "leases"'));
  return election;
}

function checkPercentage(errors: FieldError[], path: string, value: number | undefined): void {
  if (value !== undefined && (value < 0 || value > 100)) errors.push(invalidValue(path, value, "not in valid range [0-100]"));
}

type Backoff = Pick<SchedulerConfiguration, "podInitialBackoffSeconds" | "podMaxBackoffSeconds">;

function checkBackoff(errors: FieldError[], { podInitialBackoffSeconds: initial, podMaxBackoffSeconds: max }: Backoff): void {
  if (initial <= 0) errors.push(invalidValue("podInitialBackoffSeconds", initial, "must be greater than 0"));
  if (max < initial) errors.push(invalidValue("podMaxBackoffSeconds", max, "must be greater than or equal to PodInitialBackoffSeconds"));
}

/** A set as Go prints its structure. */
function printedSet({ enabled, disabled }: PluginSet): unknown {
  const printed = (Name: string, Weight = 0) => ({ Name, Weight });
  return { Enabled: enabled.map(({ name, weight }) => printed(name, weight)), Disabled: disabled.map((name) => printed(name)) };
}

/** Names are unique, and all profiles sort the queue alike: there is one. */
function checkProfiles(errors: FieldError[], profiles: readonly ProfileRead[]): void {
  const [first] = profiles;
  if (!first) return;
  for (const [i, { schedulerName, sets }] of profiles.entries()) {
    const before = profiles.findIndex((other) => other.schedulerName === schedulerName);
    // Upstream gives the path of the first as the value, which prints as nothing.
    if (before < i) errors.push(duplicate(`profiles[${i}].schedulerName`, {}));
    const shown = (set: PluginSet): string => JSON.stringify(set);
    if (shown(sets.queueSort) !== shown(first.sets.queueSort))
      errors.push(invalidValue(`profiles[${i}].plugins.queueSort`, printedSet(sets.queueSort), "must be the same for all profiles"));
  }
  const { enabled } = first.sets.queueSort;
  if (enabled.length > 1)
    errors.push(invalidValue("profiles[0].plugins.queueSort.Enabled", enabled.length, "only one queue sort plugin can be enabled"));
}
