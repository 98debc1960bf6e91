// `coracle explain scheduling POD`: which plugins refuse which node, and how the scores of the others come about, for a pod
// of the cluster or one in a manifest that does not exist yet. With `-f` of several pods or of workloads: where each of them would
// go, one after the other. Nothing is changed: a manifest goes through the API server as a dry run, so that it has its
// defaults; a pod that has a node already is looked at as though it had none.
import { setMaxListeners } from "node:events";
import { keyOf } from "../../api/meta/object.ts";
import { nodes, pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { type Clock, realClock } from "../../base/clock.ts";
import { flag, integer, list, optionalText, text } from "../../base/flags.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { createLogger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { SchedulerCache } from "../../scheduler/cache.ts";
import { type Explanation, explainScheduling, type NodeExplanation } from "../../scheduler/explain.ts";
import type { Profile } from "../../scheduler/framework.ts";
import { configuredProfile } from "../../scheduler/plugins/configured-profile.ts";
import { type Placement, placeInTurn } from "../../scheduler/what-if.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand } from "../command-flags.ts";
import { connectToCluster } from "../component/connect.ts";
import type { PlannedPods } from "./explain-manifest.ts";
import { readSchedulerSetup, type SchedulerSetup } from "./scheduler-setup.ts";

const flags = {
  kubeconfig: flag(optionalText, undefined, "how to reach the API server; default $KUBECONFIG or ~/.kube/config"),
  namespace: flag(text, "default", "of the pod", "n"),
  filename: flag(optionalText, undefined, "manifest of pods, deployments and the like that do not exist yet, instead of a name", "f"),
  replicas: flag(integer({ min: -1, max: 5_000 }), -1, "pods of each workload in the manifest; default what it says"),
  plugin: flag(list, [], "module with plugins of yours that the scheduler has too; may be repeated"),
  config: flag(optionalText, undefined, "file with the scheduler's KubeSchedulerConfiguration; default upstream's defaults"),
};

const syncTimeoutMs = 30_000;

export async function run(args: readonly string[]): Promise<number> {
  const usage = { name: "explain", summary: "Explains where a pod can go, and why.", positional: "scheduling [POD]" };
  const input = parseCommand(usage, flags, args);
  if (!input) return 0;
  const { values } = input;
  const [what, name, ...others] = input.positional;
  if (what !== "scheduling" || others.length > 0) throw new CommandError("expected: coracle explain scheduling POD, or -f FILE");
  if ((name === undefined) === (values.filename === undefined)) throw new CommandError("expected the name of a pod, or -f FILE with one");
  const setup = await readSchedulerSetup({ flagName: "config", config: values.config, pluginFlag: "plugin", plugins: values.plugin });
  const cluster = await connectToCluster({ kubeconfig: values.kubeconfig, clock: realClock, userAgent: "coracle-explain" });
  try {
    const deps = { client: cluster.client, clock: realClock };
    const text =
      values.filename === undefined
        ? await explainPod(deps, await cluster.client.get(pods, { namespace: values.namespace, name: name ?? "" }), setup)
        : await explainManifest(deps, await manifestOf(cluster.client, values.filename, values), setup);
    process.stdout.write(text);
  } finally {
    await cluster.close();
  }
  return 0;
}

async function manifestOf(
  client: Client,
  file: string,
  { namespace, replicas }: { readonly namespace: string; readonly replicas: number },
): Promise<readonly PlannedPods[]> {
  const { readManifest } = await import("./explain-manifest.ts");
  return readManifest(file, { client, namespace, ...(replicas < 0 ? {} : { replicas }) });
}

interface ExplainDeps {
  readonly client: Client;
  readonly clock: Clock;
}

async function explainPod(deps: ExplainDeps, pod: Pod, setup: SchedulerSetup): Promise<string> {
  return withCluster(deps, { setup, planned: [], leftOut: pod }, (cache, profileOf) => {
    const bare = withoutNode(pod);
    return describeExplanation(pod, explainScheduling({ pod: bare, snapshot: cache, state: new Map() }, profileOf(bare)));
  });
}

async function explainManifest(deps: ExplainDeps, planned: readonly PlannedPods[], setup: SchedulerSetup): Promise<string> {
  return withCluster(deps, { setup, planned }, (cache, profileOf) => {
    const [only, ...others] = planned;
    const [pod] = only?.pods ?? [];
    if (others.length === 0 && pod && !only?.controller) {
      const bare = withoutNode(pod);
      return describeExplanation(pod, explainScheduling({ pod: bare, snapshot: cache, state: new Map() }, profileOf(bare)));
    }
    return planned.map((each) => describePlacements(each.what, placeInTurn(each.pods.map(withoutNode), cache, profileOf))).join("\n");
  });
}

interface Question {
  readonly setup: SchedulerSetup;
  readonly planned: readonly PlannedPods[];
  /** Of the cluster: looked at as though it were not there. */
  readonly leftOut?: Pod;
}

/** Reads the cluster's nodes and pods, and asks with them. */
async function withCluster(
  { client, clock }: ExplainDeps,
  { setup: { configuration, userPlugins }, planned, leftOut }: Question,
  ask: (cache: SchedulerCache, profileOf: (pod: Pod) => Profile) => string,
): Promise<string> {
  const logger = createLogger("explain");
  const stack = new StopStack();
  try {
    const factory = stack.add(createInformerFactory(client, { clock, logger }));
    const informers = planned.length === 0 ? factory : (await import("./explain-manifest.ts")).withPlanned(factory, planned);
    // Nothing is evicted or bound, so nothing is told.
    const recorder = { record: () => undefined, flushed: async () => undefined, stop: async () => undefined };
    const deps = { client, clock, logger, informers, recorder };
    const profiles = new Map(
      configuration.profiles.map((settings) => [settings.schedulerName, configuredProfile(deps, settings, userPlugins)]),
    );
    const profileOf = ({ spec: { schedulerName = "default-scheduler" } }: Pod): Profile => {
      const profile = profiles.get(schedulerName);
      if (profile) return profile;
      throw new CommandError(`no profile schedules pods of schedulerName ${schedulerName}; --config names the file that has it`);
    };
    for (const pod of leftOut ? [leftOut] : planned.flatMap((each) => each.pods.slice(0, 1))) profileOf(pod);
    const [allNodes, allPods] = [informers.informer(nodes), informers.informer(pods)];
    informers.start();
    const deadline = new AbortController();
    setMaxListeners(0, deadline.signal); // one for each kind of object
    const timer = clock.after(syncTimeoutMs, () => deadline.abort(new CommandError("the cluster's objects could not be read in time")));
    await informers.synced(deadline.signal).finally(() => timer.cancel());
    const cache = new SchedulerCache();
    for (const node of allNodes.list()) cache.setNode(node);
    for (const other of allPods.list()) if (holdsRoom(other) && other.metadata.uid !== leftOut?.metadata.uid) cache.setPod(other);
    return ask(cache, profileOf);
  } finally {
    await stack.stop();
  }
}

const holdsRoom = ({ spec, status }: Pod): boolean => Boolean(spec.nodeName) && status?.phase !== "Succeeded" && status?.phase !== "Failed";

function withoutNode(pod: Pod): Pod {
  const { nodeName: _placed, ...spec } = pod.spec;
  return { ...pod, spec };
}

/** What users read. */
export function describeExplanation(pod: Pod, { heldBackBy, nodes: all }: Explanation): string {
  const fits = all.filter((node) => node.refusals.length === 0).length;
  const lines = [`pod ${keyOf(pod)}: fits on ${fits} of ${all.length} nodes`];
  if (pod.spec.nodeName) lines.push(`it is on ${pod.spec.nodeName}; this is how it would be placed now`);
  for (const { plugin, reasons } of heldBackBy) lines.push(`it is not tried: ${plugin}: ${reasons.join(", ")}`);
  for (const node of all) lines.push("", ...linesOf(node));
  return `${lines.join("\n")}\n`;
}

/** The nodes with what each would get, and why the first of the pods without a place has none. */
export function describePlacements(what: string, placements: readonly Placement[]): string {
  const byNode = new Map<string, string[]>();
  const without: Placement[] = [];
  for (const placement of placements) {
    const { pod, nodeName } = placement;
    if (nodeName === undefined) without.push(placement);
    else byNode.set(nodeName, [...(byNode.get(nodeName) ?? []), pod.metadata.name]);
  }
  const lines = [`${what}: ${placements.length - without.length} of ${placements.length} pods find a place`];
  for (const [nodeName, names] of [...byNode].sort(([a], [b]) => (a < b ? -1 : 1)))
    lines.push(`  ${nodeName}: ${names.length} (${shortened(names)})`);
  const [first] = without;
  if (!first) return `${lines.join("\n")}\n`;
  lines.push(`  without a place: ${without.length} (${shortened(without.map(({ pod }) => pod.metadata.name))})`);
  return `${lines.join("\n")}\n\nthe first without a place, nothing being evicted for it:\n${describeExplanation(first.pod, first.explanation)}`;
}

const maxNamesShown = 10;

const shortened = (names: readonly string[]): string =>
  names.length <= maxNamesShown ? names.join(", ") : `${names.slice(0, maxNamesShown).join(", ")}, …`;

function linesOf({ nodeName, refusals, scores, total }: NodeExplanation): readonly string[] {
  if (refusals.length > 0) return [`${nodeName}: refused`, ...refusals.map((r) => `  ${r.plugin}: ${r.reasons.join(", ")}`)];
  const parts = scores.map(({ plugin, raw, normalized, weight }) => {
    const before = raw === normalized ? "" : ` (from ${raw})`;
    return `  ${plugin}: ${normalized}${before} × ${weight} = ${normalized * weight}`;
  });
  return [`${nodeName}: score ${total}`, ...parts];
}
