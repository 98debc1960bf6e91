// What patches are answered where their result does not fit, and what writes with something empty in them change.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";
import { describedResources } from "./resources/all.ts";

const strategic = "application/strategic-merge-patch+json";
const merge = "application/merge-patch+json";
const json = "application/json-patch+json";

let server: Fixture;
beforeEach(() => {
  server = createFixture({ definitions: builtInDefinitions(describedResources) });
});
afterEach(() => server.stop());

const patch = async (url: string, contentType: string, body: unknown): Promise<{ status: number; message: string; body: never }> => {
  const answer = await server.send("PATCH", url, { contentType, body });
  return { status: answer.status, message: answer.body.message, body: answer.body as never };
};

describe("a refused patch", () => {
  const at = "/api/v1/namespaces/default/configmaps";
  beforeEach(async () => {
    await server.send("POST", at, { body: { metadata: { name: "c", labels: { a: "1" }, annotations: { x: "a > b" } }, data: { k: "v" } } });
  });

  it("shows of a strategic merge what was left of it: no directives that were obeyed", async () => {
    const change = {
      metadata: {
        annotations: { x: 1 },
        labels: { b: "2", $patch: "replace" },
        finalizers: ["a.b/c"],
        "$setElementOrder/finalizers": ["a.b/c"],
      },
    };
    const { status, message } = await patch(`${at}/c`, strategic, change);
    expect(status).toBe(422);
    expect(message).toContain('"map[metadata:map[annotations:map[x:1] labels:map[b:2]]]": cannot convert int64 to string');
  });

  it("shows as sorted what a merge patch has an object for, and escapes what means something in HTML", async () => {
    const { message } = await patch(`${at}/c`, merge, { metadata: {}, data: { k: 1 } });
    const shown = /Invalid value: "(.*)": json:/s.exec(message)?.[1]?.replaceAll('\\"', '"') ?? "";
    expect(Object.keys(JSON.parse(shown.replaceAll("\\\\", "\\")).metadata)[0]).toBe("annotations");
    expect(shown).toContain("a \\\\u003e b");
  });

  it("shows what a JSON patch has moved in the order of the type that it comes from", async () => {
    const pods = "/api/v1/namespaces/default/pods";
    const spec = { containers: [{ name: "c", image: "i" }], securityContext: { runAsUser: 1, fsGroup: 2, runAsGroup: 3 } };
    await server.send("POST", pods, { body: { metadata: { name: "p" }, spec } });
    const { message } = await patch(`${pods}/p`, json, [{ op: "move", from: "/spec/securityContext", path: "/spec/nodeName" }]);
    expect(message).toContain('\\"nodeName\\":{\\"runAsUser\\":1,\\"runAsGroup\\":3,\\"fsGroup\\":2}');
  });
});

describe("a patch that moves an object elsewhere", () => {
  it("is told of the namespace before the name", async () => {
    const at = "/api/v1/namespaces/default/configmaps";
    await server.send("POST", at, { body: { metadata: { name: "c" } } });
    const change = { metadata: { namespace: "other", $retainKeys: ["namespace"] } };
    const { message } = await patch(`${at}/c`, strategic, change);
    expect(message).toBe("the namespace of the provided object does not match the namespace sent on the request");
  });
});

describe("owner references that a patch repeats", () => {
  it("count as one in the end, and as what they are when it is recorded who owns them", async () => {
    const at = "/api/v1/namespaces/default/configmaps";
    const owner = { apiVersion: "v1", kind: "X", name: "a", uid: "u" };
    await server.send("POST", at, { body: { metadata: { name: "c", ownerReferences: [owner] } } });
    const answer = await server.send("PATCH", `${at}/c?fieldManager=m`, {
      contentType: merge,
      body: { metadata: { ownerReferences: [owner, owner] } },
    });
    expect(answer.warnings).toEqual([expect.stringContaining("contains duplicate entries after mutating admission happens;")]);
    expect(answer.body.metadata).toMatchObject({ ownerReferences: [owner] });
    expect(JSON.stringify(answer.body.metadata)).toMatch(/"manager":"m"[^}]*"fieldsV1":{"f:metadata":{"f:ownerReferences":{"k:/);
  });
});

describe("something sent empty", () => {
  it("is no change of an immutable config map's data, which is empty by default", async () => {
    const at = "/api/v1/namespaces/default/configmaps";
    await server.send("POST", at, { body: { metadata: { name: "c" }, immutable: true } });
    expect((await patch(`${at}/c`, merge, { data: {} })).status).toBe(200);
    expect((await patch(`${at}/c`, merge, { binaryData: {} })).message).toContain("binaryData: Forbidden");
  });

  it("raises the generation of a configuration of webhooks", async () => {
    const at = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    await server.send("POST", at, { body: { metadata: { name: "w" } } });
    expect((await patch(`${at}/w`, merge, { webhooks: [] })).body).toMatchObject({ metadata: { generation: 2 } });
  });

  it("takes over the list that it stands in, where the list is owned as a whole", async () => {
    const at = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    const rule = { aggregationRule: { clusterRoleSelectors: [{ matchLabels: {} }] } };
    await server.send("POST", `${at}?fieldManager=one`, { body: { metadata: { name: "r" }, ...rule } });
    const { body } = await patch(`${at}/r?fieldManager=two`, merge, rule);
    expect(body).toMatchObject({
      metadata: {
        managedFields: [{ manager: "one" }, { manager: "two", fieldsV1: { "f:aggregationRule": { "f:clusterRoleSelectors": {} } } }],
      },
    });
  });
});

describe("problems", () => {
  it("of a node's amounts are named by path", async () => {
    const { body } = await server.send("POST", "/api/v1/nodes", {
      body: { metadata: { name: "n" }, status: { capacity: { pods: "-1" } } },
    });
    expect(body.message).toContain("status.capacity.pods: Invalid value");
  });

  it("of a service's address are told of a service without a name as well", async () => {
    const body = { metadata: {}, spec: { clusterIP: "10.0.0.0/24", ports: [{ port: 1 }] } };
    expect((await server.send("POST", "/api/v1/namespaces/default/services", { body })).body.message).toContain('Service "" is invalid');
  });

  it("of a budget show its selector in the order of its type", async () => {
    const selector = { matchExpressions: [{ values: ["y"], operator: "In", key: "x" }], matchLabels: { b: "1", a: "2" } };
    const body = { metadata: { name: "b" }, spec: { minAvailable: 1, maxUnavailable: 2, selector } };
    const answer = await server.send("POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", { body });
    const shown =
      '"Selector":{"matchLabels":{"a":"2","b":"1"},"matchExpressions":[{"key":"x","operator":"In","values":["y"]}]},"MaxUnavailable":2';
    expect(answer.body.message).toContain(shown);
  });

  it("of bytes that a strategic merge has as a number are told as it converts them", async () => {
    const at = "/api/v1/namespaces/default/secrets";
    await server.send("POST", at, { body: { metadata: { name: "s" } } });
    expect((await patch(`${at}/s`, strategic, { data: { k: 1 } })).message).toContain("cannot restore slice from int64");
  });

  it("of a volume attachment are found in writes of its status too", async () => {
    const at = "/apis/storage.k8s.io/v1/volumeattachments";
    const spec = { attacher: "a.b", nodeName: "n", source: { persistentVolumeName: "v" } };
    await server.send("POST", at, { body: { metadata: { name: "v" }, spec } });
    const { message } = await patch(`${at}/v/status`, merge, { status: { attached: true, detachError: { errorCode: -1 } } });
    expect(message).toContain("status.detachError.errorCode: Invalid value: -1");
  });

  it("of a node's drivers are told of every pair of drivers of a name", async () => {
    const at = "/apis/storage.k8s.io/v1/csinodes";
    const driver = { name: "d.x", nodeID: "a", topologyKeys: ["k"] };
    await server.send("POST", at, { body: { metadata: { name: "n" }, spec: { drivers: [driver] } } });
    const { message } = await patch(`${at}/n`, merge, { spec: { drivers: [driver, { ...driver, nodeID: "b" }] } });
    expect(message).toMatch(/spec\.drivers: Invalid value: .*"NodeID":"b".*: field is immutable/);
  });
});
