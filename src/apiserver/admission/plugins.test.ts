import { beforeEach, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import {
  certificatesigningrequests,
  configmaps,
  ingressclasses,
  ingresses,
  limitranges,
  namespaces,
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  priorityclasses,
  runtimeclasses,
  serviceaccounts,
  storageclasses,
} from "../../api/resources.generated.ts";
import type { Container, LimitRangeItem, Pod, PodSpec, ServiceAccount } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { generateKey } from "../../base/x509/certificate.ts";
import { createSigningRequest } from "../../base/x509/signing-request.ts";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import { createCertificateApproval, createCertificateSigning, createCertificateSubjectRestriction } from "./certificate-signers.ts";
import { createAdmissionPlugins } from "./create-admission-plugins.ts";
import { createDefaultIngressClass } from "./default-ingress-class.ts";
import { createDefaultStorageClass } from "./default-storage-class.ts";
import { createDefaultTolerationSeconds } from "./default-toleration-seconds.ts";
import { createLimitRanger } from "./limit-ranger.ts";
import { MemoryReader } from "./memory-reader.ts";
import { createNamespaceLifecycle } from "./namespace-lifecycle.ts";
import { createPersistentVolumeClaimResize } from "./persistent-volume-claim-resize.ts";
import { createPodTopologyLabels } from "./pod-topology-labels.ts";
import { createPriority } from "./priority.ts";
import { admissionRequest, readingClient, runPlugin } from "./request-fixture.ts";
import { createRuntimeClass } from "./runtime-class.ts";
import { createServiceAccount } from "./service-account.ts";
import { createStorageObjectInUseProtection } from "./storage-object-in-use-protection.ts";
import { createTaintNodesByCondition } from "./taint-nodes-by-condition.ts";
import { mergeTolerations } from "./tolerations.ts";

const clock = new VirtualClock();
let reader: MemoryReader;
beforeEach(() => {
  reader = new MemoryReader();
});

function pod(spec: Partial<PodSpec> = {}, annotations?: Record<string, string>): Pod {
  return new MemoryReader().put(pods, {
    metadata: { namespace: "ns", name: "p", ...(annotations ? { annotations } : {}) },
    spec: { containers: [{ name: "c", image: "busybox" }], ...spec },
  });
}

const container = (name: string, requests: Record<string, string> = {}, limits: Record<string, string> = {}): Container => ({
  name,
  image: "busybox",
  resources: { requests, limits },
});

const mayDo = (allows: (a: AuthorizationAttributes) => boolean): Authorizer => ({
  authorize: (a) => ({ decision: allows(a) ? "allow" : "no-opinion", reason: "" }),
});

describe("NamespaceLifecycle", () => {
  const configMap = () => new MemoryReader().put(configmaps, { metadata: { namespace: "ns", name: "m" } });
  const plugin = () => createNamespaceLifecycle({ reader, client: readingClient(reader), clock });
  const namespace = (phase: "Active" | "Terminating") => reader.put(namespaces, { metadata: { name: "ns" }, spec: {}, status: { phase } });

  it("lets nothing be created in a namespace that is absent or terminating", async () => {
    const request = admissionRequest(configmaps, configMap());
    await expect(runPlugin(plugin(), request)).rejects.toMatchObject({ code: 404, message: 'namespaces "ns" not found' });
    namespace("Active");
    await runPlugin(plugin(), request);
    namespace("Terminating");
    await expect(runPlugin(plugin(), request)).rejects.toMatchObject({
      code: 403,
      message: 'configmaps "m" is forbidden: unable to create new content in namespace ns because it is being terminated',
      status: {
        details: { causes: [{ reason: "NamespaceTerminating", message: "namespace ns is being terminated", field: "metadata.namespace" }] },
      },
    });
    await runPlugin(plugin(), admissionRequest(configmaps, configMap(), { operation: "UPDATE" }));
  });

  it("keeps the system's namespaces from being deleted", async () => {
    const request = (name: string) => admissionRequest(namespaces, undefined, { operation: "DELETE", name });
    await expect(runPlugin(plugin(), request("kube-system"))).rejects.toThrow(
      'namespaces "kube-system" is forbidden: this namespace may not be deleted',
    );
    await runPlugin(plugin(), request("ns"));
  });

  it("looks into the store where it has just seen the namespace being deleted", async () => {
    namespace("Active");
    const store = new MemoryReader();
    store.put(namespaces, { metadata: { name: "ns" }, spec: {}, status: { phase: "Terminating" } });
    const lifecycle = createNamespaceLifecycle({ reader, client: readingClient(store), clock });
    const request = admissionRequest(configmaps, configMap());
    await runPlugin(lifecycle, request);
    await runPlugin(lifecycle, admissionRequest(namespaces, undefined, { operation: "DELETE", name: "ns" }));
    await expect(runPlugin(lifecycle, request)).rejects.toMatchObject({ code: 403 });
    await clock.advance(31_000);
    await runPlugin(lifecycle, request);
  });
});

describe("ServiceAccount", () => {
  const plugin = () => createServiceAccount({ reader, client: readingClient(reader), clock });
  const account = (more: Partial<ServiceAccount> = {}, name = "default", annotations: Record<string, string> = {}) =>
    reader.put(serviceaccounts, { ...more, metadata: { namespace: "ns", name, annotations } });
  const admit = (p: Pod) => runPlugin<Pod>(plugin(), admissionRequest(pods, p));

  it("gives pods the default account and its token", async () => {
    account();
    const { spec } = await admit(pod({ initContainers: [{ name: "i", image: "x" }] }));
    expect(spec).toMatchObject({ serviceAccountName: "default", serviceAccount: "default" });
    const name = spec?.volumes?.[0]?.name ?? "";
    expect(name).toMatch(/^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(spec?.volumes?.[0]?.projected).toEqual({
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        { downwardAPI: { items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }] } },
      ],
      defaultMode: 420,
    });
    const mount = { name, readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" };
    expect([spec?.containers[0]?.volumeMounts, spec?.initContainers?.[0]?.volumeMounts]).toEqual([[mount], [mount]]);
  });

  it("mounts nothing where pod or account refuse, the pod deciding", async () => {
    account({ automountServiceAccountToken: false });
    expect((await admit(pod())).spec?.volumes).toBeUndefined();
    expect((await admit(pod({ automountServiceAccountToken: true }))).spec?.volumes).toHaveLength(1);
    account();
    expect((await admit(pod({ automountServiceAccountToken: false }))).spec?.volumes).toBeUndefined();
  });

  it("leaves containers alone that mount something there themselves", async () => {
    account();
    const own = { name: "c", image: "x", volumeMounts: [{ name: "v", mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" }] };
    const { spec } = await admit(pod({ containers: [own], volumes: [{ name: "v", emptyDir: {} }] }));
    expect(spec?.containers[0]).toEqual(own);
    expect(spec?.volumes).toHaveLength(1);
  });

  it("hands on the account's pull secrets, unless the pod has its own", async () => {
    account({ imagePullSecrets: [{ name: "reg" }] });
    expect((await admit(pod())).spec?.imagePullSecrets).toEqual([{ name: "reg" }]);
    expect((await admit(pod({ imagePullSecrets: [{ name: "mine" }] }))).spec?.imagePullSecrets).toEqual([{ name: "mine" }]);
  });

  it("waits a while for the default account, and refuses unknown ones", async () => {
    await expect(admit(pod({ serviceAccountName: "builder" }))).rejects.toMatchObject({
      code: 403,
      message: 'pods "p" is forbidden: error looking up service account ns/builder: serviceaccount "builder" not found',
    });
    const waiting = admit(pod());
    await clock.advance(300);
    account();
    await clock.advance(300);
    expect((await waiting).spec?.serviceAccountName).toBe("default");
  });

  it("limits an account to the secrets it lists", async () => {
    account({ secrets: [{ name: "ok" }] }, "tight", { "kubernetes.io/enforce-mountable-secrets": "true" });
    const tight = (spec: Partial<PodSpec>) => admit(pod({ serviceAccountName: "tight", automountServiceAccountToken: false, ...spec }));
    const because = "is not allowed because service account tight does not reference that";
    await expect(tight({ volumes: [{ name: "v", secret: { secretName: "other" } }] })).rejects.toThrow(
      `volume with secret.secretName="other" ${because} secret`,
    );
    await expect(
      tight({ containers: [{ name: "c", image: "x", env: [{ name: "A", valueFrom: { secretKeyRef: { name: "other", key: "k" } } }] }] }),
    ).rejects.toThrow(`container c with envVar A referencing secret.secretName="other" ${because} secret`);
    await expect(tight({ imagePullSecrets: [{ name: "other" }] })).rejects.toThrow(
      `imagePullSecrets[0].name="other" ${because} imagePullSecret`,
    );
    await tight({ volumes: [{ name: "v", secret: { secretName: "ok" } }] });
  });

  it("leaves mirror pods as they are, and keeps them from accounts and secrets", async () => {
    const mirror = (spec: Partial<PodSpec>) => pod({ nodeName: "n", ...spec }, { "kubernetes.io/config.mirror": "x" });
    expect((await admit(mirror({}))).spec?.serviceAccountName).toBeUndefined();
    await expect(admit(mirror({ serviceAccountName: "default" }))).rejects.toThrow("a mirror pod may not reference service accounts");
    await expect(admit(mirror({ volumes: [{ name: "v", secret: { secretName: "s" } }] }))).rejects.toThrow(
      "a mirror pod may not reference secrets",
    );
  });
});

describe("Priority", () => {
  const admit = (spec: Partial<PodSpec>) => runPlugin<Pod>(createPriority({ reader }), admissionRequest(pods, pod(spec)));

  it("computes the number from the class, or from the default class", async () => {
    expect((await admit({})).spec).toMatchObject({ priority: 0, preemptionPolicy: "PreemptLowerPriority" });
    reader.put(priorityclasses, { metadata: { name: "low" }, value: 5, globalDefault: true, preemptionPolicy: "Never" });
    reader.put(priorityclasses, { metadata: { name: "high" }, value: 1000 });
    expect((await admit({})).spec).toMatchObject({ priority: 5, priorityClassName: "low", preemptionPolicy: "Never" });
    expect((await admit({ priorityClassName: "high" })).spec).toMatchObject({ priority: 1000 });
  });

  it("refuses unknown classes and numbers that do not fit", async () => {
    await expect(admit({ priorityClassName: "none" })).rejects.toThrow('pods "p" is forbidden: no PriorityClass with name none was found');
    await expect(admit({ priority: 7 })).rejects.toThrow(
      "the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name",
    );
    expect((await admit({ priority: 0 })).spec?.priority).toBe(0);
  });

  it("keeps the number on updates that leave it out", async () => {
    const request = admissionRequest(pods, pod(), { operation: "UPDATE", oldObject: pod({ priority: 9 }) });
    expect((await runPlugin<Pod>(createPriority({ reader }), request)).spec?.priority).toBe(9);
  });

  it("allows one default class", async () => {
    const make = (name: string) => new MemoryReader().put(priorityclasses, { metadata: { name }, value: 1, globalDefault: true });
    await runPlugin(createPriority({ reader }), admissionRequest(priorityclasses, make("a")));
    reader.put(priorityclasses, make("a"));
    await expect(runPlugin(createPriority({ reader }), admissionRequest(priorityclasses, make("b")))).rejects.toThrow(
      'priorityclasses.scheduling.k8s.io "b" is forbidden: PriorityClass a is already marked as default. Only one default can exist',
    );
    await runPlugin(createPriority({ reader }), admissionRequest(priorityclasses, make("a"), { operation: "UPDATE" }));
  });
});

describe("DefaultTolerationSeconds and TaintNodesByCondition", () => {
  it("adds what a pod does not tolerate already", async () => {
    const admit = async (spec: Partial<PodSpec>) =>
      (await runPlugin<Pod>(createDefaultTolerationSeconds(), admissionRequest(pods, pod(spec)))).spec?.tolerations;
    expect(await admit({})).toEqual([
      { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
      { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
    ]);
    expect(await admit({ tolerations: [{ operator: "Exists" }] })).toEqual([{ operator: "Exists" }]);
    expect(await admit({ tolerations: [{ key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoSchedule" }] })).toHaveLength(
      3,
    );
  });

  it("taints new nodes, once", async () => {
    const taint = { key: "node.kubernetes.io/not-ready", effect: "NoSchedule" } as const;
    for (const taints of [[], [taint]]) {
      const node = new MemoryReader().put(nodes, { metadata: { name: "n" }, spec: { taints } });
      expect((await runPlugin<typeof node>(createTaintNodesByCondition(), admissionRequest(nodes, node))).spec?.taints).toEqual([taint]);
    }
  });
});

describe("LimitRanger", () => {
  const range = (...limits: LimitRangeItem[]) => reader.put(limitranges, { metadata: { namespace: "ns", name: "lr" }, spec: { limits } });
  const admit = (spec: Partial<PodSpec>) => runPlugin<Pod>(createLimitRanger({ reader }), admissionRequest(pods, pod(spec)));

  it("fills in defaults and says so", async () => {
    range({ type: "Container", default: { cpu: "2" }, defaultRequest: { cpu: "100m", memory: "1Mi" } });
    const admitted = await admit({ initContainers: [{ name: "i", image: "x" }], containers: [container("c", { cpu: "1" })] });
    expect(admitted.spec?.containers[0]?.resources).toEqual({ requests: { cpu: "1", memory: "1Mi" }, limits: { cpu: "2" } });
    expect(admitted.metadata.annotations?.["kubernetes.io/limit-ranger"]).toBe(
      "LimitRanger plugin set: memory request for container c; cpu limit for container c; cpu, memory request for init container i; cpu limit for init container i",
    );
  });

  it("fills them in with a resize too", async () => {
    range({ type: "Container", defaultRequest: { memory: "1Mi" } });
    const [object, oldObject] = [pod({ containers: [container("c", { cpu: "1" })] }), pod({ containers: [container("c", {})] })];
    const request = admissionRequest(pods, object, { operation: "UPDATE", subresource: "resize", oldObject });
    const admitted = await runPlugin<Pod>(createLimitRanger({ reader }), request);
    expect(admitted.spec?.containers[0]?.resources?.requests).toEqual({ cpu: "1", memory: "1Mi" });
  });

  it("refuses containers outside the range", async () => {
    range({ type: "Container", max: { cpu: "1", memory: "1Gi" } });
    await expect(admit({ containers: [container("c", {}, { cpu: "2", memory: "512Mi" })] })).rejects.toThrow(
      'pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
    );
    await expect(admit({ containers: [container("c", {}, { cpu: "3", memory: "2Gi" })] })).rejects.toThrow(
      "[maximum cpu usage per Container is 1, but limit is 3, maximum memory usage per Container is 1Gi, but limit is 2Gi]",
    );
  });

  it("sums up pods", async () => {
    range({ type: "Pod", max: { cpu: "1" }, min: { cpu: "200m" } });
    const two = [container("c", { cpu: "100m" }, { cpu: "800m" }), container("d", { cpu: "50m" }, { cpu: "800m" })];
    await expect(admit({ containers: two })).rejects.toThrow(
      "[minimum cpu usage per Pod is 200m, but request is 150m, maximum cpu usage per Pod is 1, but limit is 1600m]",
    );
    await expect(admit({})).rejects.toThrow(
      "[minimum cpu usage per Pod is 200m.  No request is specified, maximum cpu usage per Pod is 1.  No limit is specified]",
    );
  });

  it("holds limits to a ratio of requests, and claims to their range", async () => {
    range({ type: "Container", maxLimitRequestRatio: { cpu: "2" } }, { type: "PersistentVolumeClaim", max: { storage: "1Gi" } });
    await expect(admit({ containers: [container("c", { cpu: "100m" }, { cpu: "300m" })] })).rejects.toThrow(
      "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
    );
    const claim = new MemoryReader().put(persistentvolumeclaims, {
      metadata: { namespace: "ns", name: "c" },
      spec: { resources: { requests: { storage: "2Gi" } } },
    });
    await expect(runPlugin(createLimitRanger({ reader }), admissionRequest(persistentvolumeclaims, claim))).rejects.toThrow(
      "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi",
    );
  });
});

describe("storage plugins", () => {
  const claim = (spec: object, more: object = {}) =>
    new MemoryReader().put(persistentvolumeclaims, { metadata: { namespace: "ns", name: "c" }, spec, ...more });

  it("give claims the newest default class", async () => {
    const put = (name: string, creationTimestamp: string, isDefault: string) =>
      reader.put(storageclasses, {
        metadata: { name, creationTimestamp, annotations: { "storageclass.kubernetes.io/is-default-class": isDefault } },
        provisioner: "x",
      });
    const admit = async (spec: object) =>
      (
        await runPlugin<ReturnType<typeof claim>>(
          createDefaultStorageClass({ reader }),
          admissionRequest(persistentvolumeclaims, claim(spec)),
        )
      ).spec?.storageClassName;
    expect(await admit({})).toBeUndefined();
    put("old", "2020-01-01T00:00:00Z", "true");
    put("new", "2021-01-01T00:00:00Z", "true");
    put("newest", "2022-01-01T00:00:00Z", "false");
    expect(await admit({})).toBe("new");
    expect(await admit({ storageClassName: "" })).toBe("");
  });

  it("protect volumes and claims by finalizers, once", async () => {
    const plugin = createStorageObjectInUseProtection();
    const volume = new MemoryReader().put(persistentvolumes, { metadata: { name: "v", finalizers: ["x"] }, spec: {} });
    expect((await runPlugin(plugin, admissionRequest(persistentvolumes, volume))).metadata.finalizers).toEqual([
      "x",
      "kubernetes.io/pv-protection",
    ]);
    const protectedClaim = await runPlugin(plugin, admissionRequest(persistentvolumeclaims, claim({})));
    expect(protectedClaim.metadata.finalizers).toEqual(["kubernetes.io/pvc-protection"]);
    expect(await runPlugin(plugin, admissionRequest(persistentvolumeclaims, protectedClaim))).toBe(protectedClaim);
  });

  it("let bound claims of expandable classes grow, and no others", async () => {
    const sized = (storage: string, phase: string) =>
      claim({ storageClassName: "fast", resources: { requests: { storage } } }, { status: { phase } });
    const grow = (phase: string) =>
      runPlugin(
        createPersistentVolumeClaimResize({ reader }),
        admissionRequest(persistentvolumeclaims, sized("2Gi", phase), { operation: "UPDATE", oldObject: sized("1Gi", phase) }),
      );
    await expect(grow("Pending")).rejects.toThrow("Only bound persistent volume claims can be expanded");
    await expect(grow("Bound")).rejects.toThrow(
      "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    );
    reader.put(storageclasses, { metadata: { name: "fast" }, provisioner: "x", allowVolumeExpansion: true });
    await grow("Bound");
  });
});

describe("RuntimeClass", () => {
  const admit = (spec: Partial<PodSpec>) =>
    runPlugin<Pod>(createRuntimeClass({ reader, client: readingClient(reader) }), admissionRequest(pods, pod(spec)));

  it("sets overhead and scheduling", async () => {
    reader.put(runtimeclasses, {
      metadata: { name: "kata" },
      handler: "kata",
      overhead: { podFixed: { cpu: "250m" } },
      scheduling: { nodeSelector: { disk: "fast" }, tolerations: [{ key: "rt", operator: "Exists", effect: "NoSchedule" }] },
    });
    const { spec } = await admit({
      runtimeClassName: "kata",
      nodeSelector: { zone: "a" },
      tolerations: [{ key: "mine", operator: "Exists" }],
    });
    expect(spec).toMatchObject({
      overhead: { cpu: "250m" },
      nodeSelector: { disk: "fast", zone: "a" },
      tolerations: [
        { key: "mine", operator: "Exists" },
        { key: "rt", operator: "Exists", effect: "NoSchedule" },
      ],
    });
    await admit({ runtimeClassName: "kata", overhead: { cpu: "0.25" } });
    await expect(admit({ runtimeClassName: "kata", overhead: { cpu: "1" } })).rejects.toThrow(
      "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
    );
    await expect(admit({ runtimeClassName: "kata", nodeSelector: { disk: "slow" } })).rejects.toThrow(
      "conflict: runtimeClass.scheduling.nodeSelector[disk] = fast; pod.spec.nodeSelector[disk] = slow",
    );
  });

  it("refuses unknown classes, and overhead without a class", async () => {
    await expect(admit({ runtimeClassName: "none" })).rejects.toThrow('pods "p" is forbidden: pod rejected: RuntimeClass "none" not found');
    await expect(admit({ overhead: { cpu: "1" } })).rejects.toThrow(
      "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
    );
  });

  it("leaves out tolerations that another one covers", () => {
    const a = { key: "a", operator: "Equal", value: "1", effect: "NoSchedule" } as const;
    expect(mergeTolerations([a, { key: "a", operator: "Exists" }])).toEqual([{ key: "a", operator: "Exists" }]);
    expect(mergeTolerations([a, a])).toEqual([a]);
  });
});

describe("certificate plugins", () => {
  const signing = (signerName: string, organizations: string[] = [], status: object = {}) =>
    new MemoryReader().put(certificatesigningrequests, {
      metadata: { name: "r" },
      spec: {
        signerName,
        usages: ["client auth"],
        request: Buffer.from(createSigningRequest({ commonName: "jane", organizations }, generateKey())).toString("base64"),
      },
      status,
    });
  const prefix = 'certificatesigningrequests.certificates.k8s.io "r" is forbidden: ';

  it("keep client certificates from system:masters", async () => {
    const admit = (o: ReturnType<typeof signing>) =>
      runPlugin(createCertificateSubjectRestriction(), admissionRequest(certificatesigningrequests, o));
    await expect(admit(signing("kubernetes.io/kube-apiserver-client", ["system:masters"]))).rejects.toThrow(
      `${prefix}use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`,
    );
    await admit(signing("kubernetes.io/kube-apiserver-client", ["devs"]));
    await admit(signing("example.com/own", ["system:masters"]));
  });

  it("ask for permission on the signer or its domain", async () => {
    const old = signing("example.com/own");
    const approve = (authorizer: Authorizer) =>
      runPlugin(
        createCertificateApproval({ authorizer }),
        admissionRequest(certificatesigningrequests, old, { operation: "UPDATE", subresource: "approval", oldObject: old }),
      );
    await expect(approve(mayDo(() => false))).rejects.toThrow(
      `${prefix}user not permitted to approve requests with signerName "example.com/own"`,
    );
    await approve(mayDo((a) => a.verb === "approve" && a.resource === "signers" && a.name === "example.com/own"));
    await approve(mayDo((a) => a.name === "example.com/*"));
    const sign = (authorizer: Authorizer, status: object) =>
      runPlugin(
        createCertificateSigning({ authorizer }),
        admissionRequest(certificatesigningrequests, { ...old, status } as typeof old, {
          operation: "UPDATE",
          subresource: "status",
          oldObject: old,
        }),
      );
    await sign(
      mayDo(() => false),
      {},
    );
    await expect(
      sign(
        mayDo(() => false),
        { certificate: "eA==" },
      ),
    ).rejects.toThrow("user not permitted to sign requests with signerName");
  });
});

describe("DefaultIngressClass and PodTopologyLabels", () => {
  it("gives ingresses the default class", async () => {
    reader.put(ingressclasses, {
      metadata: { name: "main", annotations: { "ingressclass.kubernetes.io/is-default-class": "true" } },
      spec: {},
    });
    const make = (annotations: Record<string, string>) =>
      new MemoryReader().put(ingresses, { metadata: { namespace: "ns", name: "i", annotations }, spec: {} });
    const admit = async (annotations: Record<string, string>) =>
      (await runPlugin<ReturnType<typeof make>>(createDefaultIngressClass({ reader }), admissionRequest(ingresses, make(annotations)))).spec
        ?.ingressClassName;
    expect(await admit({})).toBe("main");
    expect(await admit({ "kubernetes.io/ingress.class": "x" })).toBeUndefined();
  });

  it("labels pods with their node's zone when they are bound", async () => {
    reader.put(nodes, { metadata: { name: "n", labels: { "topology.kubernetes.io/zone": "z", other: "x" } }, spec: {} });
    const binding = { apiVersion: "v1", kind: "Binding", metadata: { ...pod().metadata }, target: { kind: "Node", name: "n" } };
    const plugin = createPodTopologyLabels({ reader });
    expect((await runPlugin(plugin, admissionRequest(pods, binding, { subresource: "binding" }))).metadata.labels).toEqual({
      "topology.kubernetes.io/zone": "z",
    });
    expect((await runPlugin(plugin, admissionRequest(pods, pod({ nodeName: "n" })))).metadata.labels).toEqual({
      "topology.kubernetes.io/zone": "z",
    });
  });
});

describe("createAdmissionPlugins()", () => {
  const create = (options?: Parameters<typeof createAdmissionPlugins>[1]) =>
    createAdmissionPlugins(
      {
        reader,
        authorizer: mayDo(() => true),
        client: {
          ...readingClient(reader),
          create: async (_type, object) => object as never,
          updateStatus: async (_type, object) => object,
          list: () => Promise.reject(new Error("not asked")),
        },
        clock,
        logger: silentLogger,
        metrics: new MetricsRegistry(),
        webhooks: { post: () => Promise.reject(new Error("nothing is configured")), stop: async () => undefined },
        kinds: {
          equivalentsOf: () => [],
          resourcesOf: () => [],
          shapeOf: () => ({ kind: "deduced" }),
          read: (_type, _kind, value) => value as KubernetesObject,
        },
      },
      options,
    ).map((p) => p.name);

  it("gives them in upstream's order", () => {
    expect(create()).toEqual([
      "RBACEscalation",
      "ParameterAccess",
      "DeviceAccess",
      "PodCertificateSigning",
      "NamespaceLifecycle",
      "LimitRanger",
      "ServiceAccount",
      "NodeRestriction",
      "TaintNodesByCondition",
      "PodSecurity",
      "Priority",
      "DefaultTolerationSeconds",
      "DefaultStorageClass",
      "StorageObjectInUseProtection",
      "PersistentVolumeClaimResize",
      "RuntimeClass",
      "CertificateApproval",
      "CertificateSigning",
      "ClusterTrustBundleAttest",
      "CertificateSubjectRestriction",
      "DefaultIngressClass",
      "PodTopologyLabels",
      "PodGroupWorkloadExists",
      "NodeDeclaredFeatureValidator",
      "JobValidation",
      "PodResizeValidator",
      "MutatingAdmissionPolicy",
      "MutatingAdmissionWebhook",
      "ValidatingAdmissionPolicy",
      "ValidatingAdmissionWebhook",
      "ResourceQuota",
    ]);
  });

  it("leaves out what is disabled and refuses names it does not know", () => {
    expect(create({ disable: ["ServiceAccount"] })).not.toContain("ServiceAccount");
    expect(() => create({ enable: ["Nonsense"] })).toThrow('unknown admission plugin "Nonsense"');
    expect(() => create({ enable: ["Priority"], disable: ["Priority"] })).toThrow("both enabled and disabled");
  });
});
