// The pods that a manifest stands for: those that are in it, and those that the controllers of workloads in it would make. The API
// server gives each its defaults, and refuses what it would refuse, in a dry run.
import { readFile } from "node:fs/promises";
import { type KubernetesObject, keyOf, type New } from "../../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import { deployments, jobs, pods, replicasets, replicationcontrollers, statefulsets } from "../../api/resources.generated.ts";
import type { Pod, PodSpec, PodTemplateSpec } from "../../api/types/core-v1.ts";
import type { Client } from "../../client/client.ts";
import type { InformerFactory } from "../../client/informer.ts";
import { CommandError } from "../command-error.ts";

/** Pods that are to be placed together. */
export interface PlannedPods {
  /** "deployment default/web"; "pod default/one". */
  readonly what: string;
  /** With the API server's defaults, and without nodes. */
  readonly pods: readonly Pod[];
  /** What would control them, as plugins would find it: pods are spread by what owns them. */
  readonly controller?: { readonly type: ResourceType<KubernetesObject>; readonly object: KubernetesObject };
}

interface Workload extends KubernetesObject {
  readonly spec: {
    readonly replicas?: number;
    readonly parallelism?: number;
    readonly completions?: number;
    readonly selector?: unknown;
    readonly template: PodTemplateSpec;
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name?: string } }[];
  };
}

interface WorkloadKind {
  readonly type: ResourceType<KubernetesObject>;
  /** What the pods' owner is; a deployment's are owned by a ReplicaSet. */
  readonly owner: ResourceType<KubernetesObject>;
  readonly count: (spec: Workload["spec"]) => number;
}

const replicas = ({ replicas = 1 }: Workload["spec"]): number => replicas;
const kinds = new Map<string, WorkloadKind>(
  [
    { type: deployments, owner: replicasets, count: replicas },
    { type: replicasets, owner: replicasets, count: replicas },
    { type: replicationcontrollers, owner: replicationcontrollers, count: replicas },
    { type: statefulsets, owner: statefulsets, count: replicas },
    {
      type: jobs,
      owner: jobs,
      count: ({ parallelism = 1, completions = parallelism }: Workload["spec"]) => Math.min(parallelism, completions),
    },
  ].map((kind) => [kind.type.kind, kind as unknown as WorkloadKind]),
);

/** More pods than these are not tried: every one looks at every node. */
const maxPods = 5_000;

export interface ManifestOptions {
  readonly client: Client;
  /** Of objects that do not say theirs. */
  readonly namespace: string;
  /** Instead of what the manifest's workloads say. */
  readonly replicas?: number;
}

/** Throws CommandError for what is wrong with the file, StatusError for what the API server refuses. */
export async function readManifest(file: string, options: ManifestOptions): Promise<readonly PlannedPods[]> {
  const planned: PlannedPods[] = [];
  const left: string[] = [];
  for (const object of await documentsOf(file)) {
    const kind = kinds.get(object.kind ?? "");
    if (object.kind === "Pod") planned.push(await plannedPod(object, options));
    else if (kind) planned.push(await plannedWorkload(object as Workload, kind, options));
    else left.push(object.kind ?? "without a kind");
  }
  const known = ["Pod", ...kinds.keys()].join(", ");
  if (planned.length === 0) throw new CommandError(`--filename ${file}: expected ${known}; there is ${left.join(", ") || "nothing"}`);
  const count = planned.reduce((sum, { pods }) => sum + pods.length, 0);
  if (count > maxPods) throw new CommandError(`--filename ${file}: ${count} pods; at most ${maxPods} are tried`);
  return planned;
}

async function documentsOf(file: string): Promise<readonly KubernetesObject[]> {
  const { parseYamlDocuments, YamlSyntaxError } = await import("../../api/encode/yaml-text.ts");
  try {
    const values = parseYamlDocuments(await readFile(file, "utf8")).map(({ value }) => value);
    return values.flatMap((value) => {
      if (value === null || value === undefined) return [];
      const { kind, items } = value as { readonly kind?: string; readonly items?: readonly KubernetesObject[] };
      return kind === "List" ? (items ?? []) : [value as KubernetesObject]; // the API server checks the rest
    });
  } catch (cause) {
    if (cause instanceof YamlSyntaxError) throw new CommandError(`--filename ${file}: ${cause.message}`);
    throw new CommandError(`--filename ${file} cannot be read`, { cause });
  }
}

async function plannedPod(object: KubernetesObject, { client, namespace }: ManifestOptions): Promise<PlannedPods> {
  const pod = { ...object, metadata: { namespace, ...object.metadata } } as unknown as New<Pod>;
  const made = await dryRun(client, pods, pod);
  return { what: `pod ${keyOf(made)}`, pods: [made] };
}

async function plannedWorkload(
  object: Workload,
  { type, owner, count }: WorkloadKind,
  { client, namespace, replicas }: ManifestOptions,
): Promise<PlannedPods> {
  // The object itself is looked at too: its selector and template have to fit together. One of the name may be there already.
  const metadata = { namespace, ...object.metadata, name: `${object.metadata?.name ?? "workload"}` };
  const applied = { ...object, metadata };
  const made = (await client.patch(type, metadata, applied, {
    ...{ type: "apply", fieldManager: "coracle-explain", force: true, dryRun: true, fieldValidation: "Strict" },
  })) as Workload;
  const { name } = made.metadata;
  const wanted = replicas ?? count(made.spec);
  const ownerReferences = [{ apiVersion: apiVersionOf(owner), kind: owner.kind, name, uid: "planned", controller: true }];
  const { template } = made.spec;
  const pod = { metadata: { ...template.metadata, namespace: made.metadata.namespace, ownerReferences }, spec: specOf(made) };
  const names = Array.from({ length: wanted }, (_, i) => `${name}-${i}`);
  // All are made from one template: one of them is enough for the API server.
  const [first = name] = names;
  const sample = wanted === 0 ? undefined : await dryRun(client, pods, { ...pod, metadata: { ...pod.metadata, name: first } } as New<Pod>);
  return {
    what: `${type.kind.toLowerCase()} ${keyOf(made)}`,
    pods: sample
      ? names.map((name) => ({ ...sample, metadata: { ...sample.metadata, name, uid: `planned-${type.kind}-${keyOf(made)}-${name}` } }))
      : [],
    controller: { type: owner, object: made },
  };
}

/** Claims of a stateful set's templates are not there yet; nothing is supposed of where their volumes will be. */
function specOf({ spec }: Workload): PodSpec {
  const { template, volumeClaimTemplates = [] } = spec;
  const volumes = [
    ...(template.spec?.volumes ?? []),
    ...volumeClaimTemplates.map(({ metadata }) => ({ name: metadata.name ?? "", emptyDir: {} })),
  ];
  return { ...(template.spec as PodSpec), ...(volumes.length > 0 ? { volumes } : {}) };
}

const dryRun = (client: Client, type: typeof pods, pod: New<Pod>): Promise<Pod> =>
  client.create(type, pod, { dryRun: true, fieldValidation: "Strict" });

/** The same informers, in which the planned controllers are found by their name. */
export function withPlanned(informers: InformerFactory, planned: readonly PlannedPods[]): InformerFactory {
  const added = planned.flatMap(({ controller }) => (controller ? [controller] : []));
  const informer: InformerFactory["informer"] = (type, scope) => {
    const real = informers.informer(type, scope);
    const objects = new Map(added.filter((each) => each.type.resource === type.resource).map(({ object }) => [keyOf(object), object]));
    if (objects.size === 0) return real;
    return new Proxy(real, {
      get(target, property) {
        if (property === "get") return (key: string) => objects.get(key) ?? target.get(key);
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };
  return {
    informer,
    drop: (type, scope) => informers.drop(type, scope),
    start: () => informers.start(),
    synced: (signal) => informers.synced(signal),
    stop: () => informers.stop(),
  };
}
