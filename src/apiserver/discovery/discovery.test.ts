import { describe, expect, it } from "vitest";
import type { ResourceType } from "../../api/resource-type.ts";
import { deployments } from "../../api/resources.generated.ts";
import { fakeContext } from "../authn/request-fixture.ts";
import type { ApiResponse } from "../request.ts";
import { createDiscovery } from "./discovery.ts";

const widgets: ResourceType = {
  group: "example.com",
  version: "v1",
  resource: "widgets",
  singular: "widget",
  kind: "Widget",
  namespaced: true,
  verbs: ["get", "list"],
  subresources: [],
};
const discovery = createDiscovery({ resources: () => [deployments as ResourceType, widgets], serverAddress: () => "192.0.2.1:6443" });

async function ask(method: string, path: string): Promise<ApiResponse | undefined> {
  const context = fakeContext({ info: { path } });
  return discovery.find(path)?.({ ...context, request: { ...context.request, method } });
}

describe("/apis/GROUP/VERSION", () => {
  it("of custom resources is found by any method, and a version that is not there by none", async () => {
    for (const method of ["GET", "POST", "DELETE"]) {
      expect(await ask(method, "/apis/example.com/v1")).toMatchObject({ status: 200, object: { kind: "APIResourceList" } });
      const absent = await ask(method, "/apis/example.com/v2");
      expect(absent).toMatchObject({ status: 404, kind: "bytes", contentType: "text/plain; charset=utf-8" });
    }
  });

  it("of built-in resources is read only, and a version that is not there is told in a Status", async () => {
    expect(await ask("GET", "/apis/apps/v1")).toMatchObject({ status: 200 });
    await expect(ask("POST", "/apis/apps/v1")).rejects.toMatchObject({ status: { code: 405 } });
    await expect(ask("GET", "/apis/apps/v9")).rejects.toMatchObject({ status: { code: 404, reason: "NotFound" } });
  });
});

describe("/apis in the aggregated form", () => {
  const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  const resources = [deployments as ResourceType];
  let generation = 1;
  const answered: string[] = [];
  const withPeers = createDiscovery({
    resources: () => resources,
    serverAddress: () => "192.0.2.1:6443",
    peers: {
      get generation() {
        return generation;
      },
      merge: (own) => [...own, { metadata: { name: `peers-${generation}` }, versions: [] }],
    },
    onProfile: (how) => answered.push(how),
  });
  const textOf = async (path: string, headers: Record<string, string>): Promise<string> => {
    const response = await withPeers.find(path)?.(fakeContext({ info: { path }, headers }));
    if (response?.kind !== "bytes") throw new Error(`answered with ${response?.kind}`);
    return Buffer.from(response.bytes).toString();
  };

  it("has what peers serve, made anew when they have changed, and not for those who want this server's own", async () => {
    expect(await textOf("/apis", { accept })).toContain("peers-1");
    expect(await textOf("/apis", { accept })).toContain("peers-1");
    generation = 2;
    expect(await textOf("/apis", { accept })).toContain("peers-2");
    expect(await textOf("/apis", { accept: `${accept};profile=nopeer` })).not.toContain("peers");
    expect(answered).toEqual(["peers, made", "peers, kept", "peers, made", "nopeer"]);
    expect(await textOf("/api", { accept })).not.toContain("peers");
    expect(answered).toHaveLength(4);
  });

  it("is indented for a person", async () => {
    expect(await textOf("/apis", { accept, "user-agent": "curl/8" })).toMatch(/^\{\n {2}"kind": "APIGroupDiscoveryList",\n/);
  });
});
