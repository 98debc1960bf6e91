// Plugins that are off by default, each on its own.
import { beforeEach, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { alreadyExists } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { configmaps, deployments, events, namespaces, nodes, pods, replicasets, services } from "../../api/resources.generated.ts";
import type { Pod, PodSpec } from "../../api/types/core-v1.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import type { WebhookCall } from "../webhook/webhook-client.ts";
import { WebhookError } from "../webhook/webhook-error.ts";
import { createAlwaysDeny } from "./always-deny.ts";
import { createAlwaysPullImages } from "./always-pull-images.ts";
import { createClusterTrustBundleAttest } from "./cluster-trust-bundle-attest.ts";
import { createDenyServiceExternalIPs } from "./deny-service-external-ips.ts";
import { createEventRateLimit } from "./event-rate-limit.ts";
import { createExtendedResourceToleration } from "./extended-resource-toleration.ts";
import { createImagePolicyWebhook } from "./image-policy-webhook.ts";
import { createLimitPodHardAntiAffinityTopology } from "./limit-pod-hard-anti-affinity-topology.ts";
import { MemoryReader } from "./memory-reader.ts";
import { createNamespaceAutoProvision } from "./namespace-auto-provision.ts";
import { createNamespaceExists } from "./namespace-exists.ts";
import { createNodeDeclaredFeatureValidator } from "./node-declared-feature-validator.ts";
import { createOwnerReferencesPermission } from "./owner-references-permission.ts";
import { createPodNodeSelector } from "./pod-node-selector.ts";
import { createPodResizeValidator } from "./pod-resize-validator.ts";
import { createPodTolerationRestriction } from "./pod-toleration-restriction.ts";
import { admissionRequest, readingClient, runPlugin } from "./request-fixture.ts";
import { createSecurityContextDeny } from "./security-context-deny.ts";

let reader: MemoryReader;
beforeEach(() => {
  reader = new MemoryReader();
});

const make = <T extends KubernetesObject>(type: ResourceType<T>, object: object): T =>
  new MemoryReader().put(type, { metadata: { namespace: "ns", name: "x" }, ...object } as never);
const pod = (spec: Partial<PodSpec> = {}): Pod => make(pods, { spec: { containers: [{ name: "c", image: "i" }], ...spec } });
const deps = () => ({ reader, client: readingClient(reader) });
const withNamespace = (annotations: Record<string, string> = {}) =>
  reader.put(namespaces, { metadata: { name: "ns", annotations }, spec: {} });
const refusal = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "allowed",
    (error: Error) => error.message,
  );
const update = (object: KubernetesObject, oldObject: KubernetesObject, more = {}) =>
  ({ operation: "UPDATE", oldObject, object, ...more }) as const;

const asked: AuthorizationAttributes[] = [];
const onlyFor = (allows: (about: AuthorizationAttributes) => boolean): Authorizer => ({
  authorize: (about) => {
    asked.push(about);
    return { decision: allows(about) ? "allow" : "no-opinion", reason: "" };
  },
});

describe("NamespaceExists", () => {
  it("refuses writes in namespaces that nobody knows", async () => {
    const plugin = createNamespaceExists(deps());
    const request = admissionRequest(configmaps, make(configmaps, {}));
    expect(await refusal(runPlugin(plugin, request))).toBe('namespaces "ns" not found');
    withNamespace();
    expect(await refusal(runPlugin(plugin, request))).toBe("allowed");
  });
});

describe("NamespaceAutoProvision", () => {
  it("makes the namespace of what is created, once", async () => {
    const made: string[] = [];
    const client = {
      create: async (_type: ResourceType, object: { metadata: { name?: string } }) => {
        if (made.length > 0) throw alreadyExists(namespaces, "ns");
        made.push(object.metadata.name ?? "");
        return object as never;
      },
    };
    const plugin = createNamespaceAutoProvision({ reader, client });
    const request = admissionRequest(configmaps, make(configmaps, {}));
    await runPlugin(plugin, { ...request, dryRun: true });
    expect(made).toEqual([]);
    await runPlugin(plugin, request);
    await runPlugin(plugin, request);
    expect(made).toEqual(["ns"]);
  });
});

describe("AlwaysDeny", () => {
  it("denies", async () => {
    const request = admissionRequest(configmaps, make(configmaps, {}));
    expect(await refusal(runPlugin(createAlwaysDeny(), request))).toBe(
      'configmaps "x" is forbidden: admission control is denying all modifications',
    );
  });
});

describe("AlwaysPullImages", () => {
  const plugin = createAlwaysPullImages();

  it("sets the policy of every image", async () => {
    const spec = { initContainers: [{ name: "i", image: "i" }], volumes: [{ name: "v", image: { reference: "r" } }] };
    const pulled = await runPlugin<Pod>(plugin, admissionRequest(pods, pod(spec)));
    expect(pulled.spec).toMatchObject({
      containers: [{ imagePullPolicy: "Always" }],
      initContainers: [{ imagePullPolicy: "Always" }],
      volumes: [{ image: { pullPolicy: "Always" } }],
    });
  });

  it("leaves pods alone that get no new image, and refuses what others have changed since", async () => {
    const never = pod({ containers: [{ name: "c", image: "i", imagePullPolicy: "Never" }] });
    expect(plugin.handles(admissionRequest(pods, never, update(never, never)))).toBe(false);
    expect(() => plugin.validate?.(admissionRequest(pods, never))).toThrow(
      'pods "x" is forbidden: spec.containers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always"',
    );
  });
});

describe("LimitPodHardAntiAffinityTopology", () => {
  it("allows required anti-affinity by host only", async () => {
    const plugin = createLimitPodHardAntiAffinityTopology();
    const keyed = (topologyKey: string) =>
      pod({ affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey }] } } });
    expect(await refusal(runPlugin(plugin, admissionRequest(pods, keyed("kubernetes.io/hostname"))))).toBe("allowed");
    expect(await refusal(runPlugin(plugin, admissionRequest(pods, keyed("zone"))))).toBe(
      'pods "x" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but only key kubernetes.io/hostname is allowed',
    );
  });
});

describe("SecurityContextDeny", () => {
  const plugin = createSecurityContextDeny();
  const answer = (spec: Partial<PodSpec>) => refusal(runPlugin(plugin, admissionRequest(pods, pod(spec))));
  const container = { name: "c", image: "i" };

  it.each<[string, Partial<PodSpec>]>([
    ["pod.Spec.SecurityContext.SupplementalGroups", { securityContext: { supplementalGroups: [1] } }],
    ["pod.Spec.SecurityContext.SELinuxOptions", { securityContext: { seLinuxOptions: { user: "u" } } }],
    ["pod.Spec.SecurityContext.RunAsUser", { securityContext: { runAsUser: 0, fsGroup: 1 } }],
    ["pod.Spec.SecurityContext.FSGroup", { securityContext: { fsGroup: 1 } }],
    ["SecurityContext.SELinuxOptions", { containers: [{ ...container, securityContext: { seLinuxOptions: {} } }] }],
    ["SecurityContext.RunAsUser", { initContainers: [{ ...container, securityContext: { runAsUser: 1 } }] }],
  ])("forbids %s", async (field, spec) => {
    expect(await answer(spec)).toBe(`pods "x" is forbidden: ${field} is forbidden`);
  });

  it("lets the rest of a security context be", async () => {
    const securityContext = { runAsNonRoot: true, privileged: false, capabilities: { drop: ["ALL"] } };
    expect(await answer({ securityContext: { runAsNonRoot: true }, containers: [{ ...container, securityContext }] })).toBe("allowed");
  });
});

describe("DenyServiceExternalIPs", () => {
  it("lets services keep what they have", async () => {
    const plugin = createDenyServiceExternalIPs();
    const service = (...externalIPs: string[]) => make(services, { spec: { externalIPs } });
    const denied = 'services "x" is forbidden: Use of external IPs is denied by admission control';
    expect(await refusal(runPlugin(plugin, admissionRequest(services, service("1.2.3.4"))))).toBe(denied);
    const kept = update(service("1.2.3.4"), service("1.2.3.4", "5.6.7.8"));
    expect(await refusal(runPlugin(plugin, admissionRequest(services, kept.object, kept)))).toBe("allowed");
    const added = update(service("1.2.3.4", "9.9.9.9"), service("1.2.3.4"));
    expect(await refusal(runPlugin(plugin, admissionRequest(services, added.object, added)))).toBe(denied);
  });
});

describe("ExtendedResourceToleration", () => {
  it("tolerates the taints of the devices that are asked for", async () => {
    const requests = { cpu: "1", "example.com/b": "1", "example.com/a": "1" };
    const own = { key: "example.com/a", operator: "Exists", effect: "NoSchedule" } as const;
    const object = pod({ containers: [{ name: "c", image: "i", resources: { requests } }], tolerations: [own] });
    const tolerant = await runPlugin<Pod>(createExtendedResourceToleration(), admissionRequest(pods, object));
    expect(tolerant.spec?.tolerations).toEqual([own, { key: "example.com/b", operator: "Exists", effect: "NoSchedule" }]);
  });
});

describe("PodNodeSelector", () => {
  const settings = new Map([
    ["clusterDefaultNodeSelector", "pool=general"],
    ["ns", "pool=general,zone=a"],
  ]);

  it("adds the cluster's default, and allows what the namespace is given", async () => {
    withNamespace();
    const plugin = createPodNodeSelector(deps(), settings);
    const selected = await runPlugin<Pod>(plugin, admissionRequest(pods, pod({ nodeSelector: { zone: "a" } })));
    expect(selected.spec?.nodeSelector).toEqual({ pool: "general", zone: "a" });
    expect(await refusal(runPlugin(plugin, admissionRequest(pods, pod({ nodeSelector: { zone: "b" } }))))).toBe(
      'pods "x" is forbidden: pod node label selector labels conflict with its namespace whitelist',
    );
    expect(await refusal(runPlugin(plugin, admissionRequest(pods, pod({ nodeSelector: { pool: "other" } }))))).toBe(
      'pods "x" is forbidden: pod node label selector conflicts with its namespace node label selector',
    );
  });

  it("takes the namespace's annotation instead of the default", async () => {
    withNamespace({ "scheduler.alpha.kubernetes.io/node-selector": "pool=special" });
    const plugin = createPodNodeSelector(deps());
    const selected = await runPlugin<Pod>(plugin, admissionRequest(pods, pod()));
    expect(selected.spec?.nodeSelector).toEqual({ pool: "special" });
    withNamespace({ "scheduler.alpha.kubernetes.io/node-selector": "pool" });
    expect(await refusal(runPlugin(plugin, admissionRequest(pods, pod())))).toBe("invalid selector: [pool]");
  });
});

describe("PodTolerationRestriction", () => {
  const gpu = { key: "gpu", operator: "Exists", effect: "NoSchedule" } as const;

  it("gives the namespace's default tolerations, or the cluster's", async () => {
    withNamespace({ "scheduler.alpha.kubernetes.io/defaultTolerations": JSON.stringify([gpu]) });
    const plugin = createPodTolerationRestriction(deps(), { default: [{ ...gpu, key: "other" }], whitelist: [] });
    expect((await runPlugin<Pod>(plugin, admissionRequest(pods, pod()))).spec?.tolerations).toEqual([gpu]);
    withNamespace();
    expect((await runPlugin<Pod>(plugin, admissionRequest(pods, pod()))).spec?.tolerations).toEqual([{ ...gpu, key: "other" }]);
  });

  it("says what is wrong with an annotation that is no JSON", async () => {
    withNamespace({ "scheduler.alpha.kubernetes.io/defaultTolerations": "bad" });
    await expect(runPlugin(createPodTolerationRestriction(deps()), admissionRequest(pods, pod()))).rejects.toMatchObject({
      code: 500,
      message: "invalid character 'b' looking for beginning of value",
    });
  });

  it("lets pods with requests tolerate memory pressure", async () => {
    withNamespace();
    const burstable = pod({ containers: [{ name: "c", image: "i", resources: { requests: { cpu: "1" } } }] });
    const tolerant = await runPlugin<Pod>(createPodTolerationRestriction(deps()), admissionRequest(pods, burstable));
    expect(tolerant.spec?.tolerations).toEqual([{ key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" }]);
  });

  it("refuses tolerations outside the whitelist", async () => {
    withNamespace({ "scheduler.alpha.kubernetes.io/tolerationsWhitelist": JSON.stringify([gpu]) });
    const plugin = createPodTolerationRestriction(deps());
    expect(await refusal(runPlugin(plugin, admissionRequest(pods, pod({ tolerations: [gpu] }))))).toBe("allowed");
    expect(await refusal(runPlugin(plugin, admissionRequest(pods, pod({ tolerations: [{ ...gpu, key: "no" }] }))))).toBe(
      "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist",
    );
  });
});

describe("EventRateLimit", () => {
  it("takes a burst, then so many a second", async () => {
    const clock = new VirtualClock();
    const limit = { qps: 1, burst: 2, cacheSize: 10 };
    const plugin = createEventRateLimit({ clock }, [
      { type: "Namespace", ...limit },
      { type: "User", ...limit, burst: 3 },
    ]);
    const send = (namespace: string) => refusal(runPlugin(plugin, admissionRequest(events, make(events, {}), { namespace })));
    expect([await send("a"), await send("a"), await send("a"), await send("b")]).toEqual([
      "allowed",
      "allowed",
      "Too many requests: limit reached on type Namespace for key a",
      "Too many requests: limit reached on type User for key jane",
    ]);
    await clock.advance(1000);
    expect(await send("a")).toBe("allowed");
  });
});

describe("ImagePolicyWebhook", () => {
  const settings = { kubeConfigFile: "f", allowTtlMs: 1000, denyTtlMs: 0, retryBackoffMs: 1, defaultAllow: false };
  const withAnswer = (answer: () => unknown, more = {}) => {
    const calls: WebhookCall[] = [];
    const clock = new VirtualClock();
    const webhooks = {
      post: async (_target: unknown, call: WebhookCall) => {
        calls.push(call);
        return answer();
      },
      stop: async () => undefined,
    };
    const plugin = createImagePolicyWebhook({ webhooks, clock, target: async () => ({ url: "u" }) }, { ...settings, ...more });
    const annotations: Record<string, string> = {};
    const annotate = (key: string, value: string): void => void (annotations[key] = value);
    return { calls, clock, annotations, ask: () => refusal(runPlugin(plugin, admissionRequest(pods, pod(), { annotate }))) };
  };

  it("asks with the pod's images, and remembers the answer for a while", async () => {
    const { ask, calls, clock } = withAnswer(() => ({ status: { allowed: true } }));
    expect([await ask(), await ask(), calls.length]).toEqual(["allowed", "allowed", 1]);
    expect(calls[0]?.body).toMatchObject({ kind: "ImageReview", spec: { containers: [{ image: "i" }], namespace: "ns" } });
    await clock.advance(1001);
    expect([await ask(), calls.length]).toEqual(["allowed", 2]);
  });

  it("refuses with the reason that it is told", async () => {
    expect(await withAnswer(() => ({ status: { allowed: false, reason: "old" } })).ask()).toBe(
      'pods "x" is forbidden: image policy webhook backend denied one or more images: old',
    );
    expect(await withAnswer(() => ({})).ask()).toBe('pods "x" is forbidden: one or more images rejected by webhook backend');
  });

  it("lets pods pass or not when nobody answers, as configured", async () => {
    const broken = (): never => {
      throw new WebhookError("status", "gone", { httpStatus: 404 });
    };
    expect(await withAnswer(broken).ask()).toBe('pods "x" is forbidden: gone');
    expect(await withAnswer(broken, { defaultAllow: true }).ask()).toBe("allowed");
  });

  it("takes nothing for a permission but a review that can be read", async () => {
    const allowed = { allowed: true };
    const answered = (answer: unknown) => withAnswer(() => answer).ask();
    expect(await answered({ kind: "ImageReview", apiVersion: "imagepolicy.k8s.io/v1alpha1", status: allowed })).toBe("allowed");
    expect(await answered({ status: { allowed: "true" } })).toBe(
      'pods "x" is forbidden: json: cannot unmarshal string into Go struct field ImageReviewStatus.status.allowed of type bool',
    );
    expect(await answered({ status: { ...allowed, auditAnnotations: { a: 1 } } })).toBe(
      'pods "x" is forbidden: json: cannot unmarshal number into Go struct field ImageReviewStatus.status.auditAnnotations of type string',
    );
    expect(await answered({ status: [] })).toBe(
      'pods "x" is forbidden: json: cannot unmarshal array into Go struct field ImageReview.status of type v1alpha1.ImageReviewStatus',
    );
    expect(await answered({ apiVersion: "v1", kind: "Pod", status: allowed })).toBe(
      'pods "x" is forbidden: converting (v1.Pod) to (v1alpha1.ImageReview): unknown conversion',
    );
    expect(await answered({ apiVersion: "imagepolicy.k8s.io/v1", kind: "ImageReview", status: allowed })).toBe(
      'pods "x" is forbidden: no kind "ImageReview" is registered for version "imagepolicy.k8s.io/v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
    );
  });

  it("asks again after what passes, and passes on that the question is forbidden", async () => {
    const failing = (error: WebhookError) => withAnswer(() => Promise.reject(error), { retryBackoffMs: 100 });
    const sick = failing(new WebhookError("status", "sick", { httpStatus: 500 }));
    const asked = sick.ask();
    // 100 ms, then half as much again each time, and up to a fifth more.
    await sick.clock.advance((100 + 150 + 225 + 337.5) * 1.2);
    expect([await asked, sick.calls.length]).toEqual(['pods "x" is forbidden: sick', 5]);
    const closed = failing(new WebhookError("connection", 'Post "https://x": EOF'));
    expect([await closed.ask(), closed.calls.length]).toEqual(['pods "x" is forbidden: Post "https://x": EOF', 1]);
    expect(await failing(new WebhookError("status", "not you", { httpStatus: 403, reason: "Forbidden" })).ask()).toBe("not you");
  });

  it("tells the audit log what it is told, under keys that are some, and that nobody answered", async () => {
    const told = withAnswer(() => ({ status: { allowed: true, auditAnnotations: { a: "1", "b/c": "2", "": "3", "d e": "4" } } }));
    expect([await told.ask(), told.annotations]).toEqual(["allowed", { "imagepolicywebhook.image-policy.k8s.io/a": "1" }]);
    const open = withAnswer(() => ({ status: { allowed: "yes" } }), { defaultAllow: true });
    expect([await open.ask(), open.annotations]).toEqual(["allowed", { "imagepolicywebhook.image-policy.k8s.io/failed-open": "true" }]);
  });
});

describe("OwnerReferencesPermissionEnforcement", () => {
  const owner = (more: Partial<OwnerReference> = {}): OwnerReference => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    name: "d",
    uid: "u",
    ...more,
  });
  const owned = (...ownerReferences: OwnerReference[]) => make(replicasets, { metadata: { namespace: "ns", name: "x", ownerReferences } });
  const run = (allows: (about: AuthorizationAttributes) => boolean, object: KubernetesObject, old?: KubernetesObject): Promise<string> => {
    asked.length = 0;
    const kinds = { resourcesOf: ({ kind }: { kind: string }) => (kind === "Deployment" ? [deployments] : []) };
    const plugin = createOwnerReferencesPermission({ authorizer: onlyFor(allows), kinds });
    return refusal(runPlugin(plugin, admissionRequest(replicasets, object, old ? update(object, old) : {})));
  };

  it("wants the right to delete from who sets owners of what exists", async () => {
    expect(await run(() => false, owned(owner()))).toBe("allowed");
    expect(await run(() => false, owned(owner()), owned())).toBe(
      'replicasets.apps "x" is forbidden: cannot set an ownerRef on a resource you can\'t delete: , <nil>',
    );
    expect(await run(({ verb }) => verb === "delete", owned(owner()), owned())).toBe("allowed");
    expect(await run(() => false, owned(owner()), owned(owner()))).toBe("allowed");
    expect(asked).toEqual([]);
  });

  it("wants the right to set the owner's finalizers from who blocks its deletion", async () => {
    const blocking = owned(owner({ blockOwnerDeletion: true }));
    expect(await run(() => false, blocking)).toBe(
      'replicasets.apps "x" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can\'t set finalizers on: , <nil>',
    );
    expect(asked.at(-1)).toMatchObject({ verb: "update", resource: "deployments", subresource: "finalizers", namespace: "ns", name: "d" });
    expect(await run(({ name }) => name === "d", blocking)).toBe("allowed");
    expect(await run(() => false, owned(owner({ kind: "Thing", blockOwnerDeletion: true })))).toBe(
      'replicasets.apps "x" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion apps/v1 Kind Thing: no matches for kind "Thing" in version "apps/v1"',
    );
  });
});

describe("ClusterTrustBundleAttest", () => {
  const type = { ...nodes, group: "certificates.k8s.io", version: "v1beta1", resource: "clustertrustbundles", kind: "ClusterTrustBundle" };
  const bundle = (spec: object, more = {}) => ({ ...make(nodes, { spec }), ...more }) as KubernetesObject;

  it("wants the verb attest on the signer", async () => {
    const plugin = createClusterTrustBundleAttest({ authorizer: onlyFor(({ verb, name }) => verb === "attest" && name === "a.b/*") });
    expect(await refusal(runPlugin(plugin, admissionRequest(type, bundle({ signerName: "a.b/c" }))))).toBe("allowed");
    expect(await refusal(runPlugin(plugin, admissionRequest(type, bundle({}))))).toBe("allowed");
    const other = bundle({ signerName: "x.y/z" });
    expect(await refusal(runPlugin(plugin, admissionRequest(type, other)))).toBe(
      'clustertrustbundles.certificates.k8s.io "x" is forbidden: user not permitted to attest for signerName "x.y/z"',
    );
    const released = { ...other, metadata: { ...other.metadata, finalizers: ["f"] } };
    expect(await refusal(runPlugin(plugin, admissionRequest(type, released, update(released, other))))).toBe("allowed");
  });
});

describe("plugins of pods on nodes", () => {
  const resized = (generation: number, spec: Partial<PodSpec>): Pod => {
    const object = pod({ nodeName: "n", ...spec });
    return { ...object, metadata: { ...object.metadata, generation } };
  };
  const asking = (cpu: string) => ({ containers: [{ name: "c", image: "i", resources: { requests: { cpu } } }] });

  it("PodResizeValidator holds a pod to what its node has", async () => {
    const plugin = createPodResizeValidator({ reader });
    const resize = (cpu: string) => {
      const object = resized(2, asking(cpu));
      return runPlugin(plugin, admissionRequest(pods, object, update(object, resized(1, asking("1")), { subresource: "resize" })));
    };
    expect(await refusal(resize("2"))).toBe('pods "x" is forbidden: node "n" not found');
    reader.put(nodes, { metadata: { name: "n" }, spec: {}, status: { allocatable: { cpu: "2", memory: "1Gi" } } });
    expect(await refusal(resize("2"))).toBe("allowed");
    await expect(resize("3")).rejects.toMatchObject({
      message: 'pods "x" is forbidden: node didn\'t have enough allocatable resources: cpu, requested: 3000, allocatable: 2000',
      status: { details: { causes: [{ reason: "NodeCapacity" }] } },
    });
    reader.put(nodes, { metadata: { name: "n", labels: { "kubernetes.io/os": "windows" } }, spec: {}, status: {} });
    expect(await refusal(resize("1"))).toContain('pod resize is only supported on linux nodes, node "n" is "windows"');
  });

  it("NodeDeclaredFeatureValidator allows what the node has declared", async () => {
    const plugin = createNodeDeclaredFeatureValidator({ reader });
    const whole = (cpu: string) => ({ resources: { requests: { cpu } } });
    const change = () => {
      const object = resized(2, whole("2"));
      return runPlugin(plugin, admissionRequest(pods, object, update(object, resized(1, whole("1")), { subresource: "resize" })));
    };
    reader.put(nodes, { metadata: { name: "n" }, spec: {}, status: {} });
    expect(await refusal(change())).toBe(
      'pods "x" is forbidden: pod update requires features InPlacePodLevelResourcesVerticalScaling which are not available on node "n"',
    );
    reader.put(nodes, {
      metadata: { name: "n" },
      spec: {},
      status: { declaredFeatures: ["InPlacePodLevelResourcesVerticalScaling"] } as never,
    });
    expect(await refusal(change())).toBe("allowed");
  });
});
