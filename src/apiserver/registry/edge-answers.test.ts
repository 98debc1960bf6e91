// Answers at the edges of the API, where upstream's router, options and storage each have their own words.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";
import { describedResources } from "./resources/all.ts";

const path = "/api/v1/namespaces/default/configmaps";
const merge = "application/merge-patch+json";
const strategic = "application/strategic-merge-patch+json";
const jsonPatch = "application/json-patch+json";
const apply = "application/apply-patch+yaml";

let server: Fixture;
beforeEach(() => {
  server = createFixture();
});
afterEach(() => server.stop());

const configMap = (name: string, metadata: object = {}): object => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata },
  data: { a: "1" },
});
const answer = async (method: string, url: string, options: object = {}): Promise<[number, string]> => {
  const { status, body } = await server.send(method, url, options);
  return [status, body.message];
};

describe("the router", () => {
  it("reads built-in kinds by GET alone", async () => {
    await server.send("POST", path, { body: configMap("a") });
    for (const url of [path, `${path}/a`, "/api/v1/watch/configmaps", `/api/v1/watch/namespaces/default/configmaps/a`])
      expect((await server.send("HEAD", url)).status).toBe(405);
    expect((await server.send("POST", "/api/v1/watch/configmaps", { body: configMap("b") })).status).toBe(405);
  });

  it("finds no namespaces within a namespace, and no objects of what can only be created", async () => {
    expect((await server.send("GET", "/api/v1/namespaces/default/namespaces")).status).toBe(404);
    expect((await server.send("GET", "/api/v1/namespaces/default/bindings/x")).status).toBe(404);
  });
});

describe("names in paths", () => {
  it("may not be, or have in them, what leads elsewhere in the store", async () => {
    const refused = (name: string, why: string): [number, string] => [400, `Name parameter invalid: "${name}": ${why}`];
    expect(await answer("GET", `${path}/a%25b`)).toEqual(refused("a%b", "may not contain '%'"));
    expect(await answer("DELETE", `${path}/..`)).toEqual(refused("..", "may not be '..'"));
    expect(await answer("PATCH", `${path}/.`, { body: {}, contentType: merge })).toEqual(refused(".", "may not be '.'"));
  });

  it("stand in messages as Go quotes them, and are no matter to HEAD, which is not served", async () => {
    expect(await answer("GET", `${path}/a%00b`)).toEqual([404, 'configmaps "a\\x00b" not found']);
    expect(await answer("DELETE", `${path}/a%0Ab%22`)).toEqual([404, 'configmaps "a\\nb\\"" not found']);
    expect((await server.send("HEAD", `${path}/..`)).status).toBe(405);
  });

  it("lead nowhere below the proxy path of old", async () => {
    expect(await answer("GET", "/api/v1/proxy/nodes/x")).toEqual([404, "the server could not find the requested resource"]);
  });

  it("follow one slash: two begin no path", async () => {
    expect(await server.send("GET", "//api/v1/configmaps")).toMatchObject({ status: 404, body: "404 page not found\n" });
  });
});

describe("a network policy", () => {
  it("is of a new generation whenever a list is sent empty, as none is kept", async () => {
    const policies = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
    const policy = (spec: object): object => ({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "p" },
      spec: { podSelector: {}, ...spec },
    });
    const counting = createFixture({ definitions: builtInDefinitions(describedResources) });
    const put = async (spec: object): Promise<number | undefined> =>
      (await counting.send("PUT", `${policies}/p`, { body: policy(spec) })).body.metadata.generation;
    await counting.send("POST", policies, { body: policy({}) });
    expect([await put({}), await put({ ingress: [] }), await put({ ingress: [] }), await put({})]).toEqual([1, 2, 3, 3]);
    await counting.stop();
  });
});

describe("a dry run", () => {
  it("shows the resource version that was sent with what it does not create", async () => {
    const { status, body } = await server.send("POST", `${path}?dryRun=All`, { body: configMap("a", { resourceVersion: "5" }) });
    expect([status, body.metadata.resourceVersion]).toEqual([201, "5"]);
    const plain = await server.send("POST", `${path}?dryRun=All`, { body: configMap("a") });
    expect(plain.body.metadata.resourceVersion).toBeUndefined();
  });
});

describe("options", () => {
  it("reads numbers as Go does", async () => {
    expect(await answer("GET", `${path}?limit=`)).toEqual([400, 'strconv.ParseInt: parsing "": invalid syntax']);
    const large = "99999999999999999999";
    expect(await answer("GET", `${path}?limit=${large}`)).toEqual([400, `strconv.ParseInt: parsing "${large}": value out of range`]);
    const largest = "9223372036854775807";
    expect((await server.send("GET", `${path}?limit=${largest}`)).status).toBe(200);
    expect((await server.send("GET", `${path}?limit=9223372036854775808`)).status).toBe(400);
  });

  it("takes booleans that are there without a value for true", async () => {
    const { status, body } = await server.send("GET", `${path}?sendInitialEvents=`);
    expect([status, body.message]).toEqual([
      422,
      'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list',
    ]);
    await server.send("POST", path, { body: configMap("a"), userAgent: "one" });
    const applied = { body: { ...configMap("a"), data: { a: "2" } }, contentType: apply };
    expect((await server.send("PATCH", `${path}/a?fieldManager=m`, applied)).status).toBe(409);
    expect((await server.send("PATCH", `${path}/a?fieldManager=m&force=`, applied)).status).toBe(200);
  });

  it("refuses a watch of one object by its path that selects another", async () => {
    const watch = "/api/v1/watch/namespaces/default/configmaps/a?fieldSelector=metadata.name%3D";
    expect(await answer("GET", `${watch}b`)).toEqual([400, "fieldSelector metadata.name doesn't match requested name"]);
    expect(await answer("GET", "/api/v1/watch/namespaces/default/configmaps/a?fieldSelector=metadata.namespace%3Ddefault")).toEqual([
      400,
      "fieldSelector metadata.name doesn't match requested name",
    ]);
  });

  it("refuses continue tokens in the words of their reader", async () => {
    const refused = "invalid continue token: continue key is not valid: ";
    const cases = {
      bogus: "illegal base64 data at input byte 4",
      zzz: "invalid character 'Ï' looking for beginning of value",
      W10: "json: cannot unmarshal array into Go value of type storage.continueToken",
      dHJ1ZQ: "json: cannot unmarshal bool into Go value of type storage.continueToken",
      bnVsbA: "server does not recognize this encoded version ",
      e30: "server does not recognize this encoded version ",
      eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MH0: "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
    };
    for (const [token, why] of Object.entries(cases))
      expect(await answer("GET", `${path}?continue=${token}`)).toEqual([400, refused + why]);
  });

  it("lists everything that is wrong with the options of a watch", async () => {
    const invalid = 'ListOptions.meta.k8s.io "" is invalid: ';
    const unsupported = 'resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"';
    expect(await answer("GET", `${path}?watch=true&resourceVersionMatch=Exact`)).toEqual([
      422,
      `${invalid}[resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided, ${unsupported}]`,
    ]);
    expect(await answer("GET", `${path}?watch=true&resourceVersionMatch=Exact&sendInitialEvents=true`)).toEqual([
      422,
      `${invalid}[resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan, ${unsupported}]`,
    ]);
  });

  it("takes preconditions of a deletion from the query", async () => {
    await server.send("POST", path, { body: configMap("a") });
    expect((await server.send("DELETE", `${path}/a?uid=other`)).status).toBe(409);
    expect((await server.send("DELETE", `${path}/a?resourceVersion=1`)).status).toBe(409);
    expect((await server.send("GET", `${path}/a`)).status).toBe(200);
  });

  it("says of which kind a list or one object was asked for as the other", async () => {
    await server.send("POST", path, { body: configMap("a") });
    const as = (kind: string): object => ({ accept: `application/json;as=${kind};g=meta.k8s.io;v=v1` });
    expect(await answer("GET", `${path}/a`, as("PartialObjectMetadataList"))).toEqual([
      406,
      "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)",
    ]);
    expect(await answer("GET", path, as("PartialObjectMetadata"))).toEqual([
      406,
      "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)",
    ]);
    const { body } = await server.send("GET", path, { accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1" });
    expect([body.apiVersion, body.items[0]?.["apiVersion"]]).toEqual(["meta.k8s.io/v1beta1", "meta.k8s.io/v1beta1"]);
  });
});

describe("writes", () => {
  it("create with resource version 0, and without owning the fields of a deletion", async () => {
    const sent = configMap("a", { resourceVersion: "0", deletionTimestamp: "2020-01-01T00:00:00Z", deletionGracePeriodSeconds: 5 });
    const { status, body } = await server.send("POST", path, { body: sent });
    expect(status).toBe(201);
    expect(body.metadata.deletionTimestamp).toBeUndefined();
    expect(body.metadata.managedFields?.[0]?.fieldsV1).toEqual({ "f:data": { ".": {}, "f:a": {} } });
  });

  it("create whatever stands in the place of a resource version, but not with one", async () => {
    for (const resourceVersion of ["x", "-1", "1.5", "99999999999999999999"]) {
      const { status, body } = await server.send("POST", path, { body: configMap(`n${resourceVersion.length}`, { resourceVersion }) });
      expect([status, body.metadata.resourceVersion]).toEqual([201, expect.stringMatching(/^\d{1,10}$/)]);
    }
    const given = await answer("POST", path, { body: configMap("a", { resourceVersion: "5" }) });
    expect(given).toEqual([500, "resourceVersion should not be set on objects to be created"]);
  });

  it("take the core group's version with its empty group written, too", async () => {
    const named = { ...configMap("a"), apiVersion: "/v1" };
    expect(await server.send("POST", path, { body: named })).toMatchObject({ status: 201, body: { apiVersion: "v1", kind: "ConfigMap" } });
    expect(await server.send("PUT", `${path}/a`, { body: named })).toMatchObject({ status: 200, body: { apiVersion: "v1" } });
    const patch = { body: { apiVersion: "/v1", data: { b: "2" } }, contentType: merge };
    expect(await server.send("PATCH", `${path}/a`, patch)).toMatchObject({ status: 200, body: { apiVersion: "v1", data: { b: "2" } } });
    expect(await answer("POST", path, { body: { ...named, kind: "Secret", data: {} } })).toEqual([
      400,
      'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion',
    ]);
  });

  it("apply what is not there yet whatever its resource version, but not with a uid", async () => {
    const options = (metadata: object): object => ({ body: configMap("n", metadata), contentType: apply });
    expect(await answer("PATCH", `${path}/n?fieldManager=m`, options({ uid: "1" }))).toEqual([
      409,
      'Operation cannot be fulfilled on configmaps "n": uid mismatch: the provided object specified uid 1, and no existing object was found',
    ]);
    expect((await server.send("PATCH", `${path}/n?fieldManager=m`, options({ resourceVersion: "1" }))).status).toBe(201);
  });

  it("forget all owners where managedFields are emptied", async () => {
    await server.send("POST", path, { body: configMap("a") });
    const { body } = await server.send("PATCH", `${path}/a`, { body: { metadata: { managedFields: [] } }, contentType: merge });
    expect(body.metadata.managedFields).toBeUndefined();
  });

  it("find no absent object, whatever the patch", async () => {
    for (const [contentType, body] of Object.entries({ [jsonPatch]: { op: "add" }, [merge]: "{", [strategic]: "[]" }))
      expect((await server.send("PATCH", `${path}/absent`, { body, contentType })).status).toBe(404);
  });

  it("do not read the kind in a strategic merge, and take null for no operations", async () => {
    await server.send("POST", path, { body: configMap("a") });
    const patched = await server.send("PATCH", `${path}/a`, { body: { kind: "Secret", data: { b: "2" } }, contentType: strategic });
    expect([patched.status, patched.body.kind, patched.body["data"]]).toEqual([200, "ConfigMap", { a: "1", b: "2" }]);
    expect((await server.send("PATCH", `${path}/a`, { body: "null", contentType: jsonPatch })).status).toBe(200);
  });

  it("are strict with the members of a patch, known and given once", async () => {
    await server.send("POST", path, { body: configMap("a") });
    const send = (contentType: string, body: string, validation: string) =>
      server.send("PATCH", `${path}/a?fieldValidation=${validation}`, { body, contentType });
    const operations = '[{"op":"add","path":"/data/b","value":"1","value":"2","Op":"x"}]';
    const flaws = ['json patch duplicate field "[0].value"', 'json patch unknown field "[0].Op"'];
    const refused = await send(jsonPatch, operations, "Strict");
    expect([refused.status, refused.body.message.endsWith(`strict decoding error: ${flaws.join(", ")}`)]).toEqual([422, true]);
    expect((await send(jsonPatch, operations, "Ignore")).warnings).toEqual([]);
    expect(await send(jsonPatch, operations, "Warn")).toMatchObject({ status: 200, warnings: flaws });
    const later = '[{"op":"add","path":"/data/b","value":"1","foo":1},{"op":"add","path":"/data/x","path":"/data/c","value":"2"}]';
    const inOrder = ['json patch unknown field "[0].foo"', 'json patch duplicate field "[1].path"'];
    expect(await send(jsonPatch, later, "Warn")).toMatchObject({ status: 200, warnings: inOrder });
    const twice = await send(merge, '{"data":{"b":"3","b":"4"}}', "Warn");
    expect(twice).toMatchObject({ status: 200, warnings: ['duplicate field "data.b"'] });
  });

  it("quote what a patch has made: sorted where it was touched, else in the order of the type", async () => {
    await server.send("POST", "/api/v1/namespaces/default/services", {
      body: {
        metadata: { name: "s" },
        spec: { type: "ExternalName", ports: [{ port: 80, name: "p" }], externalName: "a.b", selector: { z: "1", a: "2" } },
      },
    });
    const { body } = await server.send("PATCH", "/api/v1/namespaces/default/services/s", {
      body: { spec: { sessionAffinity: 1 } },
      contentType: merge,
    });
    expect(body.message).toContain(
      String.raw`\"spec\":{\"externalName\":\"a.b\",\"ports\":[{\"name\":\"p\",\"port\":80}],\"selector\":{\"a\":\"2\",\"z\":\"1\"},\"sessionAffinity\":1`,
    );
    expect(body.message).toContain(
      "cannot unmarshal number into Go struct field ServiceSpec.spec.sessionAffinity of type v1.ServiceAffinity",
    );
  });

  it("delete with options that say what they are, or nothing", async () => {
    await server.send("POST", path, { body: configMap("a") });
    expect(await answer("DELETE", `${path}/a`, { body: { kind: "ConfigMap" } })).toEqual([
      400,
      'no kind "ConfigMap" is registered for version "meta.k8s.io/v1" in scheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"',
    ]);
    expect(await answer("DELETE", `${path}/a`, { body: { apiVersion: "a/b/c" } })).toEqual([400, "unexpected GroupVersion string: a/b/c"]);
    expect((await server.send("DELETE", `${path}/a`, { body: { kind: "", apiVersion: "" } })).status).toBe(200);
  });
});

describe("applied values", () => {
  const url = "/apis/apps/v1/namespaces/default/deployments/x?fieldManager=m";
  const applied = (spec: object): object => ({
    body: { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "x" }, spec },
    contentType: apply,
  });
  it("are refused in the words of the typed merge", async () => {
    const refused = "failed to create typed patch object (/x; apps/v1, Kind=Deployment): ";
    expect((await answer("PATCH", url, applied({ replicas: "x" })))[1]).toBe(
      `${refused}.spec.replicas: expected numeric (int or float), got string`,
    );
    expect((await answer("PATCH", url, applied({ paused: "x" })))[1]).toBe(`${refused}.spec.paused: expected boolean, got &{x}`);
    expect((await answer("PATCH", url, applied({ template: { spec: { containers: [null] } } })))[1]).toBe(
      `${refused}.spec.template.spec.containers: element 0: associative list with keys may not have a null element`,
    );
    // Nothing is looked at after a field that there is not.
    expect((await answer("PATCH", url, applied({ bogus: 1, replicas: "x" })))[1]).toBe(
      `${refused}.spec.bogus: field not declared in schema`,
    );
  });

  it("are an object with a name, and whole numbers where the type has these", async () => {
    const text = (body: string): Promise<[number, string]> => answer("PATCH", url, { body, contentType: apply });
    expect(await text("null")).toEqual([400, "invalid object type: /, Kind="]);
    const target = "into Go value of type map[string]interface {}";
    expect(await text("[]")).toEqual([
      400,
      `error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array ${target}`,
    ]);
    const kind = "apps/v1, Kind=Deployment";
    expect(await answer("PATCH", url, applied({ replicas: 1.5 }))).toEqual([
      500,
      `failed to convert new object (/x; ${kind}) to proper version: unable to convert unstructured object to ${kind}: cannot convert float64 to int32`,
    ]);
    expect(await text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ''}\n")).toEqual([
      400,
      "the name of the object (x based on URL) was undeterminable: name must be provided",
    ]);
  });
});

describe("what is answered as upstream does", () => {
  const table = "application/json;as=Table;v=v1;g=meta.k8s.io";

  it("shows no tables of subresources that have none", async () => {
    const f = createFixture({ definitions: builtInDefinitions(describedResources) });
    await f.send("POST", "/api/v1/namespaces", { body: { metadata: { name: "n" } } });
    const spec = { containers: [{ name: "c", image: "i" }] };
    await f.send("POST", "/api/v1/namespaces/n/pods", { body: { metadata: { name: "p" }, spec } });
    for (const sub of ["resize", "ephemeralcontainers"])
      expect(await f.send("GET", `/api/v1/namespaces/n/pods/p/${sub}`, { accept: table })).toMatchObject({ status: 406 });
    expect(await f.send("GET", "/api/v1/namespaces/n/pods/p/status", { accept: table })).toMatchObject({ status: 200 });
    expect(await f.send("GET", "/api/v1/namespaces/n/pods/p/resize")).toMatchObject({ status: 200 });
    await f.stop();
  });

  it("looks at includeObject when there is something to show", async () => {
    const f = createFixture({ definitions: builtInDefinitions(describedResources) });
    const path = "/api/v1/namespaces/n/configmaps";
    expect(await f.send("GET", `${path}/none?includeObject=Bogus`, { accept: table })).toMatchObject({ status: 404 });
    expect(await f.send("GET", `${path}?includeObject=Bogus`, { accept: table })).toMatchObject({ status: 400 });
    await f.stop();
  });

  it("makes a service by way of its status, without addresses", async () => {
    const f = createFixture({ definitions: builtInDefinitions(describedResources) });
    await f.send("POST", "/api/v1/namespaces", { body: { metadata: { name: "n" } } });
    const body = { metadata: { name: "s" }, spec: { ports: [{ port: 80 }] }, status: { loadBalancer: { ingress: [{ ip: "1.2.3.4" }] } } };
    const made = await f.send("PUT", "/api/v1/namespaces/n/services/s/status", { body });
    expect(made.status).toBe(201);
    expect(
      (await f.send("PATCH", "/api/v1/namespaces/n/services/t/status", { body: {}, contentType: "application/merge-patch+json" })).status,
    ).toBe(404);
    await f.stop();
  });

  it("refuses a watch that continues a list, and fields that a kind does not select by in its words", async () => {
    const f = createFixture({ definitions: builtInDefinitions(describedResources) });
    const watch = await f.send("GET", "/api/v1/namespaces/n/configmaps?watch=1&continue=x");
    expect(watch).toMatchObject({ status: 422 });
    const jobs = await f.send("GET", "/apis/batch/v1/namespaces/n/jobs?fieldSelector=type%3Da");
    expect(jobs.body).toMatchObject({ code: 400, message: 'field label "type" not supported for Job' });
    await f.stop();
  });

  it("warns who deletes jobs without saying what becomes of their pods", async () => {
    const f = createFixture({ definitions: builtInDefinitions(describedResources) });
    await f.send("POST", "/api/v1/namespaces", { body: { metadata: { name: "n" } } });
    const path = "/apis/batch/v1/namespaces/n/jobs";
    const template = { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } };
    await f.send("POST", path, { body: { metadata: { name: "j" }, spec: { template } } });
    const text = /^child pods are preserved by default when jobs are deleted; set propagationPolicy=Background/;
    expect((await f.send("DELETE", `${path}/j?dryRun=All`)).warnings).toEqual([expect.stringMatching(text)]);
    expect((await f.send("DELETE", `${path}?dryRun=All`)).warnings).toEqual([expect.stringMatching(text)]);
    expect((await f.send("DELETE", `${path}/j?propagationPolicy=Background`)).warnings).toEqual([]);
    await f.stop();
  });

  it("quotes bodies as they were sent, and YAML's parser without a word before it", async () => {
    const f = createFixture({ definitions: builtInDefinitions(describedResources) });
    const send = (body: string) => f.send("POST", "/api/v1/namespaces/n/configmaps", { body, contentType: "application/yaml" });
    expect((await send("a: b: c")).body.message).toBe(
      "the object provided is unrecognized (must be of type ConfigMap): yaml: mapping values are not allowed in this context (613a20623a2063)",
    );
    expect((await send("- a")).body.message).toMatch(/json: cannot unmarshal array into Go value of type struct .* \(2d2061\)$/);
    await f.stop();
  });

  it("goes on with a full page of what is selected while anything is behind it, and ends with an empty one", async () => {
    const f = createFixture({ definitions: builtInDefinitions(describedResources) });
    await f.send("POST", "/api/v1/namespaces", { body: { metadata: { name: "n" } } });
    const path = "/api/v1/namespaces/n/configmaps";
    for (const name of ["a", "b", "c"])
      await f.send("POST", path, { body: { metadata: { name, labels: { l: name === "c" ? "no" : "yes" } } } });
    const first = (await f.send("GET", `${path}?limit=2&labelSelector=l%3Dyes`)).body as unknown as {
      metadata: { continue: string };
      items: unknown[];
    };
    expect(first.items).toHaveLength(2);
    const rest = await f.send("GET", `${path}?limit=2&labelSelector=l%3Dyes&continue=${first.metadata.continue}`);
    expect(rest.body.items).toEqual([]);
    expect(rest.body.metadata).not.toHaveProperty("continue");
    expect((await f.send("GET", `${path}?limit=1&labelSelector=l%3Dno`)).body.metadata).not.toHaveProperty("continue");
    await f.stop();
  });
});
