// Our cluster within a kubeconfig that holds more: entries of its names are replaced, all others stay. Where the usual name is
// somebody else's cluster, ours has one of its own.
import { parse, stringify } from "yaml";
import { type KubeconfigOptions, kubeconfigText } from "./kubeconfig.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Our names where somebody else's cluster has the usual one. */
const otherNames = { cluster: "coracle", user: "coracle-admin" };

/** Throws an error where `found` is something else than a kubeconfig. */
export function mergedKubeconfig(found: string, options: KubeconfigOptions): string {
  const before: unknown = parse(found);
  if (!isFields(before) || before.kind !== "Config")
    throw new Error("there is something else in the file; expected a kubeconfig, or no file");
  const authority = Buffer.from(options.authority).toString("base64");
  const isOurs = ({ cluster }: Fields): boolean =>
    isFields(cluster) && (cluster.server === options.server || cluster["certificate-authority-data"] === authority);
  const named = entriesOf(before.clusters).find(({ name }) => name === (options.cluster ?? "kubernetes"));
  const own: Fields = parse(kubeconfigText(named && !isOurs(named) ? { ...options, ...otherNames } : options));
  const lists = ["clusters", "users", "contexts"].map((list) => [list, withEntries(entriesOf(before[list]), entriesOf(own[list]))]);
  return stringify({ ...before, ...Object.fromEntries(lists), "current-context": own["current-context"] });
}

/** Replaces entries by their names. A context keeps what was set in it. */
function withEntries(before: readonly Fields[], own: readonly Fields[]): readonly Fields[] {
  const replaced = before.map((entry) => {
    const mine = own.find(({ name }) => name === entry.name);
    if (!mine) return entry;
    return isFields(entry.context) && isFields(mine.context) ? { ...mine, context: { ...entry.context, ...mine.context } } : mine;
  });
  return [...replaced, ...own.filter(({ name }) => !before.some((entry) => entry.name === name))];
}

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const entriesOf = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isFields) : []);
