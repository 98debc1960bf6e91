// --runtime-config: which versions and resources of the built-in APIs are served. Pairs of a name and true or false: all
// versions ("api/all"), those of one stage ("api/ga", "api/beta", "api/alpha"), a version ("apps/v1", "v1" for the core
// group) or one resource of it ("apps/v1/deployments"). The more particular name wins; later versions have no say.
import { FlagError, type FlagType } from "../base/flags.ts";

export type RuntimeConfig = ReadonlyMap<string, string>;

/** What tells versions and resources apart. */
export interface ServedName {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

/** "a=true,b=false"; repeated flags add up, a name without a value is true. */
export const runtimeConfigFlag: FlagType<RuntimeConfig> = {
  placeholder: "mapStringString",
  parse(text, previous) {
    const pairs = text
      .split(",")
      .filter((pair) => pair !== "")
      .map((pair) => {
        const at = pair.indexOf("=");
        return at < 0 ? ([pair.trim(), ""] as const) : ([pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const);
      });
    return new Map([...(previous ?? []), ...pairs.map(([name, value]) => [canonical(name), value] as const)]);
  },
};

/** The core group has no name of its own. */
function canonical(name: string): string {
  return /^(api\/)?v1(\/|$)/.test(name) ? name.replace(/^(api\/)?v1/, "/v1") : name;
}

/** In the order in which they are applied: the last that matches a version counts. */
const stages: Readonly<Record<string, RegExp>> = {
  "api/all": /^/,
  "api/ga": /^v\d+$/,
  "api/beta": /^v\d+beta\d+$/,
  "api/alpha": /^v\d+alpha\d+$/,
};

/** Versions that clients of v1.36 still know, and no server has: asking for them is no mistake, and changes nothing. */
const retired: Readonly<Record<string, readonly string[]>> = {
  "admission.k8s.io": ["v1", "v1beta1"],
  "apidiscovery.k8s.io": ["v2", "v2beta1"],
  apps: ["v1beta1", "v1beta2"],
  "authentication.k8s.io": ["v1alpha1", "v1beta1"],
  "authorization.k8s.io": ["v1beta1"],
  batch: ["v1beta1"],
  "discovery.k8s.io": ["v1beta1"],
  "events.k8s.io": ["v1beta1"],
  extensions: ["v1beta1"],
  "flowcontrol.apiserver.k8s.io": ["v1beta1", "v1beta2", "v1beta3"],
  "imagepolicy.k8s.io": ["v1alpha1"],
  "node.k8s.io": ["v1alpha1", "v1beta1"],
  policy: ["v1beta1"],
  "rbac.authorization.k8s.io": ["v1alpha1", "v1beta1"],
  "scheduling.k8s.io": ["v1beta1"],
  "storage.k8s.io": ["v1alpha1"],
};

const isTrue = (value: string): boolean | undefined => {
  if (value === "" || /^(1|t|T|true|TRUE|True)$/.test(value)) return true;
  return /^(0|f|F|false|FALSE|False)$/.test(value) ? false : undefined;
};

export interface RuntimeConfigContext {
  /** Every resource that can be served. */
  readonly known: readonly ServedName[];
  /** --enable-priority-and-fairness: its objects have to be there. */
  readonly priorityAndFairness: boolean;
}

/** Throws FlagError for names that are not known and values that are neither true nor false, in upstream's words. */
export function checkRuntimeConfig(config: RuntimeConfig, context: RuntimeConfigContext): void {
  const problems = [...flowControlConflict(config, context), ...nameProblems(config, context.known)];
  const [only] = problems;
  if (only !== undefined) throw new FlagError(problems.length === 1 ? only : `[${problems.join(", ")}]`);
  for (const [name, value] of config) checkEntry(name, value, context.known);
}

function flowControlConflict(config: RuntimeConfig, { priorityAndFairness }: RuntimeConfigContext): string[] {
  if (!priorityAndFairness) return [];
  const deciding = ["flowcontrol.apiserver.k8s.io/v1", "api/ga", "api/all"].find((name) => /^(true|false)$/.test(config.get(name) ?? ""));
  if (deciding === undefined || config.get(deciding) === "true") return [];
  return [`--runtime-config=${deciding}=false conflicts with --enable-priority-and-fairness=true`];
}

function nameProblems(config: RuntimeConfig, known: readonly ServedName[]): string[] {
  if (config.size === 1 && config.get("api/all") === "false") return ["invalid runtime-config with only api/all=false"];
  const groups = new Set([...known.map(({ group }) => group), ...Object.keys(retired)]);
  const unknown: string[] = [];
  for (const name of config.keys()) {
    if (stages[name] || name === "api/legacy") continue;
    const parts = name.split("/");
    if (parts.length !== 2 && parts.length !== 3) return [`runtime-config invalid key ${name}`];
    const [group = "", version = ""] = parts;
    if (!groups.has(group)) unknown.push(`${group}/${version}`);
  }
  return unknown.length === 0 ? [] : [`unknown api groups ${[...new Set(unknown)].sort().join(",")}`];
}

function checkEntry(name: string, value: string, known: readonly ServedName[]): void {
  if (stages[name]) {
    if (value !== "true" && value !== "false") throw new FlagError(`invalid value ${name}=${value}`);
    return;
  }
  if (name === "api/legacy") return;
  const [group = "", version = "", resource] = name.split("/");
  const isKnown = known.some((served) => served.group === group && served.version === version) || retired[group]?.includes(version);
  if (!isKnown) throw new FlagError(`group version ${group === "" ? "" : `${group}/`}${version} that has not been registered`);
  if (isTrue(value) === undefined)
    throw new FlagError(`invalid value of ${name}: ${value}, err: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
  if (resource !== undefined && resource.toLowerCase() !== resource)
    throw new FlagError(
      `invalid key ${name}: group/version/resource and resource is always lowercase plural, not ${JSON.stringify(resource)}`,
    );
}

/** Whether a resource is served; `byDefault` is what happens where nothing is said of it. */
export function isServed(config: RuntimeConfig, { group, version, resource }: ServedName, byDefault: boolean): boolean {
  const particular = config.get(`${group}/${version}/${resource}`) ?? config.get(`${group}/${version}`);
  if (particular !== undefined) return isTrue(particular) ?? byDefault;
  let served = byDefault;
  for (const [name, pattern] of Object.entries(stages)) {
    const value = config.get(name);
    if (value !== undefined && pattern.test(version)) served = value === "true";
  }
  return served;
}
