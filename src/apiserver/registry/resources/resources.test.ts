// The built-in kinds through the resource handler: what each strategy does to an object, seen from outside.
import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../../base/x509/certificate.ts";
import { createSigningRequest } from "../../../base/x509/signing-request.ts";
import { builtInDefinitions } from "../definitions.ts";
import { createFixture, type Fixture, type Reply } from "../request-fixture.ts";
import { describedResources } from "./all.ts";

let fixture: Fixture;

beforeEach(() => {
  fixture = createFixture({ definitions: builtInDefinitions(describedResources) });
});
afterEach(() => fixture.stop());

const ns = "/api/v1/namespaces/default";
const post = async (path: string, body: unknown): Promise<Reply["body"]> => {
  const { status, body: made } = await fixture.send("POST", path, { body });
  expect(status, JSON.stringify(made)).toBe(201);
  return made;
};
const merge = (path: string, body: unknown): Promise<Reply> =>
  fixture.send("PATCH", path, { body, contentType: "application/merge-patch+json" });
const podBody = (name: string, spec: object = {}): object => ({
  metadata: { name },
  spec: { containers: [{ name: "c", image: "i" }], ...spec },
});

describe("pods", () => {
  it("are pending when made, whatever phase was sent, and classed by their resources", async () => {
    const pod = await post(`${ns}/pods`, { ...podBody("a"), status: { phase: "Running" } });
    expect(pod["status"]).toEqual({ phase: "Pending", qosClass: "BestEffort" });
    expect(pod.metadata.generation).toBe(1);
  });

  it("keep the class that they are sent with", async () => {
    const classed = await post(`${ns}/pods`, { ...podBody("a"), status: { phase: "Running", qosClass: "Guaranteed" } });
    expect(classed["status"]).toEqual({ phase: "Pending", qosClass: "Guaranteed" });
  });

  it("with scheduling gates say that they wait", async () => {
    const pod = await post(`${ns}/pods`, podBody("a", { schedulingGates: [{ name: "x" }] }));
    expect(pod["status"]).toMatchObject({ conditions: [{ type: "PodScheduled", status: "False", reason: "SchedulingGated" }] });
  });

  it("without a node disappear at once, on a node after their grace period", async () => {
    await post(`${ns}/pods`, podBody("loose"));
    await fixture.send("DELETE", `${ns}/pods/loose`);
    expect((await fixture.send("GET", `${ns}/pods/loose`)).status).toBe(404);
    await post(`${ns}/pods`, podBody("placed", { nodeName: "n" }));
    const { body } = await fixture.send("DELETE", `${ns}/pods/placed`);
    expect(body).toMatchObject({ kind: "Pod", metadata: { deletionGracePeriodSeconds: 30, generation: 2 } });
    expect((await fixture.send("GET", `${ns}/pods/placed`)).status).toBe(200);
  });

  it("that have ended disappear at once", async () => {
    await post(`${ns}/pods`, podBody("a", { nodeName: "n" }));
    await merge(`${ns}/pods/a/status`, { status: { phase: "Succeeded" } });
    await fixture.send("DELETE", `${ns}/pods/a`);
    expect((await fixture.send("GET", `${ns}/pods/a`)).status).toBe(404);
  });

  it("keep their owners and their class when a node writes the status", async () => {
    await post(`${ns}/pods`, podBody("a", { nodeName: "n" }));
    const owner = { apiVersion: "v1", kind: "Node", name: "n", uid: "u" };
    const { body } = await merge(`${ns}/pods/a/status`, {
      metadata: { ownerReferences: [owner] },
      spec: { nodeName: "other" },
      status: { phase: "Running", podIP: "10.0.0.1", qosClass: null },
    });
    expect(body.metadata.ownerReferences).toBeUndefined();
    expect(body["spec"]).toMatchObject({ nodeName: "n" });
    expect(body["status"]).toMatchObject({ qosClass: "BestEffort", podIPs: [{ ip: "10.0.0.1" }] });
  });

  it("turn matchLabelKeys into requirements on their own labels", async () => {
    const term = { labelSelector: { matchLabels: { app: "a" } }, matchLabelKeys: ["rev"], topologyKey: "zone" };
    const spec = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
    const pod = await post(`${ns}/pods`, { ...podBody("a", spec), metadata: { name: "a", labels: { rev: "7" } } });
    expect(JSON.stringify(pod["spec"])).toContain('"matchExpressions":[{"key":"rev","operator":"In","values":["7"]}]');
  });

  it("can be selected by node and phase", async () => {
    await post(`${ns}/pods`, podBody("here", { nodeName: "n" }));
    await post(`${ns}/pods`, podBody("there", { nodeName: "m" }));
    const { body } = await fixture.send("GET", `${ns}/pods?fieldSelector=spec.nodeName%3Dn,status.phase%3DPending`);
    expect(body.items.map((item) => item.metadata.name)).toEqual(["here"]);
  });
});

describe("workloads", () => {
  const template = { metadata: { labels: { app: "a" } }, spec: { containers: [{ name: "c", image: "i" }] } };

  it("count changes of what is desired, not of labels or status", async () => {
    const path = "/apis/apps/v1/namespaces/default/deployments";
    await post(path, { metadata: { name: "a" }, spec: { selector: { matchLabels: { app: "a" } }, template }, status: { replicas: 9 } });
    expect((await merge(`${path}/a`, { metadata: { labels: { x: "y" } } })).body.metadata.generation).toBe(1);
    expect((await merge(`${path}/a`, { spec: { replicas: 2 } })).body.metadata.generation).toBe(2);
    const { body } = await merge(`${path}/a/status`, { metadata: { labels: { x: "z" } }, spec: { replicas: 5 }, status: { replicas: 1 } });
    expect(body).toMatchObject({ metadata: { generation: 2, labels: { x: "y" } }, spec: { replicas: 2 }, status: { replicas: 1 } });
  });

  it("a job selects its pods by its own uid, and is deleted without its pods unless told", async () => {
    const path = "/apis/batch/v1/namespaces/default/jobs";
    const job = await post(path, { metadata: { name: "a" }, spec: { template: { spec: { ...template.spec, restartPolicy: "Never" } } } });
    const label = { "batch.kubernetes.io/controller-uid": job.metadata.uid };
    expect(job["spec"]).toMatchObject({
      selector: { matchLabels: label },
      template: { metadata: { labels: { ...label, "job-name": "a" } } },
    });
    const { body } = await fixture.send("DELETE", `${path}/a`);
    expect(body.metadata.finalizers).toEqual(["orphan"]);
  });

  it("a job without a name is refused", async () => {
    const job = { metadata: {}, spec: { template: { spec: { ...template.spec, restartPolicy: "Never" } } } };
    const { status, body } = await fixture.send("POST", "/apis/batch/v1/namespaces/default/jobs", { body: job });
    expect([status, body.kind]).toEqual([422, "Status"]);
  });

  it("a daemon set counts the versions of its template in an annotation", async () => {
    const path = "/apis/apps/v1/namespaces/default/daemonsets";
    await post(path, { metadata: { name: "a" }, spec: { selector: { matchLabels: { app: "a" } }, template } });
    const key = "deprecated.daemonset.template.generation";
    const same = await merge(`${path}/a`, { spec: { minReadySeconds: 5 } });
    expect(same.body.metadata.annotations?.[key]).toBe("1");
    const changed = await merge(`${path}/a`, { spec: { template: { metadata: { labels: { app: "a", v: "2" } } } } });
    expect(changed.body.metadata.annotations?.[key]).toBe("2");
  });
});

describe("other kinds", () => {
  it("namespaces are active and kept by a finalizer until they are finalized", async () => {
    const made = await post("/api/v1/namespaces", { metadata: { generateName: "team-" } });
    const { name } = made.metadata;
    expect(made).toMatchObject({
      metadata: { labels: { "kubernetes.io/metadata.name": name } },
      spec: { finalizers: ["kubernetes"] },
      status: { phase: "Active" },
    });
    const deleted = await fixture.send("DELETE", `/api/v1/namespaces/${name}`);
    expect(deleted.body["status"]).toMatchObject({ phase: "Terminating" });
    await fixture.send("PUT", `/api/v1/namespaces/${name}/finalize`, { body: { ...deleted.body, spec: {} } });
    expect((await fixture.send("GET", `/api/v1/namespaces/${name}`)).status).toBe(404);
  });

  it("the plain texts of a secret become data", async () => {
    const secret = await post(`${ns}/secrets`, { metadata: { name: "a" }, data: { a: "eA==" }, stringData: { b: "é" } });
    expect(secret).toMatchObject({ type: "Opaque", data: { a: "eA==", b: "w6k=" } });
    expect(secret["stringData"]).toBeUndefined();
  });

  it("both groups of events serve the same objects", async () => {
    await post("/apis/events.k8s.io/v1/namespaces/default/events", {
      metadata: { name: "a" },
      eventTime: "2026-01-01T00:00:00.000000Z",
      regarding: { kind: "Pod", namespace: "default", name: "p" },
      reportingController: "example.com/c",
      reportingInstance: "i",
      action: "A",
      reason: "R",
      note: "N",
      type: "Normal",
    });
    const core = await fixture.send("GET", `${ns}/events?fieldSelector=involvedObject.name%3Dp`);
    expect(core.body.items[0]).toMatchObject({ message: "N", reportingComponent: "example.com/c", involvedObject: { name: "p" } });
    const own = await fixture.send("GET", "/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=regarding.name%3Dp");
    expect(own.body.items[0]).toMatchObject({ note: "N", regarding: { name: "p" } });
  });

  it("both versions of autoscalers serve the same objects", async () => {
    const spec = {
      maxReplicas: 5,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" },
      targetCPUUtilizationPercentage: 33,
    };
    await post("/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", { metadata: { name: "a" }, spec });
    const { body } = await fixture.send("GET", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/a");
    expect(body["spec"]).toMatchObject({ metrics: [{ resource: { name: "cpu", target: { averageUtilization: 33 } } }] });
  });

  it("a signing request is for whoever sends it, and approving it changes nothing but conditions", async () => {
    const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    const pem = btoa(createSigningRequest({ commonName: "a", organizations: [] }, generateKeyPairSync("ed25519")));
    const spec = { request: pem, signerName: "example.com/signer", usages: ["client auth"], username: "someone-else" };
    const made = await post(path, { metadata: { name: "a" }, spec, status: { conditions: [{ type: "Approved", status: "True" }] } });
    expect(made).toMatchObject({ spec: { username: "system:apiserver" }, status: {} });
    const conditions = [{ type: "Approved", status: "True", reason: "Ok" }];
    const { body } = await merge(`${path}/a/approval`, { spec: { signerName: "other.example/x" }, status: { conditions } });
    expect(body["spec"]).toMatchObject({ signerName: "example.com/signer" });
    expect(JSON.stringify(body["status"])).toContain('"lastUpdateTime"');
  });

  it("a claim's two data sources are one", async () => {
    const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    const dataSourceRef = { apiGroup: "snapshot.storage.k8s.io", kind: "VolumeSnapshot", name: "s" };
    const made = await post(`${ns}/persistentvolumeclaims`, { metadata: { name: "a" }, spec: { ...spec, dataSourceRef } });
    expect(made["spec"]).toMatchObject({ dataSource: dataSourceRef });
    const foreign = { apiGroup: "example.com", kind: "Thing", name: "t" };
    const other = await post(`${ns}/persistentvolumeclaims`, { metadata: { name: "b" }, spec: { ...spec, dataSource: foreign } });
    expect(other["spec"]).not.toHaveProperty("dataSource");
  });

  it("leases can be made by PUT, and are not overwritten blindly", async () => {
    const path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a";
    const body = { metadata: { name: "a" }, spec: { holderIdentity: "x" } };
    expect((await fixture.send("PUT", path, { body })).status).toBe(201);
    expect((await fixture.send("PUT", path, { body })).status).toBe(422);
  });

  it("every described kind lists as a table", async () => {
    for (const { type } of describedResources) {
      if (!type.verbs.includes("list") || type.resource === "componentstatuses") continue;
      const base = type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
      const reply = await fixture.send("GET", `${base}/${type.resource}`, { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" });
      expect([type.resource, reply.status, reply.body.kind]).toEqual([type.resource, 200, "Table"]);
    }
  });
});

describe("warnings", () => {
  const tls = (data: object): Promise<Reply> =>
    fixture.send("POST", `${ns}/secrets`, { body: { metadata: { generateName: "s-" }, type: "kubernetes.io/tls", data } });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");

  it("a certificate and its key fit together", async () => {
    const [empty, switched] = [
      await tls({ "tls.crt": "", "tls.key": "" }),
      await tls({ "tls.crt": base64("-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n"), "tls.key": "" }),
    ];
    expect(empty.warnings).toEqual(["tls: failed to find any PEM data in certificate input"]);
    expect(switched.warnings).toEqual([expect.stringMatching(/did find a private key; PEM inputs may have been switched$/)]);
    const [one, other] = [issued(), issued()];
    expect((await tls({ "tls.crt": base64(one.certificate), "tls.key": base64(one.key) })).warnings).toEqual([]);
    expect((await tls({ "tls.crt": base64(one.certificate), "tls.key": base64(other.key) })).warnings).toEqual([
      "tls: private key does not match public key",
    ]);
    expect((await tls({ "tls.crt": base64(one.certificate), "tls.key": base64(one.certificate) })).warnings).toEqual([
      "tls: found a certificate rather than a key in the PEM for the private key",
    ]);
  });

  function issued(): { readonly certificate: string; readonly key: string } {
    const { privateKey: key, publicKey } = generateKey();
    const certificate = issueCertificate(
      { subject: { commonName: "a", organizations: [] }, publicKey, notBeforeMs: 0, notAfterMs: 1e12, keyUsages: [] },
      { key },
    );
    return { certificate: certificatePem(certificate), key: privateKeyPem(key) };
  }

  it("kinds that are on their way out say so", async () => {
    const { warnings } = await fixture.send("GET", `${ns}/endpoints`);
    expect(warnings).toEqual(["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"]);
  });

  it("AppArmor profiles by annotation become fields", async () => {
    const key = "container.apparmor.security.beta.kubernetes.io/c";
    const { body, warnings } = await fixture.send("POST", `${ns}/pods`, {
      body: { ...podBody("a"), metadata: { name: "a", annotations: { [key]: "unconfined" } } },
    });
    expect(body["spec"]).toMatchObject({ containers: [{ securityContext: { appArmorProfile: { type: "Unconfined" } } }] });
    expect(warnings).toEqual([`metadata.annotations[${key}]: deprecated since v1.30; use the "appArmorProfile" field instead`]);
    const spec = { securityContext: { appArmorProfile: { type: "Unconfined" } } };
    const same = await fixture.send("POST", `${ns}/pods`, {
      body: { ...podBody("b", spec), metadata: { name: "b", annotations: { [key]: "unconfined" } } },
    });
    expect(same.warnings).toEqual([]);
  });
});

describe("the table of flow schemas", () => {
  it("has them in the order in which they are tried", async () => {
    const path = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
    const make = (name: string, matchingPrecedence: number): Promise<unknown> =>
      post(path, { metadata: { name }, spec: { matchingPrecedence, priorityLevelConfiguration: { name: "x" } } });
    for (const [name, precedence] of [
      ["a", 900],
      ["b", 800],
      ["c", 900],
    ] as const)
      await make(name, precedence);
    const { body } = await fixture.send("GET", path, { accept: "application/json;as=Table;g=meta.k8s.io;v=v1" });
    const rows = body["rows"] as readonly { readonly cells: readonly unknown[] }[];
    expect(rows.map(({ cells }) => cells[0])).toEqual(["b", "a", "c"]);
  });
});

describe("metadata on its own", () => {
  it("has no annotations that stand for fields", async () => {
    const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } };
    const path = "/apis/apps/v1/namespaces/default/daemonsets";
    const made = await post(path, { metadata: { name: "d" }, spec: { selector: { matchLabels: { a: "b" } }, template } });
    expect(made.metadata.annotations).toEqual({ "deprecated.daemonset.template.generation": "1" });
    const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    expect((await fixture.send("GET", `${path}/d`, { accept })).body.metadata.annotations).toBeUndefined();
  });
});

describe("fields of features that are off", () => {
  it("are dropped", async () => {
    const lease = await post("/apis/coordination.k8s.io/v1/namespaces/default/leases", {
      metadata: { name: "l" },
      spec: { holderIdentity: "h", strategy: "OldestEmulationVersion", preferredHolder: "p" },
    });
    expect(lease["spec"]).toEqual({ holderIdentity: "h" });
    const pod = await post(`${ns}/pods`, podBody("a", { schedulingGroup: { podGroupName: "g" } }));
    expect(pod["spec"]).not.toHaveProperty("schedulingGroup");
    const slice = await post("/apis/resource.k8s.io/v1/resourceslices", {
      metadata: { name: "s" },
      spec: {
        driver: "d.example.com",
        pool: { name: "p", generation: 1, resourceSliceCount: 1 },
        allNodes: true,
        devices: [{ name: "a", attributes: { x: { int: 1, ints: [1, 2] } } }],
      },
    });
    expect(slice["spec"]).toMatchObject({ devices: [{ name: "a", attributes: { x: { int: 1 } } }] });
  });
});

describe("deployments", () => {
  it("count changes of annotations as changes", async () => {
    const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } };
    const path = "/apis/apps/v1/namespaces/default/deployments";
    await post(path, { metadata: { name: "d" }, spec: { selector: { matchLabels: { a: "b" } }, template } });
    const annotated = await merge(`${path}/d`, { metadata: { annotations: { x: "y" }, labels: { l: "m" } } });
    expect(annotated.body.metadata.generation).toBe(2);
    const labelled = await merge(`${path}/d`, { metadata: { labels: { l: "n" } } });
    expect(labelled.body.metadata.generation).toBe(2);
  });
});

describe("lists and maps that are sent empty", () => {
  it("are shown as they were sent", async () => {
    const template = { metadata: { labels: {} }, spec: { containers: [{ name: "c", image: "i" }] } };
    const set = { metadata: { name: "a" }, spec: { selector: { matchLabels: { a: "b" } }, template } };
    expect((await fixture.send("POST", "/apis/apps/v1/namespaces/default/replicasets", { body: set })).body.message).toBe(
      'ReplicaSet.apps "a" is invalid: spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`',
    );
    await post(`${ns}/resourcequotas`, { metadata: { name: "a" }, spec: { scopes: ["Terminating"] } });
    expect(
      (await fixture.send("PUT", `${ns}/resourcequotas/a`, { body: { metadata: { name: "a" }, spec: { scopes: [] } } })).body.message,
    ).toBe('ResourceQuota "a" is invalid: spec.scopes: Invalid value: []: field is immutable');
    const terms = [{ matchExpressions: [{ key: "a", operator: "In", values: ["b"] }] }];
    const body = podBody("a", {
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
    });
    const { spec } = await post(`${ns}/pods`, body);
    const emptied = { ...(spec as object), tolerations: [], nodeSelector: {} };
    expect((await fixture.send("PUT", `${ns}/pods/a`, { body: { metadata: { name: "a" }, spec: emptied } })).status).toBe(200);
    const { message } = (
      await fixture.send("PUT", `${ns}/pods/a`, {
        body: { metadata: { name: "a" }, spec: { ...emptied, hostname: "h", imagePullSecrets: [] } },
      })
    ).body;
    expect(message).toContain('+ "ImagePullSecrets": [],');
  });

  it("are told from those that are left out", async () => {
    const job = (onExitCodes: object): object => ({
      metadata: { name: "a" },
      spec: {
        podFailurePolicy: { rules: [{ action: "FailJob", onExitCodes: { operator: "In", ...onExitCodes } }] },
        template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } },
      },
    });
    const refusal = async (onExitCodes: object): Promise<string | undefined> =>
      (await fixture.send("POST", "/apis/batch/v1/namespaces/default/jobs", { body: job(onExitCodes) })).body.message;
    const message = "onExitCodes.values: Invalid value:";
    expect(await refusal({ values: [] })).toContain(`${message} []: at least one value is required`);
    expect(await refusal({})).toContain(`${message} null: at least one value is required`);
  });

  it("are no change of what may not change", async () => {
    const resources = { requests: { storage: "1Gi" } };
    const spec = { accessModes: ["ReadWriteOnce"], resources };
    const made = await post(`${ns}/persistentvolumeclaims`, { metadata: { name: "a" }, spec });
    const body = { metadata: { name: "a" }, spec: { ...(made.spec as object), resources: { ...resources, limits: {} } } };
    expect((await fixture.send("PUT", `${ns}/persistentvolumeclaims/a`, { body })).status).toBe(200);
  });
});

describe("volumes of Azure files", () => {
  it("name the namespace of their secret, or do not speak of it", async () => {
    const azureFile = { secretName: "a", shareName: "b", secretNamespace: "" };
    const body = { metadata: { name: "a" }, spec: { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], azureFile } };
    expect((await fixture.send("POST", "/api/v1/persistentvolumes", { body })).body.message).toBe(
      'PersistentVolume "a" is invalid: spec.azureFile.secretNamespace: Required value',
    );
  });
});

describe("a volume's terms", () => {
  it("may take a label's new name, or lose the name as upstream has it", async () => {
    const path = "/api/v1/persistentvolumes";
    const terms = (key: string): object => ({
      required: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: "In", values: ["a"] }] }] },
    });
    const spec = { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], local: { path: "/a" }, storageClassName: "s" };
    const made = await post(path, { metadata: { name: "a" }, spec: { ...spec, nodeAffinity: terms("beta.kubernetes.io/os") } });
    const change = (key: string): Promise<Reply> => merge(`${path}/a`, { spec: { ...(made.spec as object), nodeAffinity: terms(key) } });
    expect((await change("other")).body.message).toContain("nodeAffinity: Invalid value");
    expect((await change("kubernetes.io/os")).status).toBe(200);
    expect((await change("beta.kubernetes.io/os")).body.message).toContain("except for updating from beta label to GA");
    expect((await change("")).body.message).not.toContain("nodeAffinity: Invalid value");
  });
});

describe("autoscalers", () => {
  it("of v1 own the annotations that say what they have no field for", async () => {
    const path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    const spec = { scaleTargetRef: { kind: "Deployment", name: "d", apiVersion: "apps/v1" }, maxReplicas: 3 };
    expect((await post(path, { metadata: { name: "a" }, spec })).spec).toMatchObject({ targetCPUUtilizationPercentage: 80 });
    const { body } = await merge(`${path}/a/status`, {
      status: { currentReplicas: 1, desiredReplicas: 1, currentCPUUtilizationPercentage: 3 },
    });
    expect(body.metadata.annotations).toHaveProperty(["autoscaling.alpha.kubernetes.io/current-metrics"]);
    expect(body.metadata.managedFields?.find(({ subresource }) => subresource === "status")?.fieldsV1).toMatchObject({
      "f:metadata": { "f:annotations": { "f:autoscaling.alpha.kubernetes.io/current-metrics": {} } },
    });
  });

  it("with a behaviour say what it is", async () => {
    const spec = { scaleTargetRef: { kind: "Deployment", name: "d", apiVersion: "apps/v1" }, maxReplicas: 3 };
    const path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    const behavior = { scaleUp: { policies: [] } };
    const { body } = await fixture.send("POST", path, { body: { metadata: { name: "a" }, spec: { ...spec, behavior } } });
    expect(body.message).toBe(
      'HorizontalPodAutoscaler.autoscaling "a" is invalid: spec.behavior.scaleUp.policies: Required value: must specify at least one Policy',
    );
  });
});
