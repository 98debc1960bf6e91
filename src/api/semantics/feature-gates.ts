// Which of v1.36's feature gates a component is to have on. All components take all names, as upstream's do: one list of gates
// is given to all of them, and each looks at its own. Locked gates cannot be turned; neither can those whose other state this
// component does not have: it says so instead of doing something else than it was told.
import { boolean, type FlagType } from "../../base/flags.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { ConfigError } from "../encode/config-fields.ts";
import { gatesDeprecated, gatesLockedOn, gatesOff, gatesOn } from "./feature-gate-table.ts";

export type GatedComponent = "apiserver" | "controllers" | "kubelet" | "proxy" | "scheduler";

interface Gate {
  readonly default: boolean;
  readonly locked: boolean;
  readonly level: "alpha" | "beta" | "stable";
  readonly components: ReadonlySet<GatedComponent>;
}

const letters: Readonly<Record<string, GatedComponent>> = { a: "apiserver", c: "controllers", k: "kubelet", p: "proxy", s: "scheduler" };

function gatesIn(list: string, state: { readonly default: boolean; readonly locked: boolean }): readonly (readonly [string, Gate])[] {
  return list
    .split(/\s+/)
    .filter((entry) => entry !== "")
    .map((entry) => {
      const [name = "", marks = ""] = entry.split(":");
      const level = marks.startsWith("1") ? "alpha" : marks.startsWith("2") ? "beta" : "stable";
      const components = [...marks].map((mark) => letters[mark]).filter((component) => component !== undefined);
      return [name, { ...state, level, components: new Set(components) }] as const;
    });
}

const gates: ReadonlyMap<string, Gate> = new Map([
  ...gatesIn(gatesOn, { default: true, locked: false }),
  ...gatesIn(gatesLockedOn, { default: true, locked: true }),
  ...gatesIn(gatesOff, { default: false, locked: false }),
]);

/** Each turns all gates of its level that are not given by name. */
const levels: Readonly<Record<string, Gate["level"]>> = { AllAlpha: "alpha", AllBeta: "beta" };

export type GateValues = Readonly<Record<string, boolean>>;

export interface FeatureGates {
  enabled(name: string): boolean;
  /** Those that were turned to something else than their default, and are looked at by this component. */
  readonly turned: readonly string[];
}

export interface GateSupport {
  readonly component: GatedComponent;
  /** Those that really can be turned. */
  readonly switchable: ReadonlySet<string>;
}

/** No component's log has anything that these could turn: they can be, everywhere. */
const ofTheLog = new Set(["ContextualLogging", "LoggingAlphaOptions", "LoggingBetaOptions"]);

/** Throws ConfigError for a name that is not known, a locked gate, and one that cannot be turned here. */
export function resolveFeatureGates(given: GateValues, support: GateSupport): FeatureGates {
  for (const [name, value] of Object.entries(given)) {
    const gate = gates.get(name);
    if (!gate && !levels[name]) throw new ConfigError(`unrecognized feature gate: ${name}`);
    if (gate?.locked && gate.default !== value)
      throw new ConfigError(`cannot set feature gate ${name} to ${value}, feature is locked to ${gate.default}`);
  }
  const turned = new Map<string, boolean>();
  for (const [name, gate] of gates) {
    const value = given[name] ?? ofLevel(gate, given);
    if (value !== undefined && value !== gate.default && !gate.locked && gate.components.has(support.component)) turned.set(name, value);
  }
  const stuck = [...turned]
    .filter(([name]) => !support.switchable.has(name) && !ofTheLog.has(name))
    .map(([name, value]) => `${name}=${value}`);
  if (stuck.length > 0)
    throw new ConfigError(`cannot set feature gate ${stuck.join(", ")}: not supported by coracle's ${titles[support.component]}`);
  return {
    enabled: (name) => turned.get(name) ?? gates.get(name)?.default ?? false,
    turned: [...turned.keys()],
  };
}

const stages = { alpha: "ALPHA", beta: "BETA", stable: "" } as const;
const deprecated = new Set(gatesDeprecated.split(/\s+/));

/** kubernetes_feature_enabled: what every gate of v1.36 is to this component. Made when it is first asked for. */
export function registerFeatureMetrics(metrics: MetricsRegistry, state: FeatureGates): void {
  const help = "[BETA] This metric records the data about the stage and enablement of a k8s feature.";
  const family = metrics.gauge("kubernetes_feature_enabled", help, ["name", "stage"]);
  let made = false;
  metrics.beforeScrape(() => {
    if (made) return;
    made = true;
    for (const [name, level] of Object.entries(levels)) family.series(name, stages[level]).set(0);
    for (const [name, gate] of gates)
      family.series(name, deprecated.has(name) ? "DEPRECATED" : stages[gate.level]).set(state.enabled(name) ? 1 : 0);
  });
}

const titles: Readonly<Record<GatedComponent, string>> = {
  apiserver: "API server",
  controllers: "controller manager",
  kubelet: "kubelet",
  proxy: "service proxy",
  scheduler: "scheduler",
};

function ofLevel(gate: Gate, given: GateValues): boolean | undefined {
  const [name] = Object.entries(levels).find(([, level]) => level === gate.level) ?? [];
  return name === undefined ? undefined : given[name];
}

/**
 * --feature-gates of a component whose gates cannot be turned, or only these: "A=true,B=false", repeatable. Where upstream's
 * can be told of several components, names may begin with "kube:".
 */
export function featureGatesFlag(support: GateSupport): FlagType<GateValues> {
  return {
    placeholder: "mapStringBool",
    parse(text, previous = {}) {
      const values = Object.fromEntries(
        text
          .split(",")
          .filter((pair) => pair.trim() !== "")
          .map((pair) => parsePair(ownPair(pair.trim(), support.component))),
      );
      const all = { ...previous, ...values };
      resolveFeatureGates(all, support);
      return all;
    },
  };
}

const withComponents: ReadonlySet<GatedComponent> = new Set(["apiserver", "controllers", "scheduler"]);

function ownPair(pair: string, component: GatedComponent): string {
  const [, name, rest = ""] = /^([^:=]*):(.*)$/.exec(pair) ?? [];
  if (name === undefined || !withComponents.has(component)) return pair;
  // Nothing before the colon is the component's own name, too.
  if (name !== "kube" && name !== "") throw new Error(`component not registered: ${name}`);
  return rest;
}

function parsePair(pair: string): readonly [string, boolean] {
  const at = pair.indexOf("=");
  if (at < 0) throw new Error(`missing bool value for ${pair}`);
  const [name, value] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
  try {
    return [name, boolean.parse(value, undefined)];
  } catch {
    throw new Error(`invalid value of ${name}=${value}, err: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
  }
}
