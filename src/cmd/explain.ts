// `coracle explain scheduling POD`: which plugins refuse which node, and how the scores of the others come about, for a pod
// of the cluster or one in a manifest that does not exist yet. Nothing is changed: a manifest goes through the API server
// as a dry run, so that it has its defaults; a pod that has a node already is looked at as though it had none.
import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import type { New } from "../api/meta/object.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Pod } from "../api/types/core-v1.ts";
import { type Clock, realClock } from "../base/clock.ts";
import { flag, list, optionalText, text } from "../base/flags.ts";
import { StopStack } from "../base/lifecycle.ts";
import { createLogger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { SchedulerCache } from "../scheduler/cache.ts";
import { type Explanation, explainScheduling, type NodeExplanation } from "../scheduler/explain.ts";
import { configuredProfile } from "../scheduler/plugins/configured-profile.ts";
import { CommandError } from "./command-error.ts";
import { parseCommand } from "./command-flags.ts";
import { connectToCluster } from "./connect.ts";
import { readSchedulerSetup, type SchedulerSetup } from "./scheduler-setup.ts";

const flags = {
  kubeconfig: flag(optionalText, undefined, "how to reach the API server; default $KUBECONFIG or ~/.kube/config"),
  namespace: flag(text, "default", "of the pod", "n"),
  filename: flag(optionalText, undefined, "manifest of a pod that does not exist yet, instead of a name", "f"),
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
    const { client } = cluster;
    const pod =
      name === undefined
        ? await dryRun(client, await readPod(values.filename ?? "", values.namespace))
        : await client.get(pods, { namespace: values.namespace, name });
    process.stdout.write(describeExplanation(pod, await explain({ client, clock: realClock }, pod, setup)));
  } finally {
    await cluster.close();
  }
  return 0;
}

async function readPod(file: string, namespace: string): Promise<New<Pod>> {
  const { parseYamlDocuments, YamlSyntaxError } = await import("../api/encode/yaml-text.ts");
  let documents: readonly { readonly value: unknown }[];
  try {
    documents = parseYamlDocuments(await readFile(file, "utf8"));
  } catch (cause) {
    if (cause instanceof YamlSyntaxError) throw new CommandError(`--filename ${file}: ${cause.message}`);
    throw new CommandError(`--filename ${file} cannot be read`, { cause });
  }
  const value = documents[0]?.value as Partial<Pod> | undefined; // the API server checks the rest
  if (documents.length !== 1 || value?.kind !== "Pod") throw new CommandError(`--filename ${file}: expected one document of kind Pod`);
  return { ...value, metadata: { namespace, ...value.metadata } } as New<Pod>;
}

const dryRun = (client: Client, pod: New<Pod>): Promise<Pod> => client.create(pods, pod, { dryRun: true, fieldValidation: "Strict" });

interface ExplainDeps {
  readonly client: Client;
  readonly clock: Clock;
}

async function explain({ client, clock }: ExplainDeps, pod: Pod, { configuration, userPlugins }: SchedulerSetup): Promise<Explanation> {
  const schedulerName = pod.spec.schedulerName ?? "default-scheduler";
  const settings = configuration.profiles.find((profile) => profile.schedulerName === schedulerName);
  if (!settings) throw new CommandError(`no profile schedules pods of schedulerName ${schedulerName}; --config names the file that has it`);
  const logger = createLogger("explain");
  const stack = new StopStack();
  try {
    const informers = stack.add(createInformerFactory(client, { clock, logger }));
    // Nothing is evicted or bound, so nothing is told.
    const recorder = { record: () => undefined, flushed: async () => undefined, stop: async () => undefined };
    const profile = configuredProfile({ client, clock, logger, informers, recorder }, settings, userPlugins);
    const [allNodes, allPods] = [informers.informer(nodes), informers.informer(pods)];
    informers.start();
    const deadline = new AbortController();
    setMaxListeners(0, deadline.signal); // one for each kind of object
    const timer = clock.after(syncTimeoutMs, () => deadline.abort(new CommandError("the cluster's objects could not be read in time")));
    await informers.synced(deadline.signal).finally(() => timer.cancel());
    const cache = new SchedulerCache();
    for (const node of allNodes.list()) cache.setNode(node);
    for (const other of allPods.list()) if (holdsRoom(other) && other.metadata.uid !== pod.metadata.uid) cache.setPod(other);
    return explainScheduling({ pod: withoutNode(pod), snapshot: cache, state: new Map() }, profile);
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
  const lines = [`pod ${pod.metadata.namespace}/${pod.metadata.name}: fits on ${fits} of ${all.length} nodes`];
  if (pod.spec.nodeName) lines.push(`it is on ${pod.spec.nodeName}; this is how it would be placed now`);
  for (const { plugin, reasons } of heldBackBy) lines.push(`it is not tried: ${plugin}: ${reasons.join(", ")}`);
  for (const node of all) lines.push("", ...linesOf(node));
  return `${lines.join("\n")}\n`;
}

function linesOf({ nodeName, refusals, scores, total }: NodeExplanation): readonly string[] {
  if (refusals.length > 0) return [`${nodeName}: refused`, ...refusals.map((r) => `  ${r.plugin}: ${r.reasons.join(", ")}`)];
  const parts = scores.map(({ plugin, raw, normalized, weight }) => {
    const before = raw === normalized ? "" : ` (from ${raw})`;
    return `  ${plugin}: ${normalized}${before} × ${weight} = ${normalized * weight}`;
  });
  return [`${nodeName}: score ${total}`, ...parts];
}
