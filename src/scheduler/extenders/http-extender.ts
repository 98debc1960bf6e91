// An extender that is asked over HTTP, as k8s.io/kube-scheduler/extender/v1 has it: field names are those of the Go types
// (Pod, NodeNames, FailedNodes …) and read without regard to case, as Go does.
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { ExtenderSettings } from "../configuration/extender-settings.ts";
import type { Candidate } from "../preemption/victims.ts";
import type { Extender, ExtenderVerdict, ExtenderVictims } from "./extender.ts";
import { createJsonPoster, type JsonPoster } from "./post-json.ts";

export function createHttpExtender(settings: ExtenderSettings, clock: Clock): Extender & { close(): void } {
  const { urlPrefix, weight, ignorable, nodeCacheCapable, filterVerb, prioritizeVerb, preemptVerb, bindVerb } = settings;
  const poster = createJsonPoster(settings, clock);
  const managed = new Set(settings.managedResources.map(({ name }) => name));
  const question = (pod: Pod, nodes: readonly Node[]) => ({
    Pod: pod,
    Nodes: nodeCacheCapable ? null : { metadata: {}, items: nodes },
    NodeNames: nodeCacheCapable ? nodes.map(({ metadata }) => metadata.name) : null,
  });
  const filter: Extender["filter"] = async (pod, nodes, signal) =>
    verdictOf(await poster.post(filterVerb, question(pod, nodes), signal), { urlPrefix, nodeCacheCapable, nodes });
  const prioritize: Extender["prioritize"] = async (pod, nodes, signal) =>
    scoresOf(await poster.post(prioritizeVerb, question(pod, nodes), signal), weight);
  return {
    name: urlPrefix,
    ignorable,
    isInterested: (pod) => managed.size === 0 || asksFor(pod, managed),
    ...(filterVerb === "" ? {} : { filter }),
    ...(prioritizeVerb === "" ? {} : { prioritize }),
    ...(preemptVerb === "" ? {} : { preempt: preemptWith(poster, settings) }),
    ...(bindVerb === "" ? {} : { bind: bindWith(poster, bindVerb) }),
    close: () => poster.close(),
  };
}

function asksFor({ spec }: Pod, managed: ReadonlySet<string>): boolean {
  return [...spec.containers, ...(spec.initContainers ?? [])].some(({ resources }) =>
    [...Object.keys(resources?.requests ?? {}), ...Object.keys(resources?.limits ?? {})].some((name) => managed.has(name)),
  );
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** Undefined where it is absent or null. */
function field(object: unknown, name: string): unknown {
  if (!isObject(object)) throw new Error("the answer is not an object");
  const key = Object.hasOwn(object, name) ? name : Object.keys(object).find((k) => k.toLowerCase() === name.toLowerCase());
  return key === undefined ? undefined : (object[key] ?? undefined);
}

const listOf = (value: unknown): readonly unknown[] => {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error("the answer has something else where a list should be");
  return value;
};

const textsOf = (value: unknown): ReadonlyMap<string, string> =>
  new Map(isObject(value) ? Object.entries(value).map(([name, text]) => [name, String(text)] as const) : []);

function throwError(answer: unknown): void {
  const error = field(answer, "Error");
  if (typeof error === "string" && error !== "") throw new Error(error);
}

interface Asked {
  readonly urlPrefix: string;
  readonly nodeCacheCapable: boolean;
  readonly nodes: readonly Node[];
}

function verdictOf(answer: unknown, { urlPrefix, nodeCacheCapable, nodes }: Asked): ExtenderVerdict {
  throwError(answer);
  const names = nodeCacheCapable ? field(answer, "NodeNames") : undefined;
  const items = names === undefined ? field(answer, "Nodes") : undefined;
  const nodeNames =
    names === undefined
      ? listOf(items && field(items, "items")).map((node) => String(field(field(node, "metadata"), "name")))
      : listOf(names).map(String);
  const known = new Set(nodes.map(({ metadata }) => metadata.name));
  const unknownName = nodeNames.find((name) => !known.has(name));
  if (unknownName !== undefined) {
    const what = `claims a filtered node ${JSON.stringify(unknownName)} which is not found in the input node list`;
    throw new Error(`extender ${JSON.stringify(urlPrefix)} ${what}`);
  }
  return {
    nodeNames,
    failed: textsOf(field(answer, "FailedNodes")),
    unresolvable: textsOf(field(answer, "FailedAndUnresolvableNodes")),
  };
}

function scoresOf(answer: unknown, weight: number): ReadonlyMap<string, number> {
  const scores = new Map<string, number>();
  for (const entry of listOf(answer)) {
    const score = Number(field(entry, "Score") ?? 0);
    if (!Number.isFinite(score)) throw new Error("the answer has a score that is not a number");
    scores.set(String(field(entry, "Host")), score * weight);
  }
  return scores;
}

function preemptWith(poster: JsonPoster, { preemptVerb, nodeCacheCapable }: ExtenderSettings): NonNullable<Extender["preempt"]> {
  return async (pod, candidates, signal) => {
    const victims = (shown: (pod: Pod) => unknown) =>
      Object.fromEntries(candidates.map((c) => [c.nodeName, { Pods: c.victims.map(shown), NumPDBViolations: c.violations }]));
    const answer = await poster.post(
      preemptVerb,
      {
        Pod: pod,
        NodeNameToVictims: nodeCacheCapable ? null : victims((victim) => victim),
        NodeNameToMetaVictims: nodeCacheCapable ? victims(({ metadata }) => ({ UID: metadata.uid })) : null,
      },
      signal,
    );
    return victimsOf(answer, candidates);
  };
}

function victimsOf(answer: unknown, candidates: readonly Candidate[]): ReadonlyMap<string, ExtenderVictims> {
  const byNode = field(answer, "NodeNameToMetaVictims");
  const known = new Set(candidates.map((c) => c.nodeName));
  const chosen = new Map<string, ExtenderVictims>();
  for (const [nodeName, victims] of Object.entries(isObject(byNode) ? byNode : {})) {
    if (!known.has(nodeName)) throw new Error(`the answer names node ${JSON.stringify(nodeName)}, which was not asked about`);
    const uids = victims === null ? [] : listOf(field(victims, "Pods")).map((pod) => String(field(pod, "UID")));
    chosen.set(nodeName, { uids, violations: victims === null ? 0 : Number(field(victims, "NumPDBViolations") ?? 0) });
  }
  return chosen;
}

function bindWith(poster: JsonPoster, verb: string): NonNullable<Extender["bind"]> {
  return async ({ metadata: { name, namespace, uid } }, nodeName, signal) =>
    throwError(await poster.post(verb, { PodName: name, PodNamespace: namespace, PodUID: uid, Node: nodeName }, signal));
}
