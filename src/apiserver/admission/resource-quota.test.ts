import { beforeEach, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { conflict } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import {
  deployments,
  deviceclasses,
  events,
  persistentvolumeclaims,
  pods,
  resourceclaims,
  resourcequotas,
  services,
} from "../../api/resources.generated.ts";
import type { Pod, PodSpec, ResourceQuota } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { MemoryReader } from "./memory-reader.ts";
import type { LimitedResource } from "./quota-decision.ts";
import { admissionRequest, readingClient, runPlugin } from "./request-fixture.ts";
import { createResourceQuota } from "./resource-quota.ts";

let reader: MemoryReader;
let clock: VirtualClock;
let store: MemoryReader;
let plugin: AdmissionPlugin;
let writes: number;

beforeEach(() => {
  reader = new MemoryReader();
  clock = new VirtualClock();
  store = new MemoryReader();
  writes = 0;
  let version = 100;
  plugin = createResourceQuota({
    reader,
    clock,
    client: {
      ...readingClient(store),
      updateStatus: async <T extends KubernetesObject>(type: ResourceType<T>, object: T): Promise<T> => {
        const stored = store.informer(type).get(`ns/${object.metadata.name}`);
        if (stored?.metadata.resourceVersion !== object.metadata.resourceVersion) throw conflict(type, object.metadata.name, "changed");
        writes++;
        const written = { ...object, metadata: { ...object.metadata, resourceVersion: String(++version) } };
        store.informer(type).set(written);
        return written;
      },
    },
  });
});

/** A quota that nothing has been charged to, unless `used` says otherwise. */
function quota(name: string, hard: Record<string, string>, used: Record<string, string> = {}, spec: ResourceQuota["spec"] = {}): void {
  const zero = Object.fromEntries(Object.keys(hard).map((n) => [n, "0"]));
  const object = reader.put(resourcequotas, {
    metadata: { namespace: "ns", name, resourceVersion: "1" },
    spec: { hard, ...spec },
    status: { hard, used: { ...zero, ...used } },
  });
  store.put(resourcequotas, object);
}

const usedOf = (name: string) => store.informer(resourcequotas).get(`ns/${name}`)?.status?.used;

function pod(spec: Partial<PodSpec> = {}): Pod {
  return new MemoryReader().put(pods, {
    metadata: { namespace: "ns", name: "p" },
    spec: { containers: [{ name: "c", image: "x" }], ...spec },
  });
}

const cpu = (amount: string, name = "c") => ({ name, image: "x", resources: { requests: { cpu: amount } } });
const create = (object: Pod, more: Partial<AdmissionRequest> = {}) => runPlugin(plugin, admissionRequest(pods, object, more));

describe("ResourceQuota", () => {
  it("counts, charges and then refuses", async () => {
    quota("q", { pods: "1" });
    await create(pod());
    expect(usedOf("q")).toEqual({ pods: "1" });
    await expect(create(pod())).rejects.toMatchObject({
      code: 403,
      message: 'pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    });
  });

  it("charges requests that come at the same time one after the other", async () => {
    quota("q", { pods: "3" });
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => create(pod())));
    expect(results.filter((r) => r.status === "fulfilled")).toHaveLength(3);
    expect(usedOf("q")).toEqual({ pods: "3" });
  });

  it("looks again where another server has charged the quota", async () => {
    quota("q", { pods: "2" });
    store.put(resourcequotas, {
      metadata: { namespace: "ns", name: "q", resourceVersion: "50" },
      spec: {},
      status: { hard: { pods: "2" }, used: { pods: "1" } },
    });
    await create(pod());
    expect(usedOf("q")).toEqual({ pods: "2" });
    await expect(create(pod())).rejects.toThrow("exceeded quota");
  });

  it("does not charge dry runs", async () => {
    quota("q", { pods: "1" });
    await create(pod(), { dryRun: true });
    expect(writes).toBe(0);
  });

  it("charges no resize of a pod whose grace period is over", async () => {
    quota("q", { "requests.cpu": "1" }, { "requests.cpu": "900m" });
    const deletionTimestamp = new Date(clock.now()).toISOString();
    const leaving = (amount: string): Pod => {
      const { metadata, ...rest } = pod({ containers: [cpu(amount)] });
      return { ...rest, metadata: { ...metadata, deletionTimestamp, deletionGracePeriodSeconds: 30 } };
    };
    const resize = { operation: "UPDATE", subresource: "resize", oldObject: leaving("900m") } as const;
    await expect(create(leaving("2"), resize)).rejects.toThrow("exceeded quota: q, requested: requests.cpu=1100m");
    await clock.advance(31_000);
    await create(leaving("2"), resize);
    expect(usedOf("q")).toEqual({ "requests.cpu": "900m" });
  });

  it("names what is requested, used and limited, for what is exceeded only", async () => {
    quota("q", { "requests.cpu": "1", pods: "5" }, { "requests.cpu": "400m" });
    await expect(create(pod({ containers: [cpu("700m")] }))).rejects.toThrow(
      "exceeded quota: q, requested: requests.cpu=700m, used: requests.cpu=400m, limited: requests.cpu=1",
    );
    await expect(create(pod({ containers: [cpu("500m"), cpu("500m", "d")] }))).rejects.toThrow("requested: requests.cpu=1, used");
    await create(pod({ containers: [cpu("600m")] }));
    expect(usedOf("q")).toEqual({ "requests.cpu": "1", pods: "1" });
  });

  it("demands values where it limits them", async () => {
    quota("q", { "requests.cpu": "1", "limits.memory": "1Gi" });
    await expect(create(pod({ containers: [cpu("1"), { name: "d", image: "x" }] }))).rejects.toThrow(
      "failed quota: q: must specify limits.memory for: c,d; requests.cpu for: d",
    );
  });

  it("waits for the controller where the use is not known yet", async () => {
    reader.put(resourcequotas, { metadata: { namespace: "ns", name: "q" }, spec: {}, status: { hard: { pods: "1" } } });
    await expect(create(pod())).rejects.toThrow("status unknown for quota: q, resources: pods");
  });

  it("counts services by type, also when the type changes", async () => {
    quota("q", { services: "3", "services.nodeports": "1", "services.loadbalancers": "0" });
    const service = (type: "ClusterIP" | "NodePort" | "LoadBalancer") =>
      new MemoryReader().put(services, { metadata: { namespace: "ns", name: "s" }, spec: { type, ports: [{ port: 80 }] } });
    await expect(runPlugin(plugin, admissionRequest(services, service("LoadBalancer")))).rejects.toThrow(
      "exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0",
    );
    await runPlugin(plugin, admissionRequest(services, service("ClusterIP")));
    await runPlugin(plugin, admissionRequest(services, service("NodePort"), { operation: "UPDATE", oldObject: service("ClusterIP") }));
    expect(usedOf("q")).toEqual({ services: "1", "services.nodeports": "1", "services.loadbalancers": "0" });
  });

  it("counts claims per class, and other objects by number", async () => {
    const gold = "gold.storageclass.storage.k8s.io/requests.storage";
    quota("q", { "requests.storage": "10Gi", [gold]: "1Gi", "count/deployments.apps": "0" });
    const claim = new MemoryReader().put(persistentvolumeclaims, {
      metadata: { namespace: "ns", name: "c" },
      spec: { storageClassName: "gold", resources: { requests: { storage: "2Gi" } } },
    });
    await expect(runPlugin(plugin, admissionRequest(persistentvolumeclaims, claim))).rejects.toThrow(
      `exceeded quota: q, requested: ${gold}=2Gi, used: ${gold}=0, limited: ${gold}=1Gi`,
    );
    const deployment = new MemoryReader().put(deployments, {
      metadata: { namespace: "ns", name: "d" },
      spec: { selector: {}, template: { spec: { containers: [] } } },
    });
    await expect(runPlugin(plugin, admissionRequest(deployments, deployment))).rejects.toThrow("requested: count/deployments.apps=1");
  });

  it.each([
    ["BestEffort", pod(), pod({ containers: [cpu("1m")] })],
    ["NotBestEffort", pod({ containers: [cpu("1m")] }), pod()],
    ["Terminating", pod({ activeDeadlineSeconds: 5 }), pod()],
    ["NotTerminating", pod(), pod({ activeDeadlineSeconds: 5 })],
  ] as const)("keeps to its scope %s", async (scope, inside, outside) => {
    quota("q", { pods: "0" }, {}, { scopes: [scope] });
    await expect(create(inside)).rejects.toThrow("exceeded quota");
    await create(outside);
  });

  it("keeps to its priority classes and to pods that reach other namespaces", async () => {
    quota(
      "q",
      { pods: "0" },
      {},
      { scopeSelector: { matchExpressions: [{ scopeName: "PriorityClass", operator: "In", values: ["high"] }] } },
    );
    await expect(create(pod({ priorityClassName: "high" }))).rejects.toThrow("exceeded quota");
    await create(pod({ priorityClassName: "low" }));
    quota("q", { pods: "0" }, {}, { scopes: ["CrossNamespacePodAffinity"] });
    const term = { topologyKey: "k", namespaces: ["other"] };
    await expect(create(pod({ affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } }))).rejects.toThrow(
      "exceeded quota",
    );
    await create(pod());
  });

  it("keeps to the attributes classes of claims", async () => {
    const expression = { scopeName: "VolumeAttributesClass", operator: "In", values: ["gold"] } as const;
    quota("q", { persistentvolumeclaims: "0" }, {}, { scopeSelector: { matchExpressions: [expression] } });
    const claim = (volumeAttributesClassName: string, status = {}) =>
      new MemoryReader().put(persistentvolumeclaims, {
        metadata: { namespace: "ns", name: "c" },
        spec: { volumeAttributesClassName },
        status,
      });
    const make = (object: KubernetesObject) => runPlugin(plugin, admissionRequest(persistentvolumeclaims, object));
    await expect(make(claim("gold"))).rejects.toThrow("exceeded quota");
    await make(claim("silver"));
    await expect(make(claim("silver", { currentVolumeAttributesClassName: "gold" }))).rejects.toThrow("exceeded quota");
  });

  it("charges a pod that changes its scope, and gives nothing back", async () => {
    quota("q", { pods: "1" }, {}, { scopes: ["Terminating"] });
    quota("r", { pods: "5" }, { pods: "3" }, { scopes: ["NotTerminating"] });
    await create(pod({ activeDeadlineSeconds: 5 }), { operation: "UPDATE", oldObject: pod() });
    expect([usedOf("q"), usedOf("r")]).toEqual([{ pods: "1" }, { pods: "3" }]);
    expect(plugin.handles(admissionRequest(pods, pod(), { operation: "UPDATE", oldObject: pod() }))).toBe(false);
  });

  it("counts the devices of claims as the extended resource of their class", async () => {
    quota("q", { "requests.example.com/gpu": "3" });
    reader.put(deviceclasses, { metadata: { name: "gpus" }, spec: { extendedResourceName: "example.com/gpu" } });
    const exactly = { deviceClassName: "gpus", allocationMode: "ExactCount" as const, count: 2 };
    const claim = new MemoryReader().put(resourceclaims, {
      metadata: { namespace: "ns", name: "c" },
      spec: { devices: { requests: [{ name: "r", exactly }] } },
    });
    await runPlugin(plugin, admissionRequest(resourceclaims, claim));
    expect(usedOf("q")).toEqual({ "requests.example.com/gpu": "2" });
    await expect(runPlugin(plugin, admissionRequest(resourceclaims, claim))).rejects.toThrow(
      "requested: requests.example.com/gpu=2, used: requests.example.com/gpu=2, limited: requests.example.com/gpu=3",
    );
  });

  it("does not count events", () => {
    expect(
      plugin.handles(admissionRequest(events, new MemoryReader().put(events, { metadata: { namespace: "ns", name: "e" } } as never))),
    ).toBe(false);
  });
});

describe("resources limited by default", () => {
  const limiting = (limited: LimitedResource) => createResourceQuota({ reader, clock, client: readingClient(store) as never }, [limited]);
  const limit = { apiGroup: "", resource: "pods", matchContains: [], matchScopes: [] };

  it("need a quota that says how much", async () => {
    const limited = limiting({ ...limit, matchContains: ["requests.cpu"] });
    const object = pod({ containers: [cpu("1")] });
    await expect(runPlugin(limited, admissionRequest(pods, object))).rejects.toThrow(
      'pods "p" is forbidden: insufficient quota to consume: requests.cpu',
    );
    await runPlugin(limited, admissionRequest(pods, pod()));
    quota("q", { "requests.cpu": "5" });
    await runPlugin(limited, admissionRequest(pods, object, { dryRun: true }));
  });

  it("need a quota with the scope", async () => {
    const scope = { scopeName: "PriorityClass", operator: "In", values: ["high"] } as const;
    const limited = limiting({ ...limit, matchScopes: [scope] });
    const high = admissionRequest(pods, pod({ priorityClassName: "high" }), { dryRun: true });
    await expect(runPlugin(limited, high)).rejects.toThrow("insufficient quota to match these scopes: [{PriorityClass In [high]}]");
    quota("q", { pods: "5" }, {}, { scopeSelector: { matchExpressions: [scope] } });
    await runPlugin(limited, high);
  });
});
