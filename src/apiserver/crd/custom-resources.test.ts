import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prefixEnd } from "../../storage/store.ts";
import type { Fixture, Reading } from "../registry/request-fixture.ts";
import { type CustomFixture, createCustomFixture, definitions } from "./custom-fixture.ts";

const widgets = "/apis/example.com/v1/namespaces/default/widgets";

const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
const v1 = { name: "v1", served: true, storage: true, schema };

function widgetDefinition(spec: object = {}, version: object = {}): object {
  return {
    metadata: { name: "widgets.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "widgets", kind: "Widget" },
      versions: [{ ...v1, ...version }],
      ...spec,
    },
  };
}

describe("startCustomResources()", () => {
  let fixture: CustomFixture;

  beforeEach(() => {
    fixture = createCustomFixture();
  });

  afterEach(() => fixture.stop());

  const settle = (): Promise<void> => fixture.settle();
  const define = (definition: object): Promise<void> => fixture.define(definition);

  const conditionsOf = ({ status }: Reading): readonly string[] =>
    (status as { readonly conditions: readonly { type: string; status: string; reason: string }[] }).conditions.map(
      (c) => `${c.type}=${c.status} ${c.reason}`,
    );

  const create = (name: string, more: object = {}): ReturnType<Fixture["send"]> =>
    fixture.send("POST", widgets, { body: { kind: "Widget", metadata: { name }, ...more } });

  it("replaces no object without its resource version", async () => {
    await define(widgetDefinition());
    await create("w");
    const { status, body } = await fixture.send("PUT", `${widgets}/w`, { body: { kind: "Widget", metadata: { name: "w" } } });
    expect([status, body.message]).toEqual([
      422,
      'widgets.example.com "w" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update',
    ]);
  });

  it("establishes a definition and serves its objects", async () => {
    expect((await fixture.send("GET", widgets)).status).toBe(404);
    await define(widgetDefinition());
    const { body } = await fixture.send("GET", `${definitions}/widgets.example.com`);
    expect(conditionsOf(body)).toEqual(["NamesAccepted=True NoConflicts", "Established=True InitialNamesAccepted"]);
    const created = await create("w", { spec: { a: 1 } });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({ apiVersion: "example.com/v1", kind: "Widget", metadata: { generation: 1 }, spec: { a: 1 } });
    const list = await fixture.send("GET", widgets);
    expect(list.body).toMatchObject({ kind: "WidgetList", metadata: { continue: "" }, items: [{ metadata: { name: "w" } }] });
  });

  it("serves nothing in a version of a group that is built in", async () => {
    const names = { plural: "foos", kind: "Foo" };
    await define({
      metadata: { name: "foos.networking.k8s.io", annotations: { "api-approved.kubernetes.io": "unapproved, a test" } },
      spec: { group: "networking.k8s.io", scope: "Cluster", names, versions: [v1, { ...v1, name: "v9", storage: false }] },
    });
    const { body } = await fixture.send("GET", `${definitions}/foos.networking.k8s.io`);
    expect(conditionsOf(body)).toContain("Established=True InitialNamesAccepted");
    expect((await fixture.send("GET", "/apis/networking.k8s.io/v1/foos")).status).toBe(404);
    const created = await fixture.send("POST", "/apis/networking.k8s.io/v9/foos", { body: { kind: "Foo", metadata: { name: "f" } } });
    expect(created.status).toBe(201);
  });

  it("refuses the names of another definition of the group until they are free", async () => {
    await define(widgetDefinition());
    const names = { plural: "gadgets", singular: "gadget", kind: "Widget", listKind: "GadgetList" };
    await define({ ...widgetDefinition({ names }), metadata: { name: "gadgets.example.com" } });
    const refused = await fixture.send("GET", `${definitions}/gadgets.example.com`);
    expect(conditionsOf(refused.body)).toEqual(["NamesAccepted=False KindConflict", "Established=False NotAccepted"]);
    await fixture.redefine("widgets.example.com", [{ op: "add", path: "/spec/names/shortNames", value: ["wg"] }]);
    await fixture.redefine("gadgets.example.com", [{ op: "add", path: "/spec/names/shortNames", value: ["wg"] }]);
    await fixture.redefine("widgets.example.com", [{ op: "remove", path: "/spec/names/shortNames" }]);
    const { body } = await fixture.send("GET", `${definitions}/gadgets.example.com`);
    expect((body["status"] as { readonly acceptedNames: object }).acceptedNames).toMatchObject({ shortNames: ["wg"] });
    await fixture.send("DELETE", `${definitions}/widgets.example.com`);
    await settle();
    const accepted = await fixture.send("GET", `${definitions}/gadgets.example.com`);
    expect(conditionsOf(accepted.body)).toEqual(["NamesAccepted=True NoConflicts", "Established=True InitialNamesAccepted"]);
  });

  it("gives a name that several ask for at once to one of them", async () => {
    const names = (plural: string): object => ({ plural, singular: plural.slice(0, -1), kind: "Same", listKind: `${plural}List` });
    const plurals = ["as", "bs", "cs", "ds"];
    await Promise.all(
      plurals.map((plural) =>
        fixture.send("POST", definitions, {
          body: { ...widgetDefinition({ names: names(plural) }), metadata: { name: `${plural}.example.com` } },
        }),
      ),
    );
    await settle();
    const { body } = await fixture.send("GET", definitions);
    const established = body.items.filter((item) => conditionsOf(item).includes("Established=True InitialNamesAccepted"));
    expect([body.items.length, established.length]).toEqual([4, 1]);
  });

  it("deletes the objects before the definition, and creates none meanwhile", async () => {
    await define(widgetDefinition());
    await create("w", { metadata: { name: "w", finalizers: ["example.com/wait"] } });
    const watch = await fixture.watch(`${widgets}?watch=true`);
    await fixture.send("DELETE", `${definitions}/widgets.example.com`);
    await settle();
    const text = 'widgets.example.com "x" is forbidden: create not allowed while custom resource definition is terminating';
    const refused = await create("x");
    expect(refused).toMatchObject({ status: 403, body: { message: text, details: { group: "example.com", kind: "widgets", name: "x" } } });
    const applied = await fixture.send("PATCH", `${widgets}/x?fieldManager=test`, {
      body: { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "x" } },
      contentType: "application/apply-patch+yaml",
    });
    expect(applied).toMatchObject({ status: 403, body: { message: text } });
    const going = await fixture.send("GET", `${definitions}/widgets.example.com`);
    expect(conditionsOf(going.body)).toContain("Terminating=True InstanceDeletionInProgress");
    const patch = { metadata: { finalizers: null } };
    await fixture.send("PATCH", `${widgets}/w`, { body: patch, contentType: "application/merge-patch+json" });
    await settle();
    expect((await fixture.send("GET", `${definitions}/widgets.example.com`)).status).toBe(404);
    expect((await fixture.send("GET", widgets)).status).toBe(404);
    await watch.ended;
    expect(watch.events.map(({ type }) => type)).toEqual(["ADDED", "MODIFIED", "DELETED"]);
  });

  it("takes a name too many, and asks for one that is missing", async () => {
    await define(widgetDefinition());
    const body = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "named" } };
    expect((await fixture.send("POST", `${widgets}/any`, { body })).body).toMatchObject({ metadata: { name: "named" } });
    for (const method of ["PUT", "PATCH"])
      expect(await fixture.send(method, widgets, { body, contentType: "application/merge-patch+json" })).toMatchObject({
        status: 400,
        body: { reason: "BadRequest", message: "name must be provided" },
      });
  });

  it("marks a definition without a word of its dependents; another delete says that it waits for finalizers alone", async () => {
    await define({ ...widgetDefinition(), metadata: { name: "widgets.example.com", finalizers: ["example.com/keep"] } });
    const path = `${definitions}/widgets.example.com`;
    const first = (await fixture.send("DELETE", path, { body: { propagationPolicy: "Foreground" } })).body.metadata;
    expect(first.finalizers).toEqual(["example.com/keep", "customresourcecleanup.apiextensions.k8s.io"]);
    expect([first.deletionGracePeriodSeconds, first.generation]).toEqual([undefined, 1]);
    await settle();
    const second = (await fixture.send("DELETE", path, { body: { propagationPolicy: "Foreground" } })).body.metadata;
    expect(second.finalizers).toEqual(["example.com/keep", "foregroundDeletion"]);
    expect([second.deletionGracePeriodSeconds, second.generation]).toEqual([0, 1]);
  });

  it("deletes the objects of a definition that serves no version any more", async () => {
    await define(widgetDefinition());
    await create("w");
    const unserved = [{ op: "replace", path: "/spec/versions/0/served", value: false }];
    await fixture.send("PATCH", `${definitions}/widgets.example.com`, { body: unserved, contentType: "application/json-patch+json" });
    await settle();
    expect((await fixture.send("GET", widgets)).status).toBe(404);
    const prefix = "/registry/example.com/widgets/";
    expect((await fixture.store.range({ start: prefix, end: prefixEnd(prefix) })).count).toBe(1);
    await fixture.send("DELETE", `${definitions}/widgets.example.com`);
    await settle();
    expect((await fixture.send("GET", `${definitions}/widgets.example.com`)).status).toBe(404);
    expect((await fixture.store.range({ start: prefix, end: prefixEnd(prefix) })).count).toBe(0);
  });

  it("ends watches when the definition changes, and lists go on", async () => {
    await define(widgetDefinition());
    await create("w");
    const watch = await fixture.watch(`${widgets}?watch=true`);
    const { metadata } = (await fixture.send("GET", `${definitions}/widgets.example.com`)).body;
    const { cache } = fixture.stores.find("example.com", "v1", "widgets") ?? {};
    const reading = cache?.reach(Number(metadata.resourceVersion) + 1);
    await fixture.send("PATCH", `${definitions}/widgets.example.com`, {
      body: [{ op: "add", path: "/spec/names/shortNames", value: ["w"] }],
      contentType: "application/json-patch+json",
    });
    await settle();
    await watch.ended;
    expect(watch.events.map(({ type }) => type)).toEqual(["ADDED"]);
    await create("x");
    await settle();
    await expect(reading).resolves.toBeUndefined();
    expect((await fixture.send("GET", widgets)).body.items.map((item) => item.metadata.name)).toEqual(["w", "x"]);
  });

  it("prunes, defaults and validates what is written, and lets values stay that were wrong before", async () => {
    const size = { type: "integer", minimum: 1, default: 3 };
    const withSpec = (properties: object): object => ({
      openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties } } },
    });
    await define(widgetDefinition({}, { schema: withSpec({ size, note: { type: "string" } }) }));
    const created = await create("w", { spec: { colour: "red", note: "long" } });
    expect(created.body["spec"]).toEqual({ note: "long", size: 3 });
    const refused = await create("x", { spec: { size: 0 } });
    expect(refused.status).toBe(422);
    expect(refused.body.message).toBe(
      'Widget.example.com "x" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1',
    );
    const path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/note/maxLength";
    const shorter = [{ op: "add", path, value: 2 }];
    await fixture.send("PATCH", `${definitions}/widgets.example.com`, { body: shorter, contentType: "application/json-patch+json" });
    await settle();
    const merge = (body: object): ReturnType<Fixture["send"]> =>
      fixture.send("PATCH", `${widgets}/w`, { body, contentType: "application/merge-patch+json" });
    expect((await merge({ spec: { size: 5 } })).status).toBe(200);
    expect((await merge({ spec: { note: "longer" } })).status).toBe(422);
  });

  it("reads with the defaults of the version that was stored, and shows what the served version knows", async () => {
    const withSpec = (properties: object): object => ({
      schema: { openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties } } } },
    });
    const text = { type: "string" };
    const versions = [
      { ...v1, ...withSpec({ a: { type: "integer", default: 1 }, both: text }) },
      { ...v1, ...withSpec({ both: text, c: { type: "integer", default: 2 } }), name: "v2", storage: false },
    ];
    await define(widgetDefinition({ versions }));
    await create("w", { spec: { both: "x" } });
    const inV2 = widgets.replace("/v1/", "/v2/");
    expect((await fixture.send("GET", `${inV2}/w`)).body["spec"]).toEqual({ both: "x" });
    const body = { kind: "Widget", metadata: { name: "x" }, spec: { both: "y", c: 5 } };
    expect((await fixture.send("POST", inV2, { body })).body["spec"]).toEqual({ both: "y" });
    expect((await fixture.send("GET", `${widgets}/x`)).body["spec"]).toEqual({ a: 1, both: "y" });
  });

  it("writes defaults that an object was stored without, with the next write, though it changes nothing", async () => {
    const openAPIV3Schema = { type: "object", properties: { spec: { type: "object", properties: { a: { type: "integer" } } } } };
    await define(widgetDefinition({}, { schema: { openAPIV3Schema } }));
    await create("w", { spec: {} });
    const path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/a/default";
    await fixture.redefine("widgets.example.com", [{ op: "add", path, value: 7 }]);
    const { body } = await fixture.send("GET", `${widgets}/w`);
    expect(body["spec"]).toEqual({ a: 7 });
    const put = (object: Reading): ReturnType<Fixture["send"]> => fixture.send("PUT", `${widgets}/w`, { body: object });
    const first = await put(body);
    const second = await put(first.body);
    const versions = [body, first.body, second.body].map(({ metadata }) => metadata.resourceVersion);
    expect(versions).toEqual([versions[0], versions[1], versions[1]]);
    expect(versions[0]).not.toBe(versions[1]);
  });

  it("shows an object in each served version, and keeps it when the definition changes", async () => {
    const versions = [v1, { ...v1, name: "v2", storage: false }];
    await define(widgetDefinition({ versions }));
    await create("w");
    const inV2 = (): ReturnType<Fixture["send"]> => fixture.send("GET", `${widgets.replace("/v1/", "/v2/")}/w`);
    expect((await inV2()).body.apiVersion).toBe("example.com/v2");
    const unserved = [{ op: "replace", path: "/spec/versions/1/served", value: false }];
    await fixture.send("PATCH", `${definitions}/widgets.example.com`, { body: unserved, contentType: "application/json-patch+json" });
    await settle();
    expect((await inV2()).status).toBe(404);
    expect((await fixture.send("GET", `${widgets}/w`)).body.metadata.name).toBe("w");
  });

  it("keeps status and spec apart, and counts changes of the spec only", async () => {
    await define(widgetDefinition({}, { subresources: { status: {} } }));
    await create("w", { spec: { a: 1 }, status: { phase: "Mine" } });
    const merge = (path: string, body: object): ReturnType<Fixture["send"]> =>
      fixture.send("PATCH", `${widgets}/w${path}`, { body, contentType: "application/merge-patch+json" });
    const status = await merge("/status", { spec: { a: 9 }, status: { phase: "Ready" }, metadata: { labels: { a: "b" } } });
    expect(status.body).toMatchObject({ metadata: { generation: 1 }, spec: { a: 1 }, status: { phase: "Ready" } });
    expect(status.body.metadata.labels).toBeUndefined();
    const spec = await merge("", { spec: { a: 2 }, status: { phase: "Lost" } });
    expect(spec.body).toMatchObject({ metadata: { generation: 2 }, spec: { a: 2 }, status: { phase: "Ready" } });
  });

  it("counts what changes to the letter, and shows a dry run with the defaults that it would have", async () => {
    const status = { type: "object", properties: { phase: { type: "string" } }, default: { phase: "New" } };
    const spec = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
    const openAPIV3Schema = { type: "object", properties: { spec, status } };
    await define(widgetDefinition({}, { schema: { openAPIV3Schema }, subresources: { status: {} } }));
    const dry = await fixture.send("POST", `${widgets}?dryRun=All`, { body: { kind: "Widget", metadata: { name: "w" } } });
    expect(dry.body["status"]).toEqual({ phase: "New" });
    await create("w", { spec: { a: null, b: [] } });
    const generationAfter = async (spec: object): Promise<unknown> => {
      const body = [{ op: "replace", path: "/spec", value: spec }];
      return (await fixture.send("PATCH", `${widgets}/w`, { body, contentType: "application/json-patch+json" })).body.metadata.generation;
    };
    expect([await generationAfter({ a: null, b: [] }), await generationAfter({ b: [] }), await generationAfter({})]).toEqual([1, 2, 3]);
  });

  it("tells of null where it is applied and not allowed", async () => {
    const spec = { type: "object", properties: { a: { type: "string" } } };
    await define(widgetDefinition({}, { schema: { openAPIV3Schema: { type: "object", properties: { spec } } } }));
    const apply = (applied: object): ReturnType<Fixture["send"]> => {
      const body = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w" }, ...applied };
      return fixture.send("PATCH", `${widgets}/w?fieldManager=m`, { body, contentType: "application/apply-patch+yaml" });
    };
    expect((await apply({ spec: null })).body.message).toContain('spec in body must be of type object: "null"');
    expect((await create("v", { spec: null })).status).toBe(201);
  });

  it("reads and writes the scale where the definition says", async () => {
    const scale = { specReplicasPath: ".spec.size", statusReplicasPath: ".status.ready", labelSelectorPath: ".status.selector" };
    await define(widgetDefinition({}, { subresources: { scale } }));
    await create("w", { spec: { size: 3 }, status: { ready: 2, selector: "a=b" } });
    const found = await fixture.send("GET", `${widgets}/w/scale`);
    expect(found.body).toMatchObject({ kind: "Scale", spec: { replicas: 3 }, status: { replicas: 2, selector: "a=b" } });
    const body = { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "w" }, spec: { replicas: 7 } };
    expect((await fixture.send("PUT", `${widgets}/w/scale`, { body })).body).toMatchObject({ spec: { replicas: 7 } });
    expect((await fixture.send("GET", `${widgets}/w`)).body).toMatchObject({ spec: { size: 7 } });
  });

  it("lets a scale be applied, and owns what it writes where the object has it", async () => {
    const scale = { specReplicasPath: ".spec.size", statusReplicasPath: ".status.ready" };
    await define(widgetDefinition({}, { subresources: { scale } }));
    const made = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w" }, spec: { size: 3, colour: "red" } };
    await fixture.send("POST", `${widgets}?fieldManager=c`, { body: made });
    const apply = (query: string) =>
      fixture.send("PATCH", `${widgets}/w/scale?fieldManager=m${query}`, {
        body: JSON.stringify({ apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "w" }, spec: { replicas: 5 } }),
        contentType: "application/apply-patch+yaml",
      });
    expect((await apply("")).body.message).toBe('Apply failed with 1 conflict: conflict with "c" using autoscaling/v1: .spec.replicas');
    expect((await apply("&force=true")).body).toMatchObject({ spec: { replicas: 5 } });
    const { body } = await fixture.send("GET", `${widgets}/w`);
    expect(body["spec"]).toEqual({ size: 5, colour: "red" });
    expect(body.metadata.managedFields).toMatchObject([
      { manager: "m", operation: "Apply", apiVersion: "example.com/v1", subresource: "scale", fieldsV1: { "f:spec": { "f:size": {} } } },
      { manager: "c", operation: "Update", fieldsV1: { "f:spec": { "f:colour": {} } } },
    ]);
  });

  it("names a definition that is not the one to be deleted", async () => {
    await define(widgetDefinition());
    const refused = await fixture.send("DELETE", `${definitions}/widgets.example.com`, { body: { preconditions: { uid: "x" } } });
    expect([refused.status, refused.body.message]).toEqual([
      409,
      expect.stringMatching(
        /^Operation cannot be fulfilled on customresourcedefinitions.apiextensions.k8s.io "widgets.example.com": Precond/,
      ),
    ]);
  });

  it("refuses what is no number where the scale looks, and a scale that says nothing of how many", async () => {
    const scale = { specReplicasPath: ".spec.a.count", statusReplicasPath: ".status.count", labelSelectorPath: ".status.selector" };
    await define(widgetDefinition({}, { subresources: { status: {}, scale } }));
    const problemOf = async (spec: unknown): Promise<unknown> => (await create("w", { spec })).body.message;
    expect([await problemOf({ a: { count: "3" } }), await problemOf({ a: [1] }), await problemOf({ a: { count: null } })]).toEqual([
      'Widget.example.com "w" is invalid: .spec.a.count: Invalid value: 0: .spec.a.count accessor error: 3 is of the type string, expected int64',
      'Widget.example.com "w" is invalid: .spec.a.count: Invalid value: 0: .spec.a.count accessor error: [1] is of the type []interface {}, expected map[string]interface{}',
      'Widget.example.com "w" is invalid: .spec.a.count: Invalid value: 0: .spec.a.count accessor error: <nil> is of the type <nil>, expected int64',
    ]);
    await create("v", { spec: { a: null } });
    const status = async (status: object): Promise<unknown> => (await fixture.merge(`${widgets}/v/status`, { status })).body.message;
    expect(await status({ selector: "no selector (" })).toBeUndefined();
    expect(await status({ selector: 5 })).toContain(
      '.status.selector: Invalid value: "": .status.selector accessor error: 5 is of the type int64',
    );
    const scaled = async (body: object): Promise<unknown> => {
      const reply = await fixture.merge(`${widgets}/v/scale`, body);
      return [reply.status, reply.body.message];
    };
    expect(await scaled({})).toEqual([400, 'the spec replicas field ".spec.a.count" cannot be empty']);
    expect(await scaled({ spec: { replicas: 1 } })).toEqual([500, "value cannot be set because .spec.a is not a map[string]interface{}"]);
  });

  it("warns of rules that unchanged values break, also where the update is refused", async () => {
    await define(widgetDefinition());
    await create("w", { spec: { a: -1, b: 1 } });
    const positive = { type: "integer", "x-kubernetes-validations": [{ rule: "self > 0", message: "positive" }] };
    const spec = { type: "object", properties: { a: positive, b: positive } };
    const openAPIV3Schema = { type: "object", properties: { spec } };
    await fixture.redefine("widgets.example.com", [{ op: "replace", path: "/spec/versions/0/schema", value: { openAPIV3Schema } }]);
    for (const [b, expected] of [
      [2, 200],
      [-2, 422],
    ]) {
      const { status, warnings } = await fixture.merge(`${widgets}/w`, { spec: { b } });
      expect([status, warnings]).toEqual([expected, ["spec.a: Invalid value: -1: positive"]]);
    }
  });

  it("ends a definition whose other updates would be refused", async () => {
    await define(widgetDefinition());
    await create("w");
    const lost = { status: { storedVersions: ["v1", "v9"] } };
    expect((await fixture.merge(`${definitions}/widgets.example.com/status`, lost)).status).toBe(200);
    await fixture.send("DELETE", `${definitions}/widgets.example.com`);
    await settle();
    expect((await fixture.send("GET", `${definitions}/widgets.example.com`)).status).toBe(404);
    expect((await fixture.send("GET", widgets)).status).toBe(404);
  });

  it("filters by selectable fields and prints the columns of the version", async () => {
    const selectableFields = [{ jsonPath: ".spec.colour" }];
    const additionalPrinterColumns = [
      { name: "Colour", type: "string", jsonPath: ".spec.colour" },
      { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    ];
    const spec = { type: "object", properties: { colour: { type: "string" } } };
    const openAPIV3Schema = { type: "object", properties: { spec }, "x-kubernetes-preserve-unknown-fields": true };
    await define(widgetDefinition({}, { schema: { openAPIV3Schema }, selectableFields, additionalPrinterColumns }));
    await create("w", { spec: { colour: "red" }, status: { conditions: [{ type: "Ready", status: "True" }] } });
    await create("x", { spec: { colour: "blue" } });
    const accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const { body } = await fixture.send("GET", `${widgets}?fieldSelector=spec.colour%3Dred`, { accept });
    expect((body["rows"] as readonly { cells: unknown }[]).map(({ cells }) => cells)).toEqual([["w", "red", "True"]]);
    expect((await fixture.send("GET", `${widgets}?fieldSelector=spec.size%3D1`)).status).toBe(400);
  });

  it("shows its scale as a table, and one object as no list", async () => {
    const scale = { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" };
    const openAPIV3Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
    await define(widgetDefinition({}, { schema: { openAPIV3Schema }, subresources: { status: {}, scale } }));
    await create("w", { spec: { replicas: 3 } });
    const get = (path: string, kind: string) =>
      fixture.send("GET", `${widgets}/w${path}`, { accept: `application/json;as=${kind};v=v1;g=meta.k8s.io` });
    const { body } = await get("/scale", "Table");
    const columns = body["columnDefinitions"] as readonly { readonly name: string; readonly type: string; readonly description: string }[];
    expect(columns.map(({ name, type }) => `${name} ${type}`)).toEqual(["Name string", "Desired integer", "Available integer", "Age date"]);
    expect(columns[1]?.description).toBe("Number of desired replicas");
    const refusals = [await get("", "PartialObjectMetadataList"), await get("/scale", "PartialObjectMetadataList")];
    expect(refusals.map((refusal) => [refusal.status, refusal.body.message])).toEqual([
      [500, "content is not a list"],
      [406, "you requested PartialObjectMetadataList, but the requested object is not a list (*v1.Scale)"],
    ]);
  });
});
