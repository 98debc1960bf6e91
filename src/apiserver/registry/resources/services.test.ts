import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtInDefinitions } from "../definitions.ts";
import { createFixture, type Fixture, type Reply } from "../request-fixture.ts";
import { createServiceAllocators } from "../service-allocators.ts";
import { serviceDefinition } from "./services.ts";

const path = "/api/v1/namespaces/default/services";

let server: Fixture;
beforeEach(() => {
  server = createFixture({
    definitions: builtInDefinitions([serviceDefinition]),
    hooksOf: (stores) => ({ "/services": createServiceAllocators(stores, { serviceClusterIpRange: "10.96.0.0/16" }) }),
  });
});
afterEach(() => server.stop());

const specOf = ({ body }: Reply): { readonly clusterIP?: string; readonly clusterIPs?: readonly string[] } => body["spec"] as object;

describe("the cluster IPs of a service", () => {
  const ports = [{ port: 80, protocol: "TCP" }];
  const put = (name: string, spec: object) => server.send("PUT", `${path}/${name}`, { body: { metadata: { name }, spec } });

  it("go with its type, also where an update names the first alone, and come back", async () => {
    const spec = { clusterIP: "None", ports };
    await server.send("POST", path, { body: { metadata: { name: "a" }, spec } });
    const named = await put("a", { ...spec, type: "ExternalName", externalName: "x.y" });
    expect([named.status, specOf(named).clusterIP, specOf(named).clusterIPs]).toEqual([200, undefined, undefined]);
    expect(specOf(await put("a", { ports })).clusterIPs).toEqual([expect.stringMatching(/^10\.96\./)]);
  });

  it("are read, where an older server stored the service, as if it had been stored now", async () => {
    const stored = { apiVersion: "v1", kind: "Service", metadata: { name: "old", namespace: "default", uid: "u" } };
    const spec = { clusterIP: "10.96.0.1", ports };
    const value = Buffer.from(JSON.stringify({ ...stored, spec }));
    await server.store.transact({ conditions: [], operations: [{ type: "put", key: "/registry/services/specs/default/old", value }] });
    const completed = { clusterIPs: ["10.96.0.1"], ipFamilies: ["IPv4"], ipFamilyPolicy: "SingleStack" };
    expect(specOf(await server.send("GET", `${path}/old`))).toMatchObject(completed);
    const updated = await put("old", spec);
    expect([updated.status, specOf(updated)]).toMatchObject([200, completed]);
  });
});
