import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { type ComponentChecks, componentStatuses } from "./component-statuses.ts";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";
import { componentStatusDefinition } from "./resources/cluster.ts";

const path = "/api/v1/componentstatuses";
let fixture: Fixture;
const problems = new Map<string, string | undefined>();
const components: ComponentChecks = new Map([["controller-manager", () => problems]]);

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(): Promise<number> {
  const scheduler = await closedPort();
  const stores = [async (): Promise<void> => undefined, () => Promise.reject(new Error("no leader"))];
  const deps = { clock: new VirtualClock(), components, stores, ports: { scheduler, "controller-manager": scheduler } };
  fixture = createFixture({ definitions: builtInDefinitions([componentStatusDefinition]), computed: componentStatuses(deps) });
  return scheduler;
}

afterEach(async () => {
  problems.clear();
  await fixture.stop();
});

describe("component statuses", () => {
  it("tell of the components of the process, of those at ports and of each server of the store", async () => {
    const port = await start();
    const refused = `Get "https://127.0.0.1:${port}/healthz": dial tcp 127.0.0.1:${port}: connect: connection refused`;
    const { status, body, warnings } = await fixture.send("GET", path);
    expect([status, body.kind, body.metadata]).toEqual([200, "ComponentStatusList", {}]);
    expect(warnings).toEqual(["v1 ComponentStatus is deprecated in v1.19+"]);
    expect(body.items.map(({ metadata, conditions }) => [metadata.name, conditions])).toEqual([
      ["scheduler", [{ type: "Healthy", status: "False", message: refused }]],
      ["controller-manager", [{ type: "Healthy", status: "True", message: "ok" }]],
      ["etcd-0", [{ type: "Healthy", status: "True", message: "ok" }]],
      ["etcd-1", [{ type: "Healthy", status: "False", error: "no leader" }]],
    ]);
    problems.set("job-controller", "stopped");
    const one = await fixture.send("GET", `${path}/controller-manager`);
    expect(one.body.conditions).toEqual([{ type: "Healthy", status: "False", message: "job-controller: stopped" }]);
  });

  it("are selected, shown as a table, and neither watched nor written", async () => {
    await start();
    const names = async (query: string): Promise<unknown> =>
      (await fixture.send("GET", `${path}?${query}`)).body.items.map(({ metadata }) => metadata.name);
    expect(await names("fieldSelector=metadata.name%3Detcd-0")).toEqual(["etcd-0"]);
    expect(await names("labelSelector=a%3Db")).toEqual([]);
    const table = await fixture.send("GET", `${path}/etcd-0`, { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" });
    expect(table.body.rows).toMatchObject([{ cells: ["etcd-0", "Healthy", "ok", ""] }]);
    expect((await fixture.send("GET", `${path}/x`)).body).toMatchObject({
      message: 'componentstatus "x" not found',
      details: { name: "x", kind: "componentstatus" },
    });
    expect((await fixture.send("GET", `${path}?watch=1`)).body).toMatchObject({
      code: 405,
      message: 'watch is not supported on resources of kind "componentstatuses"',
    });
    expect((await fixture.send("DELETE", `${path}/etcd-0`)).status).toBe(405);
  });
});
