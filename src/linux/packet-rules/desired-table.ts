// The rule set of a table as it grows and changes by its owners' parts, with a note of what has changed since it was last
// written. Replacing one owner's part costs what that part holds, however many others there are.
import type { Chain, Container, Element, RulePart, RuleSet } from "./rule-set.ts";

interface Claim {
  readonly owner: string;
  readonly rank: number;
  readonly value: string;
}

/** Names and keys that may differ from what was written; whether they do, the writer sees. */
export interface TableChanges {
  readonly chains: Set<string>;
  readonly containers: Set<string>;
  readonly elements: Map<string, Set<string>>;
}

const noChanges = (): TableChanges => ({ chains: new Set(), containers: new Set(), elements: new Map() });

export class DesiredTable {
  readonly #parts = new Map<string, RulePart>();
  readonly #chains = new Map<string, Chain>();
  readonly #containers = new Map<string, Container>();
  /** By container and key, best claim first. */
  readonly #claims = new Map<string, Map<string, readonly Claim[]>>();
  #changes = noChanges();

  get chains(): ReadonlyMap<string, Chain> {
    return this.#chains;
  }

  get containers(): ReadonlyMap<string, Container> {
    return this.#containers;
  }

  /** The value of a key in a container; undefined where nobody wants it. */
  value(container: string, key: string): string | undefined {
    return this.#claims.get(container)?.get(key)?.[0]?.value;
  }

  /** Keys with their values. */
  *elements(container: string): Iterable<readonly [string, string]> {
    for (const [key, [best]] of this.#claims.get(container) ?? []) if (best) yield [key, best.value];
  }

  /** An empty part, or none, takes away what the owner had. */
  put(owner: string, part: RulePart | undefined): void {
    const previous = this.#parts.get(owner);
    if (part) this.#parts.set(owner, part);
    else this.#parts.delete(owner);
    replace(this.#chains, previous?.chains, part?.chains, this.#changes.chains);
    replace(this.#containers, previous?.containers, part?.containers, this.#changes.containers);
    for (const [name, chain] of part?.shared ?? []) this.#share(name, chain);
    for (const element of previous?.elements ?? []) this.#withdraw(owner, element);
    for (const element of part?.elements ?? []) this.#claim(owner, element);
  }

  /** How many owners want something. */
  get size(): number {
    return this.#parts.size;
  }

  /** What may have changed since the last call. */
  takeChanges(): TableChanges {
    const taken = this.#changes;
    this.#changes = noChanges();
    return taken;
  }

  ruleSet(): RuleSet {
    const elements = new Map([...this.#claims.keys()].map((container) => [container, new Map(this.elements(container))] as const));
    return { chains: this.#chains, containers: this.#containers, elements };
  }

  #share(name: string, chain: Chain): void {
    if (this.#chains.has(name)) return;
    this.#chains.set(name, chain);
    this.#changes.chains.add(name);
  }

  #claim(owner: string, { container, key, value, rank }: Element): void {
    const claims = childOf(this.#claims, container, () => new Map<string, readonly Claim[]>());
    const others = claims.get(key);
    const claim = { owner, rank, value };
    claims.set(key, others ? [...others, claim].sort(byPrecedence) : [claim]);
    childOf(this.#changes.elements, container, () => new Set<string>()).add(key);
  }

  #withdraw(owner: string, { container, key }: Element): void {
    const claims = this.#claims.get(container);
    const left = claims?.get(key)?.filter((claim) => claim.owner !== owner) ?? [];
    if (left.length > 0) claims?.set(key, left);
    else claims?.delete(key);
    childOf(this.#changes.elements, container, () => new Set<string>()).add(key);
  }
}

const byPrecedence = (a: Claim, b: Claim): number => a.rank - b.rank || (a.owner < b.owner ? -1 : a.owner > b.owner ? 1 : 0);

function childOf<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** Names of chains and sets carry their owner's, so no two owners share one. */
function replace<V>(
  all: Map<string, V>,
  before: ReadonlyMap<string, V> | undefined,
  after: ReadonlyMap<string, V> | undefined,
  changed: Set<string>,
): void {
  for (const name of before?.keys() ?? []) {
    if (after?.has(name)) continue;
    all.delete(name);
    changed.add(name);
  }
  for (const [name, value] of after ?? []) {
    all.set(name, value);
    changed.add(name);
  }
}
