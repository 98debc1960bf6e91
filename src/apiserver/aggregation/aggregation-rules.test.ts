import { describe, expect, it } from "vitest";
import type { ResourceType } from "../../api/resource-type.ts";
import { configmaps, deployments, horizontalpodautoscalers, horizontalpodautoscalersV1 } from "../../api/resources.generated.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { Service } from "../../api/types/core-v1.ts";
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";
import { discoveredGroups, groupsOf, inListOrder } from "../discovery/documents.ts";
import { checkService } from "./check-service.ts";
import { automanagedLabel, decideRegistration, type WantedApiService } from "./decide-registration.ts";
import { answeredHeaders, forwardedHeaders } from "./forwarded-headers.ts";
import { builtInPriority, defaultPriority } from "./group-priorities.ts";
import { mergeGroups } from "./merge-groups.ts";
import { mergeSpecsV2, readSpecV2 } from "./openapi-v2.ts";
import { readGroupDiscoveryList, readResourceList } from "./remote-documents.ts";

function apiService(spec: Partial<APIService["spec"]> = {}, labels: Readonly<Record<string, string>> = {}): APIService {
  return {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: "v1.a.example.com", uid: "u", labels, creationTimestamp: "", resourceVersion: "1" },
    spec: { group: "a.example.com", version: "v1", groupPriorityMinimum: 1000, versionPriority: 100, ...spec },
  };
}

describe("decideRegistration()", () => {
  const wanted = (managed: "onstart" | "true"): WantedApiService => ({
    ...{ group: "a.example.com", version: "v1", managed },
    priority: { group: 1000, version: 100 },
  });
  const facts = { wanted: undefined, current: undefined, hasSynced: false, wasThereAtStart: true };
  const managed = (value: string, spec: Partial<APIService["spec"]> = {}) => apiService(spec, { [automanagedLabel]: value });
  const changed = { groupPriorityMinimum: 7 };
  it.each([
    ["creates what is missing", { wanted: wanted("true") }, "create"],
    ["creates again what is to be kept", { wanted: wanted("true"), hasSynced: true }, "create"],
    ["does not create again what was made at the start", { wanted: wanted("onstart"), hasSynced: true }, "none"],
    ["leaves others' alone", { wanted: wanted("true"), current: apiService(changed) }, "none"],
    ["leaves alone what is as it should be", { wanted: wanted("true"), current: managed("true") }, "none"],
    ["mends what was changed", { wanted: wanted("true"), current: managed("true", changed), hasSynced: true }, "update"],
    ["mends once what is made at the start", { wanted: wanted("onstart"), current: managed("onstart", changed) }, "update"],
    ["and then leaves it", { wanted: wanted("onstart"), current: managed("onstart", changed), hasSynced: true }, "none"],
    ["deletes what is not wanted any more", { current: managed("true") }, "delete"],
    ["deletes at the start what an older version had", { current: managed("onstart") }, "delete"],
    ["keeps what another server has made at its start", { current: managed("onstart"), wasThereAtStart: false }, "none"],
    ["has nothing to do about nothing", {}, "none"],
  ])("%s", (_what, more, kind) => {
    expect(decideRegistration({ ...facts, ...more }).kind).toBe(kind);
  });

  it("names no group for the core group", () => {
    const action = decideRegistration({
      ...facts,
      wanted: { group: "", version: "v1", priority: { group: 1, version: 2 }, managed: "onstart" },
    });
    expect(action).toEqual({
      kind: "create",
      object: {
        metadata: { name: "v1.", labels: { [automanagedLabel]: "onstart" } },
        spec: { version: "v1", groupPriorityMinimum: 1, versionPriority: 2 },
      },
    });
  });
});

describe("checkService()", () => {
  const service = { spec: { type: "ClusterIP", ports: [{ name: "https", port: 443 }] } } as unknown as Service;
  const slice = (more: object): EndpointSlice =>
    ({
      endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: true } }],
      ports: [{ name: "https", port: 8443 }],
      ...more,
    }) as unknown as EndpointSlice;
  const of = apiService({ service: { namespace: "n", name: "s", port: 443 } });
  it.each([
    ["ServiceNotFound", undefined, [slice({})]],
    ["ServicePortError", { spec: { ports: [{ port: 80 }] } } as unknown as Service, [slice({})]],
    ["EndpointsNotFound", service, []],
    ["MissingEndpoints", service, [slice({ endpoints: [] })]],
    ["MissingEndpoints", service, [slice({ endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: false } }] })]],
    ["MissingEndpoints", service, [slice({ ports: [{ name: "other", port: 1 }] })]],
    ["MissingEndpoints", service, [slice({ endpoints: [] }), slice({ ports: [] })]],
    [undefined, service, [slice({})]],
    [undefined, service, [slice({ endpoints: [{ addresses: ["10.0.0.1"] }] })]],
    [undefined, { spec: { type: "ExternalName" } } as Service, []],
  ])("finds %s", (reason, found, slices) => {
    expect(checkService(of, found, slices)?.reason).toBe(reason);
  });
});

describe("forwardedHeaders()", () => {
  const user = { name: "jürgen", groups: ["a", "b"], extra: { "example.com/scopes": ["x", "y"], empty: [] } };
  const forwarding = { user, host: "10.0.0.1:443", path: "/apis/x/v1", remoteAddress: "1.2.3.4", auditId: "id" };

  it("says who asks, in bytes and names that headers can have", () => {
    const headers = forwardedHeaders({ "x-remote-group": "root", "x-remote-extra-a": "b", ":path": "/" }, forwarding);
    expect(headers).toEqual({
      ...{ host: "10.0.0.1:443", "audit-id": "id", "x-forwarded-for": "1.2.3.4", "x-forwarded-host": "10.0.0.1:443" },
      ...{ "x-forwarded-proto": "https", "x-forwarded-uri": "/apis/x/v1" },
      "X-Remote-User": "jÃ¼rgen",
      "X-Remote-Group": ["a", "b"],
      "X-Remote-Extra-example.com%2Fscopes": ["x", "y"],
    });
  });

  it("adds to the addresses that a request came from", () => {
    expect(forwardedHeaders({ "x-forwarded-for": "9.9.9.9" }, forwarding)["x-forwarded-for"]).toBe("9.9.9.9, 1.2.3.4");
    expect(forwardedHeaders({ "x-forwarded-for": "9.9.9.9" }, { ...forwarding, remoteAddress: "" })["x-forwarded-for"]).toBe("9.9.9.9");
  });

  it("gives back what is the answer's own", () => {
    const headers = {
      "content-encoding": "gzip",
      connection: "close, x-hop",
      "x-hop": "1",
      "audit-id": "2",
      etag: "e",
      "content-type": "t",
    };
    expect(answeredHeaders({ ...headers, "access-control-allow-origin": "*" })).toEqual({ "content-encoding": "gzip", etag: "e" });
  });
});

describe("priorities", () => {
  it("put built-in groups in upstream's order, and registration first", () => {
    expect(builtInPriority({ group: "autoscaling", version: "v2" })).toEqual({ group: 17500, version: 30 });
    expect(builtInPriority({ group: "apiregistration.k8s.io", version: "v1" })).toBeUndefined();
    expect(builtInPriority({ group: "toString", version: "v1" })).toBeUndefined();
    expect(defaultPriority({ group: "apiregistration.k8s.io", version: "v1" }).group).toBe(20_001);
    expect(defaultPriority({ group: "x.example.com", version: "v1" })).toEqual({ group: 1000, version: 100 });
  });
});

describe("mergeGroups()", () => {
  const local = groupsOf([configmaps, deployments, horizontalpodautoscalersV1, horizontalpodautoscalers] as readonly ResourceType[]);
  const registered = (group: string, version: string, priority: readonly [number, number]) => ({
    ...{ group, version },
    priority: { group: priority[0], version: priority[1] },
  });
  const remote = { resources: [{ resource: "widgets" }], freshness: "Current" } as const;

  it("orders groups and versions by priority, then by name and age", () => {
    const groups = mergeGroups(local, [
      { ...registered("b.example.com", "v1beta1", [100, 10]), remote },
      { ...registered("b.example.com", "v1", [100, 10]), remote },
      { ...registered("a.example.com", "v2", [100, 10]), remote },
      { ...registered("first.example.com", "v1", [17_700, 10]), remote },
    ]);
    expect(groups.map(({ name, versions }) => `${name} ${versions.map((v) => v.version).join(",")}`)).toEqual([
      " v1",
      "apps v1",
      "first.example.com v1",
      "autoscaling v2,v1",
      "a.example.com v2",
      "b.example.com v1,v1beta1",
    ]);
    // The name of an APIService begins with the version.
    expect(inListOrder(groups).map(({ name }) => name)).toEqual([
      "",
      "apps",
      "first.example.com",
      "autoscaling",
      "b.example.com",
      "a.example.com",
    ]);
  });

  it("lists what only has an APIService, but gives it no resources; a service takes a group version over", () => {
    const groups = mergeGroups(local, [
      registered("none.example.com", "v1", [50, 1]),
      { ...registered("apps", "v1", [17_800, 15]), remote },
    ]);
    expect(groups.at(-1)?.name).toBe("none.example.com");
    const items = discoveredGroups(groups);
    expect(items.map(({ metadata }) => metadata.name)).toEqual([undefined, "apps", "autoscaling"]);
    expect(items[1]?.versions).toEqual([{ version: "v1", resources: [{ resource: "widgets" }], freshness: "Current" }]);
  });
});

describe("documents of extension servers", () => {
  it("are refused where they are no discovery", () => {
    for (const text of ["{", "[]", '{"kind":"Status"}', '{"kind":"APIGroupDiscoveryList","items":[3]}'])
      expect(() => readGroupDiscoveryList(text)).toThrow();
    for (const text of ['{"kind":"APIResourceList","resources":{}}', '{"kind":"APIResourceList","resources":[{"kind":"X"}]}'])
      expect(() => readResourceList(text)).toThrow();
  });

  it("get the response kind that old clients need", () => {
    const items = [
      { metadata: { name: "g" }, versions: [{ version: "v1", resources: [{ resource: "a", subresources: [{ subresource: "s" }] }] }] },
    ];
    const found = readGroupDiscoveryList(JSON.stringify({ kind: "APIGroupDiscoveryList", items }));
    const responseKind = { group: "", version: "", kind: "" };
    expect(found.get("g/v1")).toEqual([{ resource: "a", responseKind, subresources: [{ subresource: "s", responseKind }] }]);
  });

  it("of the older form put subresources below their resources", () => {
    const resources = [
      { name: "a", singularName: "one", namespaced: true, kind: "A", verbs: ["get"], shortNames: ["x"] },
      { name: "a/scale", namespaced: true, kind: "Scale", group: "autoscaling", version: "v1", verbs: ["get"] },
      { name: "b/status", namespaced: false, kind: "B", verbs: ["get"] },
    ];
    expect(readResourceList(JSON.stringify({ kind: "APIResourceList", resources }))).toEqual([
      {
        ...{ resource: "a", scope: "Namespaced", singularResource: "one", verbs: ["get"], shortNames: ["x"] },
        responseKind: { group: "", version: "", kind: "A" },
        subresources: [{ subresource: "scale", responseKind: { group: "autoscaling", version: "v1", kind: "Scale" }, verbs: ["get"] }],
      },
      {
        ...{ resource: "b", scope: "Cluster" },
        responseKind: { group: "", version: "", kind: "" },
        subresources: [{ subresource: "status", responseKind: { group: "", version: "", kind: "B" }, verbs: ["get"] }],
      },
    ]);
  });
});

describe("mergeSpecsV2()", () => {
  const refer = (name: string) => ({ $ref: `#/definitions/${name}` });
  const spec = (paths: object, definitions: object) => readSpecV2(JSON.stringify({ swagger: "2.0", paths, definitions }), "/apis/x/");
  const own = {
    swagger: "2.0",
    paths: { "/apis/x/own": {} },
    definitions: { A: { type: "string" }, B: { type: "object", "x-kubernetes-group-version-kind": [1] } },
  };

  it("keeps what is there, renames what differs, and shares what is the same", () => {
    const definitions = {
      A: { type: "object", properties: { b: refer("B"), self: refer("A") } },
      B: { type: "object", "x-kubernetes-group-version-kind": [2] },
      A_v2: { type: "integer" },
      Unused: {},
    };
    const added = spec(
      { "/apis/x/own": { schema: refer("Unused") }, "/apis/x/new": { schema: refer("A"), other: refer("A_v2") }, "/api/y": {} },
      definitions,
    );
    expect(mergeSpecsV2(own, [added])).toEqual({
      swagger: "2.0",
      paths: { "/apis/x/own": {}, "/apis/x/new": { schema: refer("A_v3"), other: refer("A_v2") } },
      definitions: {
        A: { type: "string" },
        B: { type: "object", "x-kubernetes-group-version-kind": [1, 2] },
        A_v2: { type: "integer" },
        A_v3: { type: "object", properties: { b: refer("B"), self: refer("A_v3") } },
      },
    });
  });

  it("uses a renamed definition again for another server that has the same", () => {
    const once = spec({ "/apis/x/1": refer("A") }, { A: { type: "boolean" } });
    const again = spec({ "/apis/x/2": refer("A") }, { A: { type: "boolean" } });
    const { definitions, paths } = mergeSpecsV2(own, [once, again]) as { definitions: object; paths: Readonly<Record<string, unknown>> };
    expect(Object.keys(definitions)).toEqual(["A", "B", "A_v2"]);
    expect(paths["/apis/x/2"]).toEqual(refer("A_v2"));
  });

  it("refuses what is no Swagger document", () => {
    expect(() => readSpecV2('{"openapi":"3.0.0"}', "/")).toThrow("Swagger");
  });
});
