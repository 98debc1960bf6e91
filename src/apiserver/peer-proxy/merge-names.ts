// One list of names out of several, in which names that follow each other in a list still do so (a topological sort, Kahn's
// algorithm). Names between which no list decides come in the order of their letters, so that every server that merges the same
// lists gets the same.
import { SortedMap } from "../../base/sorted-map.ts";

interface Node {
  readonly followers: Set<string>;
  /** How many names it follows that have not been given out. */
  waitsFor: number;
}

/** Where lists contradict each other all names are sorted by their letters. */
export function mergeNames(lists: readonly (readonly string[])[]): readonly string[] {
  const nodes = nodesOf(lists);
  // One that has them all has said it.
  const whole = lists.find((list) => list.length === nodes.size && new Set(list).size === list.length);
  return whole ?? sorted(nodes) ?? [...nodes.keys()].sort();
}

function nodesOf(lists: readonly (readonly string[])[]): Map<string, Node> {
  const nodes = new Map<string, Node>();
  const nodeOf = (name: string): Node => {
    const known = nodes.get(name) ?? { followers: new Set<string>(), waitsFor: 0 };
    nodes.set(name, known);
    return known;
  };
  for (const list of lists)
    for (const [i, name] of list.entries()) {
      const { followers } = nodeOf(name);
      const next = list[i + 1];
      if (next === undefined || followers.has(next)) continue;
      followers.add(next);
      nodeOf(next).waitsFor++;
    }
  return nodes;
}

/** Undefined where names wait for each other in a circle. */
function sorted(nodes: ReadonlyMap<string, Node>): readonly string[] | undefined {
  const free = new SortedMap<string>();
  for (const [name, { waitsFor }] of nodes) if (waitsFor === 0) free.set(name, name);
  const merged: string[] = [];
  for (let name = free.first(); name !== undefined; name = free.first()) {
    free.delete(name);
    merged.push(name);
    for (const follower of nodes.get(name)?.followers ?? []) {
      const node = nodes.get(follower);
      if (node && --node.waitsFor === 0) free.set(follower, follower);
    }
  }
  return merged.length === nodes.size ? merged : undefined;
}
