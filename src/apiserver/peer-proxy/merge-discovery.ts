// The aggregated discovery document of several API servers: every group, version and resource that one of them serves. Servers are
// taken in the order of their identities, and lists of names merged so that each server's order holds: so all of them say the same.
// What two servers say differently of a resource is joined: the verbs and subresources of both.
import { isDeepStrictEqual } from "node:util";
import type { DiscoveredGroup, DiscoveredResource, DiscoveredSubresource, DiscoveredVersion } from "../discovery/documents.ts";
import { mergeNames } from "./merge-names.ts";

export interface ServersDiscovery {
  readonly identity: string;
  readonly own: readonly DiscoveredGroup[];
  /** By the identities of the servers. */
  readonly peers: ReadonlyMap<string, readonly DiscoveredGroup[]>;
}

export function mergeDiscovery({ identity, own, peers }: ServersDiscovery): readonly DiscoveredGroup[] {
  if (peers.size === 0) return own;
  const servers = [...peers].filter(([peer]) => peer !== identity).concat([[identity, own]]);
  const lists = servers.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, groups]) => groups);
  return mergeLists(lists, { nameOf: groupName, merge: mergeGroup });
}

interface Merging<T> {
  nameOf(item: T): string;
  /** Of two of one name: the first itself where the second adds nothing. */
  merge(a: T, b: T): T;
}

function mergeLists<T>(lists: readonly (readonly T[])[], { nameOf, merge }: Merging<T>): readonly T[] {
  const merged = new Map<string, T>();
  for (const list of lists)
    for (const item of list) {
      const known = merged.get(nameOf(item));
      merged.set(nameOf(item), known === undefined ? item : merge(known, item));
    }
  const [first = []] = lists;
  const order = mergeNames(lists.map((list) => list.map(nameOf)));
  const items = order.flatMap((name) => merged.get(name) ?? []);
  return items.length === first.length && items.every((item, i) => item === first[i]) ? first : items;
}

const groupName = ({ metadata }: DiscoveredGroup): string => metadata.name ?? "";

function mergeGroup(a: DiscoveredGroup, b: DiscoveredGroup): DiscoveredGroup {
  const versions = mergeLists([a.versions, b.versions], { nameOf: ({ version }) => version, merge: mergeVersion });
  return versions === a.versions ? a : { ...a, versions };
}

function mergeVersion(a: DiscoveredVersion, b: DiscoveredVersion): DiscoveredVersion {
  const own = a.resources ?? [];
  const resources = mergeLists([own, b.resources ?? []], { nameOf: ({ resource }) => resource, merge: mergeResource });
  if (resources === own) return a;
  const { version, freshness } = a;
  return { version, resources, ...(freshness === undefined ? {} : { freshness }) };
}

function mergeResource(a: DiscoveredResource, b: DiscoveredResource): DiscoveredResource {
  if (isDeepStrictEqual(a, b)) return a;
  const verbs = [...new Set([...listOf(a.verbs), ...listOf(b.verbs)])].sort();
  const subresources = new Map([...listOf(a.subresources), ...listOf(b.subresources)].map((sub) => [sub.subresource ?? "", sub]));
  const sorted: readonly DiscoveredSubresource[] = [...subresources].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, sub]) => sub);
  return { ...a, verbs, ...(sorted.length > 0 ? { subresources: sorted } : {}) };
}

/** Other servers may say what they like. */
const listOf = <T>(value: readonly T[] | undefined): readonly T[] => (Array.isArray(value) ? value : []);
