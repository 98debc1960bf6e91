// The commands that bring a table of the kernel to a rule set, as one transaction of `nft`: the difference to what was written
// before, or everything where that is not known. Chains nobody wants any more are emptied, not deleted: kernels before 6.2
// still count them as used for a moment after the last element that led to them has gone; the writer deletes them later.
import type { NftTableNames } from "../nftables.ts";
import type { DesiredTable, TableChanges } from "./desired-table.ts";
import type { Chain, Container } from "./rule-set.ts";

export interface TableName {
  readonly family: "ip" | "ip6" | "inet";
  readonly name: string;
  /** Tells a person who lists the table what it is for: "rules for kube-proxy". Default none. */
  readonly comment?: string;
}

/** What the kernel has been told, and has taken. */
export interface WrittenTable {
  readonly chains: Map<string, Chain>;
  readonly containers: Map<string, Container>;
  readonly elements: Map<string, Map<string, string>>;
}

export interface Transaction {
  /** Empty when there is nothing to do. */
  readonly commands: string;
  /** Chains that are empty and unused afterwards. */
  readonly emptied: readonly string[];
}

/** Of one command: long lines cost nft more than long scripts. */
const elementsPerCommand = 200;

/** Everything, over whatever the table holds now. Maps are never for one owner, so what goes is a set. */
export function fullTransaction(table: TableName, desired: DesiredTable, present: NftTableNames | undefined): Transaction {
  const script = new Script(table);
  script.add(`add table ${script.at}${table.comment === undefined ? "" : ` { comment "${table.comment}" ; }`}`);
  const emptied = [...(present?.chains ?? [])].filter((name) => !desired.chains.has(name));
  for (const [name, chain] of desired.chains) script.addChain(name, chain);
  for (const name of [...emptied, ...desired.chains.keys()]) if (present?.chains.has(name)) script.add(`flush chain ${script.at} ${name}`);
  for (const name of present?.containers ?? []) {
    const container = desired.containers.get(name);
    if (!container) script.add(`delete set ${script.at} ${name}`);
    else if (!container.isFilledByPackets) script.add(`flush ${container.kind} ${script.at} ${name}`);
  }
  for (const [name, container] of desired.containers) script.addContainer(name, container);
  for (const [name, chain] of desired.chains) script.addRules(name, chain);
  for (const [name, { isList = false }] of desired.containers) {
    const elements = [...desired.elements(name)];
    script.addElements(name, isList ? elements.flatMap(placesOf) : elements);
  }
  return { commands: script.text(), emptied };
}

/** The whole table made anew, for one that others have made of other parts. Packets see the old one or the new one. */
export function replacingTransaction(table: TableName, desired: DesiredTable): Transaction {
  const at = `${table.family} ${table.name}`;
  const { commands } = fullTransaction(table, desired, undefined);
  return { commands: `add table ${at}\ndelete table ${at}\n${commands}`, emptied: [] };
}

/** The difference, looked for only where something may have changed. */
export function changeTransaction(table: TableName, desired: DesiredTable, written: WrittenTable, changes: TableChanges): Transaction {
  const script = new Script(table);
  const rewritten: (readonly [string, Chain])[] = [];
  const emptied: string[] = [];
  for (const name of changes.chains) {
    const chain = desired.chains.get(name);
    const before = written.chains.get(name);
    if (!chain) {
      if (before) emptied.push(name);
    } else if (!before) {
      script.addChain(name, chain);
      rewritten.push([name, chain]);
    } else if (!isSameRules(chain, before)) rewritten.push([name, chain]);
  }
  for (const name of [...emptied, ...rewritten.flatMap(([name]) => (written.chains.has(name) ? [name] : []))])
    script.add(`flush chain ${script.at} ${name}`);
  for (const name of changes.containers) {
    const container = desired.containers.get(name);
    const before = written.containers.get(name);
    if (container && !before) script.addContainer(name, container);
    if (!container && before) script.add(`delete ${before.kind} ${script.at} ${name}`);
  }
  for (const [name, chain] of rewritten) script.addRules(name, chain);
  // A set that goes takes its elements with it.
  for (const [name, keys] of changes.elements) if (desired.containers.has(name)) changeElements(script, name, { keys, desired, written });
  return { commands: script.text(), emptied };
}

function changeElements(
  script: Script,
  name: string,
  { keys, desired, written }: { readonly keys: ReadonlySet<string>; readonly desired: DesiredTable; readonly written: WrittenTable },
): void {
  const gone: KeyAndValue[] = [];
  const come: KeyAndValue[] = [];
  const isList = desired.containers.get(name)?.isList ?? false;
  for (const key of keys) {
    const before = written.elements.get(name)?.get(key);
    const after = desired.value(name, key);
    if (before === after) continue;
    const [old, now] = isList ? changedPlaces(key, before, after) : [elementOf(key, before), elementOf(key, after)];
    gone.push(...old);
    come.push(...now);
  }
  script.deleteElements(name, gone);
  script.addElements(name, come);
}

type KeyAndValue = readonly [key: string, value: string];

const elementOf = (key: string, value: string | undefined): readonly KeyAndValue[] => (value === undefined ? [] : [[key, value]]);

/** The kernel's elements of a list. */
const placesOf = ([key, list]: KeyAndValue): readonly KeyAndValue[] =>
  list.split(", ").map((value, place) => [`${key} . ${place}`, value] as const);

/** Places whose value is another one. */
function changedPlaces(
  key: string,
  before: string | undefined,
  after: string | undefined,
): readonly [readonly KeyAndValue[], readonly KeyAndValue[]] {
  const old = elementOf(key, before).flatMap(placesOf);
  const now = elementOf(key, after).flatMap(placesOf);
  return [old.filter(([, value], i) => value !== now[i]?.[1]), now.filter(([, value], i) => value !== old[i]?.[1])];
}

function isSameRules(a: Chain, b: Chain): boolean {
  return a === b || (a.rules.length === b.rules.length && a.rules.every((rule, i) => rule === b.rules[i]));
}

class Script {
  readonly at: string;
  readonly #lines: string[] = [];

  constructor({ family, name }: TableName) {
    this.at = `${family} ${name}`;
  }

  add(line: string): void {
    this.#lines.push(line);
  }

  addChain(name: string, { hook }: Chain): void {
    const base = hook ? ` { type ${hook.type} hook ${hook.hook} priority ${hook.priority} ; }` : "";
    this.#lines.push(`add chain ${this.at} ${name}${base}`);
  }

  addContainer(name: string, { kind, definition }: Container): void {
    this.#lines.push(`add ${kind} ${this.at} ${name} { ${definition} }`);
  }

  addRules(name: string, { rules }: Chain): void {
    for (const rule of rules) this.#lines.push(`add rule ${this.at} ${name} ${rule}`);
  }

  addElements(name: string, elements: readonly KeyAndValue[]): void {
    this.#elements("add", name, elements);
  }

  deleteElements(name: string, elements: readonly KeyAndValue[]): void {
    this.#elements("delete", name, elements);
  }

  text(): string {
    return this.#lines.length === 0 ? "" : `${this.#lines.join("\n")}\n`;
  }

  #elements(verb: "add" | "delete", name: string, elements: readonly KeyAndValue[]): void {
    for (let i = 0; i < elements.length; i += elementsPerCommand) {
      const texts = elements.slice(i, i + elementsPerCommand).map(([key, value]) => (value === "" ? key : `${key} : ${value}`));
      this.#lines.push(`${verb} element ${this.at} ${name} { ${texts.join(", ")} }`);
    }
  }
}
