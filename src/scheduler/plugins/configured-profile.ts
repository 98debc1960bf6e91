// A profile as a configuration orders it: at each extension point the plugins that are enabled there, in that order. A
// profile has one list of plugins, and each point is taken from it in turn; so a plugin is in the list once for every point
// that it serves, under the same name, with the functions of that point alone.

import { type ExtensionPoint, extensionPoints } from "../configuration/plugin-names.ts";
import type { PluginRegistry } from "../configuration/plugin-sets.ts";
import type { ProfileSettings } from "../configuration/scheduler-configuration.ts";
import { createExtenderPlugin } from "../extenders/extender-plugin.ts";
import type { Plugin, Profile } from "../framework.ts";
import { createUserPlugin, pluginRegistry, type UserPlugin } from "../user-plugins/user-plugin.ts";
import { createPlugins, type DefaultProfileDependencies } from "./defaults.ts";

/** `userPlugins`: those that the settings were read with. */
export function configuredProfile(
  deps: DefaultProfileDependencies,
  settings: ProfileSettings,
  userPlugins: readonly UserPlugin[] = [],
): Profile {
  const { schedulerName, percentageOfNodesToScore, plugins, args, otherArgs } = settings;
  const { extenders = [], logger } = deps;
  const running = new Set(Object.values(plugins.points).flat());
  const own = userPlugins
    .filter(({ name }) => running.has(name))
    .map((plugin) => createUserPlugin(plugin, { ...deps, schedulerName, args: otherArgs[plugin.name], logger: logger.named(plugin.name) }));
  const arranged = arrange([...createPlugins(deps, args), ...own], plugins.points, pluginRegistry(userPlugins));
  return {
    schedulerName,
    percentageOfNodesToScore,
    plugins: extenders.length > 0 ? [createExtenderPlugin({ extenders, logger }), ...arranged] : arranged,
    scoreWeights: plugins.scoreWeights,
  };
}

/** The functions of a plugin that run at a point. Upstream's PreScore is part of our Score. */
const functionsAt: Readonly<Record<ExtensionPoint, readonly (keyof Plugin)[]>> = {
  preEnqueue: ["preEnqueue"],
  queueSort: ["queueSort"],
  preFilter: ["preFilter"],
  filter: ["filter"],
  postFilter: ["postFilter"],
  preScore: [],
  score: ["score", "normalizeScore"],
  reserve: ["reserve", "unreserve"],
  permit: ["permit"],
  preBind: ["preBind"],
  bind: ["bind"],
  postBind: ["postBind"],
  placementGenerate: [],
  placementScore: [],
};

export function arrange(
  plugins: readonly Plugin[],
  points: Readonly<Record<ExtensionPoint, readonly string[]>>,
  registry: PluginRegistry,
): readonly Plugin[] {
  const byName = new Map(plugins.map((plugin) => [plugin.name, plugin]));
  const parts: Plugin[] = [];
  const begun = new Set<string>();
  for (const point of extensionPoints) {
    for (const name of points[point]) {
      const plugin = byName.get(name);
      if (!plugin) continue; // known by name alone
      const keys = begun.has(name) ? functionsAt[point] : [...functionsAt[point], ...alwaysOn(plugin, registry)];
      begun.add(name);
      const part = partOf(plugin, keys);
      if (part) parts.push(part);
    }
  }
  return parts;
}

/** What a plugin does at points that upstream's plugin of the name does not have: nobody can have disabled it there. */
function alwaysOn(plugin: Plugin, registry: PluginRegistry): readonly (keyof Plugin)[] {
  const listed = new Set((registry[plugin.name]?.points ?? []).flatMap((point) => functionsAt[point]));
  const all = new Set(extensionPoints.flatMap((point) => functionsAt[point]));
  return ["queueingHints", ...[...all].filter((key) => !listed.has(key))];
}

function partOf(plugin: Plugin, keys: readonly (keyof Plugin)[]): Plugin | undefined {
  const present = keys.filter((key) => plugin[key] !== undefined);
  if (present.length === 0) return undefined;
  const entries = present.map((key) => {
    const value = plugin[key];
    return [key, typeof value === "function" ? value.bind(plugin) : value];
  });
  return { name: plugin.name, ...Object.fromEntries(entries) };
}
