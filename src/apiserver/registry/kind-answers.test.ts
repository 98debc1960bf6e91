// What single kinds answer otherwise than all others: deletions of namespaces and events, the status of daemon sets, what
// custom objects are called in refusals, and which paths are there at all.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";
import { describedResources } from "./resources/all.ts";

const configMaps = "/api/v1/namespaces/default/configmaps";
const apply = "application/apply-patch+yaml";

let server: Fixture;
beforeEach(() => {
  server = createFixture({ definitions: builtInDefinitions(describedResources) });
});
afterEach(() => server.stop());

const messageOf = async (method: string, url: string, options: object = {}): Promise<[number, string]> => {
  const { status, body } = await server.send(method, url, options);
  return [status, body.message];
};

describe("deletion", () => {
  it("of a namespace looks at preconditions in words of its own, and keeps what becomes of dependents", async () => {
    const made = await server.send("POST", "/api/v1/namespaces", { body: { kind: "Namespace", metadata: { name: "n" } } });
    expect(await messageOf("DELETE", "/api/v1/namespaces/n", { body: { preconditions: { uid: "x" } } })).toEqual([
      409,
      `Operation cannot be fulfilled on namespaces "n": Precondition failed: UID in precondition: x, UID in object meta: ${made.body.metadata.uid}`,
    ]);
    const deleted = await server.send("DELETE", "/api/v1/namespaces/n", { body: { propagationPolicy: "Foreground" } });
    expect(deleted.body.metadata).toMatchObject({ finalizers: ["foregroundDeletion"] });
  });

  it("of an event leaves no finalizer for dependents", async () => {
    const event = { kind: "Event", metadata: { name: "e", finalizers: ["a.b/c"] }, involvedObject: { namespace: "default" } };
    await server.send("POST", "/api/v1/namespaces/default/events", { body: event });
    const options = { body: { propagationPolicy: "Foreground" } };
    const { body } = await server.send("DELETE", "/apis/events.k8s.io/v1/namespaces/default/events/e", options);
    expect(body.metadata).toMatchObject({ finalizers: ["a.b/c"] });
  });

  it("of an event of the newer group names the kind of the group it is stored in", async () => {
    const event = { kind: "Event", metadata: { name: "e" }, involvedObject: { namespace: "default" } };
    await server.send("POST", "/api/v1/namespaces/default/events", { body: event });
    const options = { body: { preconditions: { uid: "x" } } };
    const [, message] = await messageOf("DELETE", "/apis/events.k8s.io/v1/namespaces/default/events/e", options);
    expect(message).toContain('Operation cannot be fulfilled on Event "e"');
  });
});

describe("writing the status of a daemon set", () => {
  it("keeps the generation of its template", async () => {
    const at = "/apis/apps/v1/namespaces/default/daemonsets";
    const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } };
    const set = { kind: "DaemonSet", metadata: { name: "d" }, spec: { selector: { matchLabels: { a: "b" } }, template } };
    await server.send("POST", at, { body: set });
    const counts = { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 1 };
    const { body } = await server.send("PUT", `${at}/d/status`, { body: { ...set, status: counts } });
    expect(body.metadata).toMatchObject({ annotations: { "deprecated.daemonset.template.generation": "1" } });
  });
});

describe("a daemon set whose generation of its template is no number", () => {
  const at = "/apis/apps/v1/namespaces/default/daemonsets";
  const metadata = { annotations: { "deprecated.daemonset.template.generation": "1.5" } };
  const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } };
  const spec = { selector: { matchLabels: { a: "b" } }, template };
  const problem = 'strconv.ParseInt: parsing "1.5": invalid syntax';

  it("cannot be read, before anything else that is wrong", async () => {
    const body = { kind: "DaemonSet", unknown: 1, metadata: { name: "d", ...metadata }, spec };
    const refusal = [400, `DaemonSet in version "v1" cannot be handled as a DaemonSet: ${problem}`];
    expect(await messageOf("POST", `${at}?fieldValidation=Strict`, { body })).toEqual(refusal);
  });

  it("is refused by each form of patch in words of its own", async () => {
    await server.send("POST", at, { body: { kind: "DaemonSet", metadata: { name: "d" }, spec } });
    const patch = (type: string, body: object, query = ""): Promise<[number, string]> =>
      messageOf("PATCH", `${at}/d${query}`, { body, contentType: type });
    const [code, message] = await patch("application/merge-patch+json", { metadata });
    expect([code, message.endsWith(`}": ${problem}`)]).toEqual([422, true]);
    expect(await patch("application/strategic-merge-patch+json", { metadata })).toEqual([500, problem]);
    const applied = { apiVersion: "apps/v1", kind: "DaemonSet", metadata: { name: "d", ...metadata } };
    expect(await patch(apply, applied, "?fieldManager=m&force=true")).toEqual([
      500,
      `failed to convert to unversioned (/d; apps/v1, Kind=DaemonSet): ${problem}`,
    ]);
  });
});

describe("paths", () => {
  const unknown = [404, "the server could not find the requested resource"];

  it("across namespaces are there for what can be listed", async () => {
    expect(await messageOf("GET", "/api/v1/bindings")).toEqual(unknown);
    expect(await messageOf("POST", "/api/v1/bindings", { body: {} })).toEqual(unknown);
  });

  it("end with the subresource", async () => {
    expect(await messageOf("GET", "/api/v1/namespaces/default/pods/x/status/more")).toEqual(unknown);
  });

  it("that are not served warn of no deprecation", async () => {
    const headersOf = async (url: string): Promise<readonly string[]> => (await server.send("GET", url)).warnings;
    expect(await headersOf("/api/v1/namespaces/default/endpoints/x/status")).toEqual([]);
    expect(await headersOf("/api/v1/namespaces/default/endpoints")).toHaveLength(1);
  });
});

describe("a body of another kind", () => {
  it("is read as what it says it is before it is found to be something else", async () => {
    const at = "/api/v1/namespaces/default/pods/x/eviction";
    const cannot = 'ConfigMap in version "v1" cannot be handled as a Eviction: ';
    const sent = { apiVersion: "v1", kind: "ConfigMap", data: { a: 1 } };
    expect(await messageOf("POST", at, { body: sent })).toEqual([
      400,
      `${cannot}json: cannot unmarshal number into Go struct field ConfigMap.data of type string`,
    ]);
    const [, message] = await messageOf("POST", at, { body: { ...sent, data: { a: "1" } } });
    expect(message).toBe(`${cannot}converting (v1.ConfigMap) to (policy.Eviction): unknown conversion`);
  });
});

describe("patches", () => {
  it("are known by the letters of their media type", async () => {
    await server.send("POST", configMaps, { body: { kind: "ConfigMap", metadata: { name: "a" } } });
    const sent = { body: {}, contentType: "application/Merge-Patch+json" };
    expect((await server.send("PATCH", `${configMaps}/a`, sent)).status).toBe(415);
  });

  it("that apply what is not there yet say its name", async () => {
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { generateName: "x-" } };
    expect(await messageOf("PATCH", `${configMaps}/c?fieldManager=m`, { body, contentType: apply })).toEqual([
      400,
      "the name of the object (c based on URL) was undeterminable: name must be provided",
    ]);
  });

  it("keep the kind that they do not say, and find no name where they take the version away", async () => {
    await server.send("POST", configMaps, { body: { kind: "ConfigMap", metadata: { name: "a" }, data: { x: "1" } } });
    const merged = (body: object, query = ""): Promise<Awaited<ReturnType<typeof server.send>>> =>
      server.send("PATCH", `${configMaps}/a${query}`, { body, contentType: "application/merge-patch+json" });
    expect(await merged({ kind: null, data: { x: "2" } })).toMatchObject({ status: 200, body: { kind: "ConfigMap", data: { x: "2" } } });
    expect((await merged({ apiVersion: "v2", kind: "" })).body.message).toContain('no kind "ConfigMap" is registered for version "v2"');
    const strict = await merged({ apiVersion: null, data: { x: "3" } }, "?fieldValidation=Strict");
    expect([strict.status, strict.body.message.endsWith('strict decoding error: unknown field "data", unknown field "metadata"')]).toEqual([
      422,
      true,
    ]);
    expect(await merged({ apiVersion: "", data: { x: "3" } })).toMatchObject({
      status: 400,
      body: { message: "the name of the object (a based on URL) was undeterminable: name must be provided" },
    });
  });

  it("tell what an applied configuration has twice when it has been applied", async () => {
    const text = (data: string): object => ({
      body: `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "1"}\ndata: ${data}\n`,
      contentType: apply,
    });
    const at = `${configMaps}/c?fieldManager=m`;
    expect(await server.send("PATCH", at, text("{a: 1}"))).toMatchObject({ status: 500, warnings: [] });
    const strict = "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:";
    const twice = 'line 5: key "data" already set in map';
    expect(await messageOf("PATCH", `${at}&fieldValidation=Strict`, text('{a: "2"}'))).toEqual([400, `${strict}\n  ${twice}`]);
    expect((await messageOf("PATCH", `${at}&fieldValidation=Strict`, text("{a: 1}")))[0]).toBe(500);
    expect(await server.send("PATCH", at, text('{a: "2"}'))).toMatchObject({ status: 201, warnings: [twice] });
  });
});

describe("an applied list of managers", () => {
  const applied = (managedFields: unknown): Promise<[number, string]> => {
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c", managedFields } };
    return messageOf("PATCH", `${configMaps}/c?fieldManager=m`, { body, contentType: apply });
  };

  it("is refused as one only where it can be read as one", async () => {
    for (const list of [[], [{}], [{ manager: "x", time: "2024-01-01T00:00:00Z" }]])
      expect(await applied(list)).toEqual([400, "metadata.managedFields must be nil"]);
    const type = "failed to create typed patch object (/c; /v1, Kind=ConfigMap): .metadata.managedFields[0].manager: expected string";
    expect((await applied([{ manager: 1 }]))[1]).toBe(`${type}, got &value.valueUnstructured{Value:1}`);
    expect((await applied([null]))[0]).toBe(201);
  });

  it("does not take for a name what is no text", async () => {
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c", namespace: 1 } };
    expect((await messageOf("PATCH", `${configMaps}/c?fieldManager=m`, { body, contentType: apply }))[1]).toMatch(/object \(\/c; /);
  });
});

describe("an empty list", () => {
  it("has no list in an empty one of metadata, and none in a table of a kind without columns", async () => {
    const as = (kind: string): object => ({ accept: `application/json;as=${kind};v=v1;g=meta.k8s.io` });
    expect((await server.send("GET", configMaps, as("PartialObjectMetadataList"))).body.items).toBeNull();
    expect((await server.send("GET", configMaps, as("Table"))).body.rows).toEqual([]);
    expect((await server.send("GET", "/api/v1/namespaces/default/limitranges", as("Table"))).body.rows).toBeNull();
  });
});

describe("a body in YAML", () => {
  it("is told of in the order of its keys", async () => {
    const sent = {
      body: "kind: ConfigMap\napiVersion: v1\nzz: 1\nmetadata: {name: yy, b: 1, a: 2}\naa: {}\n",
      contentType: "application/yaml",
    };
    const { status, warnings } = await server.send("POST", configMaps, sent);
    expect([status, warnings.slice()]).toEqual([
      201,
      ['unknown field "aa"', 'unknown field "metadata.a"', 'unknown field "metadata.b"', 'unknown field "zz"'],
    ]);
  });
});
