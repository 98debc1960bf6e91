// All groups for discovery: those of this server, and those that APIServices add, in the order of upstream. An APIService without
// a service whose group version is not served here is listed as a group, but has no resources.
import type { RemoteVersion, ServedGroup, ServedVersion } from "../discovery/documents.ts";
import { compareVersions } from "../discovery/version-order.ts";
import { defaultPriority, type GroupVersion, type Priority } from "./group-priorities.ts";

/** What an APIService says about its group version. */
export interface RegisteredVersion extends GroupVersion {
  readonly priority: Priority;
  /** Of those that another server serves. */
  readonly remote?: RemoteVersion;
}

interface Merging {
  readonly name: string;
  readonly versions: Map<string, ServedVersion>;
  readonly priorities: Map<string, Priority>;
}

/** Highest priority first, names break ties; the same for the versions of a group. */
export function mergeGroups(local: readonly ServedGroup[], registered: Iterable<RegisteredVersion>): readonly ServedGroup[] {
  const groups = new Map<string, Merging>();
  const groupOf = (name: string): Merging => {
    const known = groups.get(name);
    if (known) return known;
    const made: Merging = { name, versions: new Map(), priorities: new Map() };
    groups.set(name, made);
    return made;
  };
  for (const { name, versions } of local) {
    const group = groupOf(name);
    for (const served of versions) {
      group.versions.set(served.version, served);
      group.priorities.set(served.version, defaultPriority({ group: name, version: served.version }));
    }
  }
  for (const { group: name, version, priority, remote } of registered) {
    const group = groupOf(name);
    group.priorities.set(version, priority);
    if (remote) group.versions.set(version, { version, resources: [], remote });
    else if (!group.versions.has(version)) group.versions.set(version, { version, resources: [], isNamedOnly: true });
  }
  return [...groups.values()].map(ordered).sort((a, b) => b.priority - a.priority || compareTexts(a.name, b.name));
}

function ordered({ name, versions, priorities }: Merging): ServedGroup & { readonly priority: number } {
  const of = (version: string): number => priorities.get(version)?.version ?? 0;
  return {
    name,
    priority: Math.max(...Array.from(priorities.values(), (p) => p.group)),
    versions: [...versions.values()].sort((a, b) => of(b.version) - of(a.version) || compareVersions(a.version, b.version)),
  };
}

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
