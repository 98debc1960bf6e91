// The names that the definitions of each group have been given, so that a conflict is found without asking every definition,
// and the definitions that wait for a name to become free.
import { findCondition } from "../../api/semantics/conditions.ts";
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";

/** Which names are not to be had. */
export interface NamesInUse {
  /** Of plurals, singulars and short names. */
  hasResource(name: string): boolean;
  /** Of kinds and list kinds. */
  hasKind(name: string): boolean;
}

/** "resource name" or "kind name" of all names that a definition has. */
function namesOf({ status }: CustomResourceDefinition): ReadonlySet<string> {
  const { plural = "", singular = "", kind = "", listKind = "", shortNames = [] } = status?.acceptedNames ?? {};
  const resources = [plural, singular, ...shortNames].filter((name) => name !== "").map((name) => `resource ${name}`);
  return new Set([...resources, ...[kind, listKind].filter((name) => name !== "").map((name) => `kind ${name}`)]);
}

interface Group {
  /** The definitions that have each name; more than one only where something else has written their status. */
  readonly owners: Map<string, Set<string>>;
  readonly namesOf: Map<string, ReadonlySet<string>>;
  readonly waiting: Set<string>;
}

export class AcceptedNames {
  readonly #groups = new Map<string, Group>();

  /** Takes a definition as it is now. Gives the definitions for which a name has become free. */
  put(definition: CustomResourceDefinition): readonly string[] {
    const { name } = definition.metadata;
    const group = this.#group(definition.spec.group);
    const before = group.namesOf.get(name) ?? new Set();
    const names = namesOf(definition);
    group.namesOf.set(name, names);
    for (const owned of names) {
      const owners = group.owners.get(owned) ?? new Set<string>();
      group.owners.set(owned, owners.add(name));
    }
    const freed = release(group, name, before, names);
    const accepted = findCondition(definition.status?.conditions, "NamesAccepted");
    if (accepted && accepted.status !== "True") group.waiting.add(name);
    else group.waiting.delete(name);
    return freed ? [...group.waiting].filter((other) => other !== name) : [];
  }

  /** The definition is gone. Gives the definitions for which a name has become free. */
  delete({ metadata, spec }: CustomResourceDefinition): readonly string[] {
    const group = this.#group(spec.group);
    release(group, metadata.name, group.namesOf.get(metadata.name) ?? new Set(), new Set());
    group.namesOf.delete(metadata.name);
    group.waiting.delete(metadata.name);
    if (group.namesOf.size === 0) this.#groups.delete(spec.group);
    return [...group.waiting];
  }

  /** The names that other definitions of the same group have. */
  besides({ metadata, spec }: CustomResourceDefinition): NamesInUse {
    const { owners } = this.#group(spec.group);
    const isTaken = (owned: string): boolean => {
      const found = owners.get(owned);
      return found !== undefined && (found.size > 1 || !found.has(metadata.name));
    };
    return { hasResource: (name) => isTaken(`resource ${name}`), hasKind: (name) => isTaken(`kind ${name}`) };
  }

  #group(name: string): Group {
    let group = this.#groups.get(name);
    if (!group) this.#groups.set(name, (group = { owners: new Map(), namesOf: new Map(), waiting: new Set() }));
    return group;
  }
}

/** Takes names away that a definition has no longer. Whether there were some. */
function release({ owners }: Group, name: string, before: ReadonlySet<string>, now: ReadonlySet<string>): boolean {
  let freed = false;
  for (const owned of before) {
    if (now.has(owned)) continue;
    freed = true;
    const found = owners.get(owned);
    if (found?.delete(name) && found.size === 0) owners.delete(owned);
  }
  return freed;
}
