import { afterEach, beforeEach, expect, it } from "vitest";
import { builtInDefinitions } from "../definitions.ts";
import { createFixture, type Fixture } from "../request-fixture.ts";
import { persistentVolumeClaimDefinition } from "./storage.ts";

let server: Fixture;
beforeEach(() => {
  server = createFixture({ definitions: builtInDefinitions([persistentVolumeClaimDefinition]) });
});
afterEach(() => server.stop());

it("a claim that an older server stored with its old source alone is read with both, and can be sent as it was", async () => {
  const source = { kind: "PersistentVolumeClaim", name: "foo" };
  const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "10G" } }, dataSource: source };
  const claim = { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "old", namespace: "default", uid: "u" }, spec };
  const key = "/registry/persistentvolumeclaims/default/old";
  await server.store.transact({ conditions: [], operations: [{ type: "put", key, value: Buffer.from(JSON.stringify(claim)) }] });
  const path = "/api/v1/namespaces/default/persistentvolumeclaims/old";
  expect((await server.send("GET", path)).body["spec"]).toMatchObject({ dataSource: source, dataSourceRef: source });
  const sent = await server.send("PUT", path, { body: claim });
  expect([sent.status, sent.body["spec"]]).toMatchObject([200, { dataSource: source, dataSourceRef: source }]);
});
