// What a scheduler is to work by: the configuration in a file, and users' plugins in modules, which the configuration may name.
// Problems are one line with the flag and the file.
import { readFile } from "node:fs/promises";
import { ConfigError } from "../../api/encode/config-fields.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { readSchedulerConfiguration, type SchedulerConfiguration } from "../../scheduler/configuration/scheduler-configuration.ts";
import type { PluginModules } from "../../scheduler/user-plugins/plugin-modules.ts";
import { pluginRegistry, type UserPlugin, UserPluginError } from "../../scheduler/user-plugins/user-plugin.ts";
import { CommandError } from "../command-error.ts";

export interface SchedulerFiles {
  /** The flag that names the configuration, and its value. */
  readonly flagName: string;
  readonly config: string | undefined;
  readonly pluginFlag: string;
  readonly plugins: readonly string[];
}

export interface SchedulerSetup {
  readonly configuration: SchedulerConfiguration;
  readonly userPlugins: readonly UserPlugin[];
}

export interface SchedulerInput extends SchedulerSetup {
  readonly modules: PluginModules | undefined;
}

/** The defaults where there are no files. Throws CommandError. */
export async function readSchedulerSetup(files: SchedulerFiles): Promise<SchedulerInput> {
  const modules = files.plugins.length === 0 ? undefined : await loadModules(files);
  const userPlugins = modules?.plugins ?? [];
  return { configuration: await readConfiguration(files, userPlugins), userPlugins, modules };
}

async function loadModules({ pluginFlag, plugins }: SchedulerFiles): Promise<PluginModules> {
  const { loadPluginModules } = await import("../../scheduler/user-plugins/plugin-modules.ts");
  try {
    const modules = await loadPluginModules(plugins);
    pluginRegistry(modules.plugins);
    return modules;
  } catch (error) {
    if (error instanceof UserPluginError) throw new CommandError(`--${pluginFlag} ${error.message}`, { cause: error.cause });
    throw error;
  }
}

async function readConfiguration(
  { flagName, config: file }: SchedulerFiles,
  userPlugins: readonly UserPlugin[],
): Promise<SchedulerConfiguration> {
  let text = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
  try {
    if (file !== undefined) text = await readFile(file, "utf8");
  } catch (cause) {
    throw new CommandError(`--${flagName}: ${file} cannot be read`, { cause });
  }
  try {
    const configuration = await readSchedulerConfiguration(text, pluginRegistry(userPlugins));
    await checkExtenders(configuration.extenders);
    return configuration;
  } catch (error) {
    if (error instanceof ConfigError) throw new CommandError(`--${flagName} ${file}: ${error.message}`);
    throw error;
  }
}

/** Before anything is started: certificates of extenders. Throws ConfigError. */
async function checkExtenders(extenders: SchedulerConfiguration["extenders"]): Promise<void> {
  const secured = extenders.filter(({ tls }) => tls !== undefined);
  if (secured.length === 0) return;
  const { checkTls } = await import("../../scheduler/extenders/post-json.ts");
  try {
    for (const extender of secured) checkTls(extender);
  } catch (error) {
    throw new ConfigError(`couldn't build extenders: ${errorText(error)}`);
  }
}

export interface SetupFollower {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What it throws is logged, and the plugins of before stay in use. */
  readonly changed: (setup: SchedulerSetup) => Promise<void>;
}

/** Says when the plugins' modules have changed; the configuration is read again with them. */
export async function followSchedulerPlugins(files: SchedulerFiles, modules: PluginModules, follower: SetupFollower): Promise<Running> {
  const { followPluginModules } = await import("../../scheduler/user-plugins/plugin-modules.ts");
  const { clock, logger } = follower;
  return followPluginModules(files.plugins, modules, {
    clock,
    logger,
    async changed(userPlugins) {
      await follower.changed({ userPlugins, configuration: await readConfiguration(files, userPlugins) });
    },
  });
}
