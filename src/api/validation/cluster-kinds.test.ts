import { describe, expect, it } from "vitest";
import type {
  ConfigMap,
  LimitRange,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  ResourceQuota,
  Secret,
  TopologySelectorTerm,
} from "../types/core-v1.ts";
import type { Event } from "../types/events-v1.ts";
import type { PodDisruptionBudget } from "../types/policy-v1.ts";
import { validateConfigMap, validateSecret } from "./config.ts";
import { validateCoreEvent, validateEvent } from "./event.ts";
import { validateNode, validateNodeUpdate } from "./node.ts";
import { validatePersistentVolume } from "./persistent-volume.ts";
import { validatePersistentVolumeClaim } from "./persistent-volume-claim.ts";
import { validateDisruptionBudget, validatePriorityClass } from "./policy.ts";
import { validateLimitRange, validateResourceQuota } from "./quota.ts";
import { validateClusterRole, validateRole, validateRoleBinding } from "./rbac.ts";
import { validateStorageClass } from "./storage.ts";

const metadata = { name: "a", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const messages = (errors: readonly { readonly message: string }[]): string[] => errors.map((error) => error.message);

describe("config maps and secrets", () => {
  const map = (more: Partial<ConfigMap>): ConfigMap => ({ apiVersion: "v1", kind: "ConfigMap", metadata, ...more });
  const secret = (more: Partial<Secret>): Secret => ({ apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", ...more });

  it("a key is in one of the two maps", () => {
    expect(messages(validateConfigMap(map({ data: { a: "" }, binaryData: { a: "" } })))).toEqual([
      'data[a]: Invalid value: "a": duplicate of key present in binaryData',
    ]);
  });

  it("what is immutable stays so, with its data", () => {
    const old = map({ immutable: true, data: { a: "1" } });
    expect(messages(validateConfigMap(map({ data: { a: "2" } }), old))).toEqual([
      "immutable: Forbidden: field is immutable when `immutable` is set",
      "data: Forbidden: field is immutable when `immutable` is set",
    ]);
    expect(validateConfigMap(map({ ...old, metadata: { ...metadata, labels: { a: "b" } } }), old)).toEqual([]);
  });

  it("counts the bytes that base64 stands for", () => {
    const bytes = (count: number): string => btoa("x".repeat(count));
    expect(validateSecret(secret({ data: { a: bytes(1024 * 1024) } }))).toEqual([]);
    expect(messages(validateSecret(secret({ data: { a: bytes(1024 * 1024), b: btoa("y") } })))).toEqual([
      "data: Too long: may not be more than 1048576 bytes",
    ]);
  });

  it("secrets of the known types hold what their users need", () => {
    expect(messages(validateSecret(secret({ type: "kubernetes.io/tls", data: {} })))).toEqual([
      "data[tls.crt]: Required value",
      "data[tls.key]: Required value",
    ]);
    const docker = { type: "kubernetes.io/dockerconfigjson" };
    expect(validateSecret(secret({ ...docker, data: { ".dockerconfigjson": btoa("{}") } }))).toEqual([]);
    expect(messages(validateSecret(secret({ ...docker, data: { ".dockerconfigjson": btoa("[]") } })))).toEqual([
      'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": json: cannot unmarshal array into Go value of type map[string]interface {}',
    ]);
  });
});

describe("nodes", () => {
  const node = (more: Partial<Node>): Node => ({ apiVersion: "v1", kind: "Node", metadata, spec: {}, ...more });

  it("taints are unique by key and effect", () => {
    const taints = [
      { key: "k", value: "1", effect: "NoSchedule" as const },
      { key: "k", value: "2", effect: "NoSchedule" as const },
      { key: "k", effect: "NoExecute" as const },
    ];
    expect(messages(validateNode(node({ spec: { taints } })))).toEqual([
      'metadata.taints[1]: Duplicate value: {"Key":"k","Value":"2","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by key and effect pair',
    ]);
  });

  it("ranges and the provider's id are given once", () => {
    const old = node({ spec: { podCIDR: "10.1.0.0/24", podCIDRs: ["10.1.0.0/24"], providerID: "x" } });
    const moved = node({ spec: { podCIDR: "10.2.0.0/24", podCIDRs: ["10.2.0.0/24"], providerID: "y" } });
    expect(validateNodeUpdate(old, node({}))).toEqual([]);
    expect(messages(validateNodeUpdate(moved, old))).toEqual([
      'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
      'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
    ]);
  });
});

describe("quotas and limit ranges", () => {
  const quota = (spec: ResourceQuota["spec"]): ResourceQuota => ({
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata,
    spec,
  });

  it("do not multiply scopes with resources", () => {
    const hard = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`count/x${i}`, "1"]).concat([["services", "1"]]));
    const scopes = Array<string>(20_000).fill("Terminating");
    const beganMs = performance.now();
    expect(validateResourceQuota(quota({ hard, scopes })).length).toBeLessThan(50_000);
    expect(performance.now() - beganMs).toBeLessThan(5000);
  }, 60_000);

  it("counts are whole, scopes known, compatible and fixed", () => {
    expect(messages(validateResourceQuota(quota({ hard: { pods: "1500m" }, scopes: ["Terminating", "NotTerminating"] })))).toEqual([
      'spec.hard[pods]: Invalid value: "1500m": must be an integer',
      'spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes',
    ]);
    expect(messages(validateResourceQuota(quota({ scopes: ["BestEffort"] }), quota({})))).toEqual([
      'spec.scopes: Invalid value: ["BestEffort"]: field is immutable',
    ]);
    const matchExpressions = [
      { scopeName: "Terminating", operator: "Exists" },
      { scopeName: "NotTerminating", operator: "Exists" },
    ] as const;
    expect(messages(validateResourceQuota(quota({ scopeSelector: { matchExpressions } })))).toEqual([
      "spec.scopeSelector.matchExpressions: Invalid value: null: conflicting scopes",
    ]);
    expect(messages(validateResourceQuota(quota({ hard: { services: "1" }, scopes: ["BestEffort"] })))).toEqual([
      'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource',
    ]);
  });

  it("limits lie in order", () => {
    const range: LimitRange = {
      apiVersion: "v1",
      kind: "LimitRange",
      metadata,
      spec: { limits: [{ type: "Container", min: { cpu: "2" }, max: { cpu: "1" }, maxLimitRequestRatio: { memory: "500m" } }] },
    };
    expect(messages(validateLimitRange(range))).toEqual([
      'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
      'spec.limits[0].maxLimitRequestRatio[memory]: Invalid value: "500m": ratio 500m is less than 1',
    ]);
  });
});

describe("roles, budgets and priority classes", () => {
  it("rules are about resources or, in cluster roles, about paths", () => {
    const rules = [{ verbs: ["get"], nonResourceURLs: ["/healthz"] }];
    expect(messages(validateRole({ apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", metadata, rules }))).toEqual([
      'rules[0].nonResourceURLs: Invalid value: ["/healthz"]: namespaced rules cannot apply to non-resource URLs',
    ]);
    expect(validateClusterRole({ apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata, rules })).toEqual([]);
  });

  it("a binding keeps its role", () => {
    const binding = (name: string): Parameters<typeof validateRoleBinding>[0] => ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    });
    expect(messages(validateRoleBinding(binding("y"), binding("x")))).toEqual([
      'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"y"}: cannot change roleRef',
    ]);
  });

  it("a budget sets one of the two numbers, at most all", () => {
    const budget = (spec: PodDisruptionBudget["spec"]): PodDisruptionBudget => ({
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata,
      spec,
    });
    expect(messages(validateDisruptionBudget(budget({ minAvailable: "120%" })))).toEqual([
      'spec.minAvailable: Invalid value: "120%": must not be greater than 100%',
    ]);
    expect(messages(validateDisruptionBudget(budget({ minAvailable: 1, maxUnavailable: 1 })))).toEqual([
      'spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":1,"UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set',
    ]);
  });

  it("high priorities and names are the system's", () => {
    const made = (name: string, value: number): string[] =>
      messages(
        validatePriorityClass({ apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass", metadata: { ...metadata, name }, value }),
      );
    expect(made("mine", 1_000_000_001)).toEqual(["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]);
    expect(made("system-node-critical", 2_000_001_000)).toEqual([]);
    expect(made("system-mine", 1)).toHaveLength(1);
  });
});

describe("volumes, claims and classes", () => {
  const volume = (spec: PersistentVolume["spec"]): PersistentVolume => ({
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata,
    spec,
  });
  const base = { accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" } } as const;

  it("a volume has one source, and keeps it", () => {
    const local = { ...base, hostPath: { path: "/x" } };
    expect(messages(validatePersistentVolume(volume({ ...local, nfs: { server: "s", path: "/p" } })))).toEqual([
      "spec.nfs: Forbidden: may not specify more than 1 volume type",
    ]);
    const [error] = validatePersistentVolume(volume({ ...base, hostPath: { path: "/y" } }), volume(local));
    expect(error?.message).toMatch(/^spec\.persistentvolumesource: Forbidden: .*\n@@ [\s\S]*- {2}"Path": "\/x",\n\+ {2}"Path": "\/y",/);
  });

  const claim = (size: string, phase: "Bound" | "Pending"): PersistentVolumeClaim => ({
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata,
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: size } }, volumeMode: "Filesystem" },
    status: { phase, capacity: { storage: "1Gi" } },
  });

  it("a bound claim may grow, and shrink no further than what it has", () => {
    expect(validatePersistentVolumeClaim(claim("2Gi", "Bound"), claim("1Gi", "Bound"))).toEqual([]);
    expect(messages(validatePersistentVolumeClaim(claim("1Gi", "Bound"), claim("2Gi", "Bound")))).toEqual([
      "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity",
    ]);
    expect(messages(validatePersistentVolumeClaim(claim("2Gi", "Pending"), claim("1Gi", "Pending")))[0]).toContain(
      "spec is immutable after creation",
    );
  });

  it("a class names a qualified provisioner", () => {
    const storageClass = { apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata, volumeBindingMode: "Immediate" } as const;
    expect(messages(validateStorageClass({ ...storageClass, provisioner: "" }))).toEqual(["provisioner: Required value"]);
    expect(validateStorageClass({ ...storageClass, provisioner: "Example.com/X" })).toEqual([]);
  });

  it("an empty topology counts as one that was given before", () => {
    const storageClass = { apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata, volumeBindingMode: "Immediate" } as const;
    expect(messages(validateStorageClass({ ...storageClass, provisioner: "p", allowedTopologies: [{}] }))).toEqual([
      'allowedTopologies[0].matchLabelExpressions: Duplicate value: ""',
    ]);
  });

  it("topologies are compared whatever the order of their keys and values, and in time that is proportional to their number", () => {
    const storageClass = { apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata, volumeBindingMode: "Immediate" } as const;
    const found = (allowedTopologies: readonly TopologySelectorTerm[]): string[] =>
      messages(validateStorageClass({ ...storageClass, provisioner: "p", allowedTopologies }));
    const term = (...expressions: [string, string[]][]): TopologySelectorTerm => ({
      matchLabelExpressions: expressions.map(([key, values]) => ({ key, values })),
    });
    expect(found([term(["a", ["1", "2"]], ["b", ["3"]]), term(["b", ["3"]], ["a", ["2", "1", "2"]])])).toEqual([
      'allowedTopologies[1].matchLabelExpressions[1].values[2]: Duplicate value: "2"',
      'allowedTopologies[1].matchLabelExpressions: Duplicate value: ""',
    ]);
    expect(found(Array.from({ length: 50_000 }, (_, index) => term([`k${index}`, ["v"]])))).toEqual([]);
    expect(found([term(["k", Array.from({ length: 200_000 }, (_, index) => `v${index}`)])])).toEqual([]);
    expect(found(Array.from({ length: 50_000 }, () => ({}))).length).toBe(10_000);
  });
});

describe("events", () => {
  const event = (more: Partial<Event>): Event => ({
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata,
    eventTime: "2026-01-01T00:00:00.000000Z",
    type: "Normal",
    reason: "R",
    action: "A",
    reportingController: "example.com/c",
    reportingInstance: "i",
    regarding: { kind: "Pod", namespace: "default", name: "p" },
    ...more,
  });

  it("lie in the namespace of their object", () => {
    const found = validateCoreEvent({ apiVersion: "v1", kind: "Event", metadata, involvedObject: { namespace: "other" } });
    expect(messages(found)).toEqual(['involvedObject.namespace: Invalid value: "other": does not match event.namespace']);
  });

  it("of events.k8s.io are whole, and only their series goes on", () => {
    expect(validateEvent(event({}))).toEqual([]);
    expect(messages(validateEvent(event({ type: "Odd", action: "" })))).toEqual([
      "action: Required value",
      'type: Invalid value: "": has invalid value: Odd',
    ]);
    const labelled = event({ type: "Odd", action: "", metadata: { ...metadata, labels: { a: "-" } } });
    expect(validateEvent(labelled).map(({ field }) => field)).toEqual(["action", "metadata.labels", "type"]);
    const series = { count: 2, lastObservedTime: "2026-01-01T00:00:01.000000Z" };
    expect(validateEvent(event({ series }), event({}))).toEqual([]);
    expect(messages(validateEvent(event({ note: "n" }), event({})))).toEqual(['message: Invalid value: "n": field is immutable']);
    const finalized = event({ metadata: { ...metadata, finalizers: ["a"] }, series: { ...series, count: 1 } });
    expect(validateEvent(finalized, event({})).map(({ field }) => field)).toEqual(["metadata.finalizers[0]", "series.count"]);
    const related = { kind: "Pod", name: "b" };
    expect(messages(validateEvent(event({ related }), event({})))).toEqual([
      'related: Invalid value: {"Kind":"Pod","Namespace":"","Name":"b","UID":"","APIVersion":"","ResourceVersion":"","FieldPath":""}: field is immutable',
    ]);
  });
});
