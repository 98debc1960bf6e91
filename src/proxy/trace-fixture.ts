// Sends a packet through a rule set, as the kernel would: which hooks it passes, which chains, and what becomes of it. Where
// an endpoint is picked by chance every pick is followed, so that a trace gives everything that can happen. Knows the words
// that the proxy's rules use and throws at any other.
import { cidrContains, parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { RuleSet } from "../linux/packet-rules/rule-set.ts";
import { hooks } from "./names.ts";

export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly port: number;
  /** Where it comes in; undefined when it is sent by the node itself. */
  readonly inInterface: string | undefined;
}

export interface TraceOptions {
  /** The node's own. */
  readonly localAddresses: readonly string[];
  /** By affinity set: clients that are remembered. */
  readonly remembered?: ReadonlyMap<string, readonly string[]>;
}

interface State extends Packet {
  readonly mark: number;
  readonly isTranslated: boolean;
  readonly isMasqueraded: boolean;
}

/** What a chain does to a packet, by one of the ways chance can go. */
interface Outcome {
  readonly state: State;
  readonly verdict: "accept" | "drop" | "reject" | "continue";
}

/** All that can happen: "10.244.1.2:80", "10.244.1.2:80 masqueraded", "rejected", "dropped", "untouched"; sorted. */
export function trace(rules: RuleSet, packet: Packet, options: TraceOptions): readonly string[] {
  const tracer = new Tracer(rules, options);
  return [...new Set(tracer.send(packet).map((outcome) => describe(packet, outcome)))].sort();
}

function describe({ destination }: Packet, { state, verdict }: Outcome): string {
  if (verdict === "drop") return "dropped";
  if (verdict === "reject") return "rejected";
  const target = state.destination === destination && !state.isTranslated ? "untouched" : `${host(state.destination)}:${state.port}`;
  return `${target}${state.isMasqueraded ? " masqueraded" : ""}`;
}

const host = (address: string): string => (address.includes(":") ? `[${address}]` : address);

class Tracer {
  readonly #rules: RuleSet;
  readonly #options: TraceOptions;

  constructor(rules: RuleSet, options: TraceOptions) {
    this.#rules = rules;
    this.#options = options;
  }

  send(packet: Packet): readonly Outcome[] {
    const start: State = { ...packet, mark: 0, isTranslated: false, isMasqueraded: false };
    const entry = packet.inInterface === undefined ? "output" : "prerouting";
    const isFirst = ({ hook, priority }: { hook: string; priority: number }): boolean => hook === entry && priority < 0;
    const early = this.#hooked(isFirst, [{ state: start, verdict: "continue" }]);
    const routed = early.flatMap((outcome) => {
      const to = entry === "output" ? "output" : this.#isLocal(outcome.state.destination) ? "input" : "forward";
      return this.#hooked(({ hook, priority }) => hook === to && priority >= 0, [outcome]);
    });
    return routed.flatMap((outcome) =>
      this.#isLocal(outcome.state.destination) ? [outcome] : this.#hooked(({ hook }) => hook === "postrouting", [outcome]),
    );
  }

  #hooked(
    isHere: (hook: { readonly hook: string; readonly priority: number }) => boolean,
    outcomes: readonly Outcome[],
  ): readonly Outcome[] {
    const here = Object.entries(hooks)
      .filter(([, hook]) => isHere(hook))
      .sort(([, a], [, b]) => a.priority - b.priority);
    let now = outcomes;
    for (const [name] of here)
      now = now.flatMap((outcome) => (outcome.verdict === "continue" ? this.#chain(name, outcome.state).map(goOn) : [outcome]));
    return now;
  }

  #chain(name: string, state: State): readonly Outcome[] {
    const chain = this.#rules.chains.get(name);
    if (!chain) throw new Error(`there is no chain ${name}`);
    return this.#follow(chain.rules, state);
  }

  #follow([rule, ...rest]: readonly string[], state: State): readonly Outcome[] {
    if (rule === undefined) return [{ state, verdict: "continue" }];
    return this.#rule(rule, state).flatMap((step) => {
      if (step.next === "rule") return this.#follow(rest, step.state);
      if (step.next === "return") return [{ state: step.state, verdict: "continue" as const }];
      if (step.next === "jump") {
        const back = this.#chain(step.chain, step.state);
        return back.flatMap((outcome) => (outcome.verdict === "continue" ? this.#follow(rest, outcome.state) : [outcome]));
      }
      if (step.next === "goto") return this.#chain(step.chain, step.state);
      return [{ state: step.state, verdict: step.next }];
    });
  }

  /** The ways a rule can go: its words one after the other, until one does not match or decides. */
  #rule(rule: string, before: State): readonly Step[] {
    const ways: Step[] = [];
    let state = before;
    let rest = rule;
    while (rest !== "") {
      const found = this.#word(rest, state);
      rest = found.rest;
      if (found.isChance) ways.push({ state, next: "rule" });
      if (found.steps) return [...ways, ...found.steps];
      state = found.state ?? state;
    }
    return [...ways, { state, next: "rule" }];
  }

  #word(text: string, state: State): Word {
    for (const [pattern, read] of this.#vocabulary) {
      const match = new RegExp(`^(?:${pattern.source})(?: |$)`).exec(text);
      if (match)
        return {
          rest: text.slice(match[0].length),
          ...read(
            state,
            match.slice(1).map((group) => group ?? ""),
          ),
        };
    }
    return { rest: "", steps: [verdict(text, state)] };
  }

  readonly #vocabulary: readonly (readonly [RegExp, (state: State, groups: readonly string[]) => Omit<Word, "rest">])[] = [
    [/ct state new/, () => ({})],
    [/ct status dnat/, (state) => onlyIf(state.isTranslated, state)],
    [/meta l4proto (tcp|udp|sctp)/, (state, [protocol]) => onlyIf(state.protocol === protocol, state)],
    [/numgen random mod \d+ 0/, () => ({ isChance: true })],
    [/update @\S+ \{ ip6? saddr timeout \d+s \}/, () => ({})], // remembered by the kernel; here only what the options say
    [
      /iifname (!= )?"([^"*]*)(\*)?"/,
      ({ inInterface = "", ...state }, [not, name = "", isPrefix]) =>
        onlyIf((isPrefix ? inInterface.startsWith(name) : inInterface === name) !== Boolean(not), { ...state, inInterface }),
    ],
    [
      /fib (saddr|daddr) type local/,
      (state, [which]) => onlyIf(this.#isLocal(which === "saddr" ? state.source : state.destination), state),
    ],
    [
      /ip6? saddr \. ip6? daddr \. meta l4proto \. th dport @(\S+)/,
      (state, [set = ""]) => onlyIf(this.#has(set, [state.source, state.destination, state.protocol, state.port].join(" . ")), state),
    ],
    [
      /(ip6? daddr \. )?meta l4proto \. th dport vmap @(\S+)/,
      (state, [address, map = ""]) => {
        const key = [...(address ? [state.destination] : []), state.protocol, state.port].join(" . ");
        const value = this.#rules.elements.get(map)?.get(key);
        return { steps: [value === undefined ? { state, next: "rule" } : verdict(value, state)] };
      },
    ],
    [
      /ip6? (saddr|daddr) (!= )?(@\S+|\{ [^}]* \}|\S+)/,
      (state, [which, not, what = ""]) =>
        onlyIf(this.#matches(which === "saddr" ? state.source : state.destination, what) !== Boolean(not), state),
    ],
    [
      /mark set mark (or|xor) 0x([0-9a-f]+)/,
      (state, [how, bits = ""]) => {
        const value = Number.parseInt(bits, 16);
        return { state: { ...state, mark: how === "or" ? state.mark | value : state.mark ^ value } };
      },
    ],
    [/mark and 0x([0-9a-f]+) != 0/, (state, [bits = ""]) => onlyIf((state.mark & Number.parseInt(bits, 16)) !== 0, state)],
    [/masquerade fully-random/, (state) => ({ steps: [{ state: { ...state, isMasqueraded: true }, next: "accept" }] })],
    [/dnat to (\S+)/, (state, [target = ""]) => ({ steps: [translated(state, target)] })],
    [
      /dnat ip6? addr \. port to (ip6? daddr \. )?th dport \. numgen random mod (\d+) map @(\S+)/,
      (state, [address, count, map = ""]) => {
        const key = address ? `${state.destination} . ${state.port}` : String(state.port);
        const list = this.#rules.elements.get(map)?.get(key)?.split(", ") ?? [];
        const drawn = Array.from({ length: Number(count) }, (_, place) => list[place]);
        return { steps: drawn.map((target): Step => (target === undefined ? { state, next: "rule" } : translated(state, target))) };
      },
    ],
    [
      /dnat ip6? addr \. port to numgen random mod \d+ map \{ ([^}]*) \}/,
      (state, [targets = ""]) => ({ steps: choices(targets).map((target) => translated(state, target)) }),
    ],
    [
      /numgen random mod \d+ vmap \{ ([^}]*) \}/,
      (state, [verdicts = ""]) => ({ steps: choices(verdicts).map((text) => verdict(text, state)) }),
    ],
  ];

  #isLocal(address: string): boolean {
    return this.#options.localAddresses.includes(address);
  }

  #has(set: string, key: string): boolean {
    return this.#rules.elements.get(set)?.has(key) ?? this.#options.remembered?.get(set)?.includes(key) ?? false;
  }

  #matches(address: string, what: string): boolean {
    if (what.startsWith("@")) return this.#has(what.slice(1), address);
    const ip = parseIP(address);
    return what
      .replace(/^\{ | \}$/g, "")
      .split(", ")
      .some((text) => {
        const range = parseCIDR(text);
        return text === address || (range !== undefined && ip !== undefined && cidrContains(range, ip));
      });
  }
}

/** Where a packet goes from a rule. */
type Step =
  | { readonly state: State; readonly next: "rule" | "return" | "accept" | "drop" | "reject" }
  | { readonly state: State; readonly next: "jump" | "goto"; readonly chain: string };

/** What a part of a rule says, and what follows it. */
interface Word {
  readonly rest: string;
  /** The rule ends here, in one of these ways. */
  readonly steps?: readonly Step[];
  readonly state?: State;
  /** The rule may be passed by here. */
  readonly isChance?: boolean;
}

const onlyIf = (isMatch: boolean, state: State): Omit<Word, "rest"> => (isMatch ? {} : { steps: [{ state, next: "rule" }] });

/** "0 : a, 1 : b". */
const choices = (text: string): readonly string[] => text.split(", ").map((entry) => entry.replace(/^\d+ : /, ""));

/** A chain that accepts ends only itself: the next hook looks at the packet too. */
const goOn = (outcome: Outcome): Outcome => (outcome.verdict === "accept" ? { ...outcome, verdict: "continue" } : outcome);

function verdict(text: string, state: State): Step {
  const [word, chain] = text.split(" ");
  if ((word === "goto" || word === "jump") && chain !== undefined) return { state, next: word, chain };
  // "reject with tcp reset" for TCP, any other way for the rest.
  if (word === "return" || word === "drop" || word === "reject") return { state, next: word };
  throw new Error(`a rule says ${JSON.stringify(text)}`);
}

/** "10.0.0.1:80", "[fd00::1]:80" or, in a map, "10.0.0.1 . 80". */
function translated(state: State, target: string): Step {
  const match = /^\[?([0-9a-f.:]+?)\]?(?: \. |:)(\d+)$/.exec(target);
  if (!match) throw new Error(`a rule translates to ${JSON.stringify(target)}`);
  return { state: { ...state, destination: match[1] ?? "", port: Number(match[2]), isTranslated: true }, next: "accept" };
}
