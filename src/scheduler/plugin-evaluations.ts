// How often the plugins of a profile have been asked, by extension point: scheduler_plugin_evaluation_total. Counted by plain
// additions, at the plugin's place in the profile; read when somebody asks for figures.
import type { Plugin, Profile } from "./framework.ts";

type CountedPoint = "PreFilter" | "Filter" | "PreScore" | "Score";

/** Upstream's have no PreFilter, or no PreScore: what ours work out once per cycle is not told of. */
const withoutPreFilter: ReadonlySet<string> = new Set(["NodeName", "NodeUnschedulable", "TaintToleration"]);
const withoutPreScore: ReadonlySet<string> = new Set(["DynamicResources", "ImageLocality"]);

export class PluginEvaluations {
  readonly #plugins: readonly Plugin[];
  readonly #counts: Readonly<Record<CountedPoint, Float64Array>>;

  constructor({ plugins }: Pick<Profile, "plugins">) {
    this.#plugins = plugins;
    const zeros = (): Float64Array => new Float64Array(plugins.length);
    this.#counts = { PreFilter: zeros(), Filter: zeros(), PreScore: zeros(), Score: zeros() };
  }

  /** `at`: the plugin's place among those of the profile. */
  count(point: CountedPoint, at: number, times = 1): void {
    const counts = this.#counts[point];
    counts[at] = (counts[at] ?? 0) + times;
  }

  /** What has been counted since the last call, also of plugins that were not asked. */
  take(tell: (point: CountedPoint, plugin: string, times: number) => void): void {
    for (const [at, plugin] of this.#plugins.entries()) {
      for (const point of pointsOf(plugin)) {
        const counts = this.#counts[point];
        tell(point, plugin.name, counts[at] ?? 0);
        counts[at] = 0;
      }
    }
  }
}

function pointsOf({ name, preFilter, filter, score }: Plugin): readonly CountedPoint[] {
  const points: CountedPoint[] = [];
  if (preFilter || (filter && !withoutPreFilter.has(name))) points.push("PreFilter");
  if (filter) points.push("Filter");
  if (score && !withoutPreScore.has(name)) points.push("PreScore");
  if (score) points.push("Score");
  return points;
}
