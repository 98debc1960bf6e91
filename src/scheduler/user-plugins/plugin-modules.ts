// Modules with users' plugins: loaded at the start, and again when a file has changed. A module that has become wrong is logged,
// and the plugins of before stay in use.
import type { Clock } from "../../base/clock.ts";
import type { FollowedFile } from "../../base/followed-files.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { followUserModules, loadUserModules, UserModuleError } from "../../base/user-modules.ts";
import { checkedPlugins, type UserPlugin, UserPluginError } from "./user-plugin.ts";

export interface PluginModules {
  readonly plugins: readonly UserPlugin[];
  /** Every file that went into them. */
  readonly files: readonly FollowedFile[];
}

/** Throws UserPluginError that names the file. */
export async function loadPluginModules(paths: readonly string[]): Promise<PluginModules> {
  try {
    const { exported, files } = await loadUserModules(paths, checkedPlugins);
    return { plugins: exported, files };
  } catch (error) {
    throw error instanceof UserModuleError ? new UserPluginError(error.message, { cause: error.cause }) : error;
  }
}

export interface PluginFollower {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes over the plugins; what it throws is logged, and the ones of before stay in use. */
  readonly changed: (plugins: readonly UserPlugin[]) => Promise<void>;
}

/** Loads the modules again whenever one of their files changes, until it is stopped. */
export function followPluginModules(paths: readonly string[], first: PluginModules, follower: PluginFollower): Running {
  const { clock, logger } = follower;
  return followUserModules(
    paths,
    { exported: first.plugins, files: first.files },
    {
      clock,
      check: checkedPlugins,
      async changed(plugins) {
        await follower.changed(plugins);
        logger.info("Plugins loaded again", { plugins: plugins.map(({ name }) => name).join(",") });
      },
      failed: (error) => logger.error("The plugins stay as they were", { error: errorText(error) }),
    },
  );
}
