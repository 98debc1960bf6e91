// The patched object as errors quote it. Upstream patches the JSON text of the object: what a patch has touched comes out
// as maps do, sorted by key, and what it has not stands in the order of the fields of its Go type. That order is known
// from the numbers of the protobuf fields, which follow it but for the fields that were put in later.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { builtInSchemas, type ObjectSchema, type ValueType } from "../../api/schema/schema.ts";

export function patchedText(patched: KubernetesObject, current: KubernetesObject, schema: ObjectSchema | undefined): string {
  return JSON.stringify(touched(patched, current, schema && { kind: "object", schema }));
}

/** A value that the patch has made, of one that was there. */
function touched(value: unknown, before: unknown, type: ValueType | undefined): unknown {
  if (value === before) return untouched(value, type);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const items = Array.isArray(before) ? before : [];
    return value.map((item, i) => (i < items.length ? touched(item, items[i], belowOf(type, "")) : item));
  }
  const old = typeof before === "object" && before !== null && !Array.isArray(before) ? (before as Fields) : {};
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, field]) => [key, touched(field, old[key], belowOf(type, key))]));
}

type Fields = Readonly<Record<string, unknown>>;

/** A value as it was encoded from its type. */
function untouched(value: unknown, type: ValueType | undefined): unknown {
  if (typeof value !== "object" || value === null || type === undefined) return value;
  if (Array.isArray(value)) return value.map((item) => untouched(item, belowOf(type, "")));
  const entries = Object.entries(value).map(([key, field]): [string, unknown] => [key, untouched(field, belowOf(type, key))]);
  if (type.kind === "object") {
    const rank = ranksOf(type.schema);
    entries.sort(([a], [b]) => (rank.get(a) ?? 1000) - (rank.get(b) ?? 1000));
  } else if (type.kind === "map") entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries);
}

function belowOf(type: ValueType | undefined, key: string): ValueType | undefined {
  if (type?.kind === "object") return type.schema.fields.get(key)?.type;
  if (type?.kind === "array") return type.items;
  return type?.kind === "map" ? type.values : undefined;
}

/** Fields that stand before another one in their type, though their number is a later one. */
const inContainers = {
  envFrom: "env",
  restartPolicy: "volumeMounts",
  restartPolicyRules: "volumeMounts",
  resizePolicy: "restartPolicy",
  volumeDevices: "livenessProbe",
  startupProbe: "lifecycle",
  terminationMessagePolicy: "imagePullPolicy",
};
const putInBefore: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "core-v1.PodSpec": {
    initContainers: "containers",
    ephemeralContainers: "restartPolicy",
    automountServiceAccountToken: "nodeName",
    shareProcessNamespace: "securityContext",
  },
  "core-v1.Container": inContainers,
  "core-v1.EphemeralContainer": inContainers,
  "core-v1.VolumeMount": { recursiveReadOnly: "mountPath" },
  "core-v1.SecurityContext": { windowsOptions: "runAsUser", runAsGroup: "runAsNonRoot" },
  "core-v1.PodSecurityContext": { windowsOptions: "runAsUser", runAsGroup: "runAsNonRoot", supplementalGroupsPolicy: "fsGroup" },
  "core-v1.PodStatus": {
    observedGeneration: "phase",
    nominatedNodeName: "hostIP",
    hostIPs: "podIP",
    podIPs: "startTime",
    initContainerStatuses: "containerStatuses",
  },
  "core-v1.PodCondition": { observedGeneration: "status" },
  "core-v1.ServiceSpec": { clusterIPs: "type", ipFamilies: "ipFamilyPolicy" },
  "core-v1.ServicePort": { appProtocol: "port" },
  "core-v1.Secret": { immutable: "data" },
  "core-v1.ConfigMap": { immutable: "data" },
  "core-v1.PersistentVolumeClaimSpec": { selector: "resources" },
  "core-v1.NodeSpec": { podCIDRs: "providerID", taints: "configSource", unschedulable: "taints", providerID: "unschedulable" },
  "core-v1.ReplicationControllerSpec": { minReadySeconds: "selector" },
  "apps-v1.ReplicaSetSpec": { minReadySeconds: "selector" },
  "apps-v1.DeploymentStatus": { readyReplicas: "availableReplicas", terminatingReplicas: "conditions" },
  "batch-v1.CronJobSpec": { timeZone: "startingDeadlineSeconds" },
  "batch-v1.JobSpec": { backoffLimit: "selector", podFailurePolicy: "backoffLimit", successPolicy: "backoffLimit" },
  "networking-v1.IngressSpec": { ingressClassName: "defaultBackend" },
  "networking-v1.HTTPIngressPath": { pathType: "backend" },
  "networking-v1.IngressBackend": { service: "resource" },
  "discovery-v1.EndpointSlice": { addressType: "endpoints" },
};

const metadataOrder =
  "name generateName namespace selfLink uid resourceVersion generation creationTimestamp deletionTimestamp " +
  "deletionGracePeriodSeconds labels annotations ownerReferences finalizers managedFields";

const ranks = new WeakMap<ObjectSchema, ReadonlyMap<string, number>>();

function ranksOf(schema: ObjectSchema): ReadonlyMap<string, number> {
  let known = ranks.get(schema);
  if (!known) {
    known = rankFields(schema);
    ranks.set(schema, known);
  }
  return known;
}

function rankFields(schema: ObjectSchema): ReadonlyMap<string, number> {
  if (schema === builtInSchemas.get("meta-v1.ObjectMeta")) return new Map(metadataOrder.split(" ").map((name, i) => [name, i]));
  const numbers = new Map([...schema.fields.values()].map((field) => [field.name, Number.parseInt(field.proto ?? "0", 10)]));
  // Of kinds the first two fields are those of the type itself.
  if (schema.kinds.length > 0) [..."kind apiVersion".split(" ").entries()].forEach(([i, name]) => void numbers.set(name, i - 2));
  // The later in the list, the closer to the field that follows.
  Object.entries(putInBefore[schema.name] ?? {}).forEach(
    ([name, next], i) => void numbers.set(name, (numbers.get(next) ?? 0) - 0.5 + i / 100),
  );
  return numbers;
}
