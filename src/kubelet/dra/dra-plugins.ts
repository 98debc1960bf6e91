// The drivers that have registered, by name. There may be several instances of one, as while it is being replaced: the newest
// that can be reached is used.
import type { Running } from "../../base/lifecycle.ts";
import type { PluginHandler } from "../devices/plugin-watcher.ts";
import { chosenService, DraPlugin, type DraPluginDependencies } from "./dra-plugin.ts";
import type { SliceRemoval } from "./slice-removal.ts";

export type DraPluginsDependencies = Omit<DraPluginDependencies, "onConnection"> & {
  readonly slices: Pick<SliceRemoval, "driverIs">;
};

export class DraPlugins implements Running {
  readonly #deps: DraPluginsDependencies;
  /** In the order in which they came. */
  readonly #plugins = new Map<string, readonly DraPlugin[]>();

  constructor(deps: DraPluginsDependencies) {
    this.#deps = deps;
  }

  async stop(): Promise<void> {
    for (const plugin of [...this.#plugins.values()].flat()) plugin.stop();
  }

  /** Throws when no instance of the driver has registered. */
  get(driver: string): DraPlugin {
    const plugins = this.#plugins.get(driver) ?? [];
    const plugin = plugins.findLast(({ isConnected }) => isConnected) ?? plugins.at(-1);
    if (!plugin) throw new Error(`DRA driver ${driver} is not registered`);
    return plugin;
  }

  get handler(): PluginHandler {
    return {
      validate: (name, endpoint, versions) => void chosenService(name, endpoint, versions),
      register: (name, endpoint, versions) => this.#add(name, endpoint, versions),
      deregister: (name, endpoint) => this.#remove(name, endpoint),
    };
  }

  async #add(driver: string, endpoint: string, versions: readonly string[]): Promise<void> {
    const known = this.#plugins.get(driver) ?? [];
    if (known.some((each) => each.endpoint === endpoint))
      throw new Error(`endpoint ${endpoint} already registered for DRA driver plugin ${driver}`);
    const service = chosenService(driver, endpoint, versions);
    const plugin = new DraPlugin({ ...this.#deps, onConnection: () => this.#changed(driver) }, { driver, endpoint, service });
    this.#plugins.set(driver, [...known, plugin]);
    this.#changed(driver);
    await plugin.start();
  }

  #remove(driver: string, endpoint: string): void {
    const known = this.#plugins.get(driver) ?? [];
    const left = known.filter((each) => each.endpoint !== endpoint);
    if (left.length > 0) this.#plugins.set(driver, left);
    else this.#plugins.delete(driver);
    for (const each of known) if (!left.includes(each)) each.stop();
    this.#changed(driver);
  }

  #changed(driver: string): void {
    const isUsable = this.#plugins.get(driver)?.some(({ isConnected }) => isConnected) ?? false;
    this.#deps.slices.driverIs(driver, isUsable);
  }
}
