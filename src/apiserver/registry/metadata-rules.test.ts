// What kinds check of metadata: how often, through which endpoint, and in which order.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture, type Reply } from "./request-fixture.ts";
import { describedResources } from "./resources/all.ts";

const pods = "/api/v1/namespaces/default/pods";
const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const services = "/apis/apiregistration.k8s.io/v1/apiservices";
const classes = "/apis/resource.k8s.io/v1/deviceclasses";
const namespaces = "/api/v1/namespaces";

let server: Fixture;
beforeEach(() => {
  server = createFixture({ definitions: builtInDefinitions(describedResources) });
});
afterEach(() => server.stop());

const post = (path: string, body: object): Promise<Reply> => server.send("POST", path, { body });
const fieldsOf = ({ body }: Reply): unknown => (body["details"] as { causes?: { field: string }[] }).causes?.map(({ field }) => field);

describe("names", () => {
  it("of definitions and API services are checked with the rest of their metadata", async () => {
    const metadata = { name: "other", annotations: { "Bad!": "x" } };
    const refused = await post(definitions, {
      metadata,
      spec: { group: "a.b", scope: "Cluster", names: { plural: "cs", kind: "C" }, versions: [] },
    });
    expect((fieldsOf(refused) as string[]).slice(0, 2)).toEqual(["metadata.name", "metadata.annotations"]);
    const service = await post(services, {
      metadata: { name: "other", generateName: "x-" },
      spec: { group: "a.b", version: "v1", groupPriorityMinimum: 1, versionPriority: 1 },
    });
    const wanted = 'must be `spec.version+"."+spec.group`: "v1.a.b"';
    expect(service.body["message"]).toBe(
      `APIService.apiregistration.k8s.io "other" is invalid: [metadata.generateName: Invalid value: "x-": ${wanted}, metadata.name: Invalid value: "other": ${wanted}]`,
    );
  });

  it("are made from a prefix whose last character before a dash is not looked at", async () => {
    const { body } = await post(`${namespaces}/default/configmaps`, { metadata: { generateName: "A-" } });
    expect(body["message"]).toMatch(/^ConfigMap "A-.{5}" is invalid: metadata\.name: Invalid value/);
    expect((await post(classes, { metadata: { name: "a", generateName: "Bad_" }, spec: {} })).status).toBe(201);
  });
});

describe("metadata of subresources", () => {
  it("is left alone by the status of disruption budgets", async () => {
    const created = await post(budgets, { metadata: { name: "b", finalizers: ["plain"] }, spec: { minAvailable: 1 } });
    expect(created.status).toBe(201);
    const metadata = { ...created.body.metadata, labels: { "Bad!": "" }, deletionGracePeriodSeconds: 5 };
    const refused = await server.send("PUT", `${budgets}/b/status`, { body: { ...created.body, metadata } });
    // Once by the registry as a whole, once as a change.
    expect(fieldsOf(refused)).toEqual(["metadata.labels", "metadata.deletionGracePeriodSeconds", "metadata.labels"]);
  });

  it("is checked as a whole by the resize of pods, whose writer owns what he sent", async () => {
    const { body } = await post(pods, { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } });
    const put = (metadata: object, spec: object = {}): Promise<Reply> =>
      server.send("PUT", `${pods}/p/resize?fieldManager=m`, {
        body: { ...body, metadata: { ...body.metadata, ...metadata }, spec: { ...(body["spec"] as object), ...spec } },
      });
    expect(fieldsOf(await put({ generateName: "Bad_Name-" }))).toEqual(["metadata.generateName"]);
    const { metadata } = (await put({}, { schedulerName: "s" })).body;
    expect(metadata.managedFields).toContainEqual(
      expect.objectContaining({ manager: "m", subresource: "resize", fieldsV1: { "f:spec": { "f:schedulerName": {} } } }),
    );
  });
});

describe("updates", () => {
  it("keep the selfLink that was sent; creates do not", async () => {
    const { body } = await post(`${namespaces}/default/configmaps`, { metadata: { name: "c", selfLink: "/x" } });
    expect(body.metadata).not.toHaveProperty("selfLink");
    const sent = { ...body, metadata: { ...body.metadata, selfLink: "/y" } };
    const updated = await server.send("PUT", `${namespaces}/default/configmaps/c`, { body: sent });
    expect(updated.body.metadata).toMatchObject({ selfLink: "/y" });
  });

  it("of a namespace's status without a phase say Active", async () => {
    const { body } = await post(namespaces, { metadata: { name: "n" } });
    const updated = await server.send("PUT", `${namespaces}/n/status`, { body: { ...body, status: {} } });
    expect(updated.body["status"]).toEqual({ phase: "Active" });
  });

  it("by apply name what was applied when it cannot be converted", async () => {
    const secrets = `${namespaces}/default/secrets`;
    await post(secrets, { metadata: { name: "s" } });
    const applied = await server.send("PATCH", `${secrets}/s?fieldManager=m`, {
      body: { apiVersion: "v1", kind: "Secret", metadata: { name: "s" }, data: { a: "!!" } },
      contentType: "application/apply-patch+yaml",
    });
    const why = "unable to convert unstructured object to /v1, Kind=Secret: error decoding from json: illegal base64 data at input byte 0";
    expect([applied.status, applied.body["message"]]).toEqual([
      500,
      `failed to convert new object (/s; /v1, Kind=Secret) to proper version: ${why}`,
    ]);
  });
});
