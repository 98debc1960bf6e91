// Which plugins run at which extension point, and in which order: what a profile enables and disables is merged into the
// default plugins, and what is enabled for multiPoint is spread over the points that a plugin has. Order, overrides and
// messages are upstream's: plugins named at a point that multiPoint also has come first, in the point's order; then the rest
// of multiPoint; then what only the point names.
import { ConfigError } from "../../api/encode/config-fields.ts";
import { type ExtensionPoint, extensionPoints, type KnownPlugin } from "./plugin-names.ts";

export interface EnabledPlugin {
  readonly name: string;
  /** Of the score; absent or 0 is 1. */
  readonly weight?: number;
}

export interface PluginSet {
  readonly enabled: readonly EnabledPlugin[];
  /** Names; "*" for all. */
  readonly disabled: readonly string[];
}

export type PluginSets = Readonly<Record<ExtensionPoint | "multiPoint", PluginSet>>;

/** The plugins of a profile, ready to be put together. */
export interface PluginOrder {
  readonly points: Readonly<Record<ExtensionPoint, readonly string[]>>;
  /** By plugin name, for those that score. */
  readonly scoreWeights: Readonly<Record<string, number>>;
}

/** All plugins there are, by name, in the order in which those of the default profile run. */
export type PluginRegistry = Readonly<Record<string, KnownPlugin>>;

const defaultPlugins = (registry: PluginRegistry): readonly EnabledPlugin[] =>
  Object.entries(registry).flatMap(([name, { weight, optional }]) =>
    optional ? [] : [{ name, ...(weight === undefined ? {} : { weight }) }],
  );

/** Upstream's bound on the sum of weighted scores. */
const maxTotalWeight = Math.floor(Number.MAX_SAFE_INTEGER / 100);

/** What the sets of a profile come to. Throws ConfigError, which names the profile. */
export function orderPlugins(sets: PluginSets, schedulerName: string, registry: PluginRegistry): PluginOrder {
  try {
    return order(sets, schedulerName, registry);
  } catch (error) {
    throw error instanceof ConfigError ? profileError(schedulerName, error.message) : error;
  }
}

/** What goes wrong while a profile is put together. */
export const profileError = (schedulerName: string, problem: string): ConfigError =>
  new ConfigError(`initializing profiles: creating profile for scheduler name ${schedulerName}: ${problem}`);

function order(sets: PluginSets, schedulerName: string, registry: PluginRegistry): PluginOrder {
  const multiPoint = withDefaultPlugins(sets.multiPoint, registry);
  const entries = extensionPoints.map((point) => [point, pluginsAt(point, sets[point], { multiPoint, registry })] as const);
  // Upstream finds it out at the first point that it looks at.
  const unknownPlugin = multiPoint.find(({ name }) => !registry[name]);
  if (unknownPlugin) throw new ConfigError(`PreFilterPlugin ${JSON.stringify(unknownPlugin.name)} does not exist`);
  // Every extension point has an entry.
  const points = Object.fromEntries(entries) as Record<ExtensionPoint, readonly string[]>;
  if (points.queueSort.length !== 1) {
    const found = `for profile with scheduler name ${JSON.stringify(schedulerName)}, but got ${points.queueSort.length}`;
    throw new ConfigError(`only one queue sort plugin required ${found}`);
  }
  if (points.bind.length === 0)
    throw new ConfigError(`at least one bind plugin is needed for profile with scheduler name ${JSON.stringify(schedulerName)}`);
  return { points, scoreWeights: weightsOf([...sets.score.enabled, ...multiPoint], registry) };
}

/** The default plugins with a profile's changes: re-configured ones keep their place, new ones come last. */
export function withDefaultPlugins({ enabled, disabled }: PluginSet, registry: PluginRegistry): readonly EnabledPlugin[] {
  const off = new Set(disabled);
  // Of two entries with one name the last takes the place; the first is one too many.
  const custom = new Map(enabled.map((plugin) => [plugin.name, plugin]));
  const kept = off.has("*") ? [] : defaultPlugins(registry).filter(({ name }) => !off.has(name));
  const inPlace = new Set(kept.map(({ name }) => name));
  const rest = enabled.filter((plugin) => !inPlace.has(plugin.name) || custom.get(plugin.name) !== plugin);
  return [...kept.map((plugin) => custom.get(plugin.name) ?? plugin), ...rest];
}

interface Available {
  readonly multiPoint: readonly EnabledPlugin[];
  readonly registry: PluginRegistry;
}

function pluginsAt(point: ExtensionPoint, { enabled, disabled }: PluginSet, { multiPoint, registry }: Available): readonly string[] {
  const kind = `${point.charAt(0).toUpperCase()}${point.slice(1)}Plugin`;
  const named = new Set<string>();
  for (const { name } of enabled) {
    const known = registry[name];
    if (!known) throw new ConfigError(`${kind} ${JSON.stringify(name)} does not exist`);
    if (!known.points.includes(point)) throw new ConfigError(`plugin ${JSON.stringify(name)} does not extend ${kind} plugin`);
    if (named.has(name)) throw new ConfigError(`plugin ${JSON.stringify(name)} already registered as ${JSON.stringify(kind)}`);
    named.add(name);
  }
  const off = new Set(disabled);
  if (off.has("*")) return [...named];
  const spread = new Set<string>();
  const overriding = new Set<string>();
  for (const { name } of multiPoint) {
    if (!registry[name]?.points.includes(point) || off.has(name)) continue;
    if (named.has(name)) overriding.add(name);
    else if (spread.has(name)) throw new ConfigError(`plugin ${JSON.stringify(name)} already registered as ${JSON.stringify(kind)}`);
    else spread.add(name);
  }
  const [first, last] = [[...named].filter((name) => overriding.has(name)), [...named].filter((name) => !overriding.has(name))];
  return [...first, ...spread, ...last];
}

/** A weight at the score point goes before multiPoint's. */
function weightsOf(plugins: readonly EnabledPlugin[], registry: PluginRegistry): Readonly<Record<string, number>> {
  const weights: Record<string, number> = {};
  let total = 0;
  for (const { name, weight } of plugins) {
    if (weights[name] !== undefined || !registry[name]?.points.includes("score")) continue;
    weights[name] = weight || 1;
    total += weights[name];
    if (total > maxTotalWeight || total < 0) throw new ConfigError("score plugins: total score of Score plugins could overflow");
  }
  return weights;
}
