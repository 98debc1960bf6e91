// What a module given with --plugin exports: plugins for the scheduling framework, written by users. They stand in every
// profile behind the built-in ones, unless the profile disables them by name; what pluginConfig says to them reaches them as
// it is written.
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { InformerFactory } from "../../client/informer.ts";
import { type ExtensionPoint, extensionPoints, type KnownPlugin, knownPlugins } from "../configuration/plugin-names.ts";
import type { Plugin } from "../framework.ts";

export interface UserPluginContext {
  /** Of the profile that the plugin is made for. */
  readonly schedulerName: string;
  /** `args` of the profile's pluginConfig, as written; undefined without. To be checked by the plugin. */
  readonly args: unknown;
  readonly client: Client;
  /** Objects that the plugin looks up: ask while it is being made; they are there when the first pod is scheduled. */
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface UserPlugin {
  /** In profiles, events and explanations; none of a built-in plugin. */
  readonly name: string;
  /** Those that the plugin has functions for. PreScore is part of Score. */
  readonly extensionPoints: readonly ExtensionPoint[];
  /** Of its score. Default 1. */
  readonly weight?: number;
  /** Called once for each profile, and again when the module has changed. May throw for arguments that are wrong. */
  readonly create: (context: UserPluginContext) => Omit<Plugin, "name">;
}

/** A module that is no plugin, or one that does not keep what it declares. */
export class UserPluginError extends Error {
  override name = "UserPluginError";
}

/** What a module exports by default: one plugin or several. Throws UserPluginError. */
export function checkedPlugins(exported: unknown): readonly UserPlugin[] {
  if (exported === undefined) throw new UserPluginError("expected a default export with a plugin or an array of them");
  const plugins = (Array.isArray(exported) ? exported : [exported]).map(checkedPlugin);
  if (plugins.length === 0) throw new UserPluginError("expected at least one plugin, found an empty array");
  return plugins;
}

function checkedPlugin(value: unknown): UserPlugin {
  const given = (value ?? {}) as Partial<Record<keyof UserPlugin, unknown>>;
  const { name, extensionPoints: points, weight, create } = given;
  if (typeof name !== "string" || name === "") throw new UserPluginError("name: expected a string");
  const refuse = (field: string, expected: string): never => {
    throw new UserPluginError(`plugin ${name}: ${field}: expected ${expected}`);
  };
  if (knownPlugins[name]) refuse("name", "one that no built-in plugin has");
  if (!Array.isArray(points) || points.length === 0 || !points.every((point) => extensionPoints.includes(point)))
    refuse("extensionPoints", `some of ${extensionPoints.join(", ")}`);
  if (weight !== undefined && !(Number.isInteger(weight) && (weight as number) >= 1)) refuse("weight", "a whole number of at least 1");
  if (typeof create !== "function") refuse("create", "a function");
  return value as UserPlugin;
}

/** The plugin for one profile. Throws UserPluginError where it lacks what it declares, and what `create` throws. */
export function createUserPlugin(plugin: UserPlugin, context: UserPluginContext): Plugin {
  const made = plugin.create(context);
  const missing = plugin.extensionPoints.find(
    (point) => point !== "preScore" && typeof (made as Record<string, unknown>)?.[point] !== "function",
  );
  if (missing !== undefined) throw new UserPluginError(`plugin ${plugin.name}: create: expected an object with the function ${missing}`);
  return { ...made, name: plugin.name };
}

/** All plugins by name: upstream's and users'. Throws UserPluginError where two have one name. */
export function pluginRegistry(plugins: readonly UserPlugin[]): Readonly<Record<string, KnownPlugin>> {
  const registry: Record<string, KnownPlugin> = { ...knownPlugins };
  for (const { name, extensionPoints: points, weight } of plugins) {
    if (registry[name]) throw new UserPluginError(`plugin ${name}: given twice`);
    registry[name] = { points, ...(weight === undefined ? {} : { weight }) };
  }
  return registry;
}
