// Many custom resource definitions at once, over HTTPS to a server in a process of its own: all are established, discovery and the
// OpenAPI index have them, objects of all can be created, a definition that comes later is soon in every document, and deleting all
// of them ends.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Transport, TransportResponse } from "../../src/client/transport.ts";
import { type ApiServerProcess, adminTransport, startApiServerProcess } from "../support/apiserver-process.ts";
import { until } from "../support/processes.ts";

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const count = 300;
const perGroup = 10;

const groupOf = (i: number): string => `group${Math.floor(i / perGroup)}.example.com`;
const pluralOf = (i: number): string => `things${i}`;
const objectsOf = (i: number): string => `/apis/${groupOf(i)}/v1/namespaces/default/${pluralOf(i)}`;
const nameOf = (i: number): string => `${pluralOf(i)}.${groupOf(i)}`;
const all = Array.from({ length: count }, (_, i) => i);

function definitionOf(i: number): object {
  const condition = { type: "object", required: ["type"], properties: { type: { type: "string" }, status: { type: "string" } } };
  const conditions = { type: "array", items: condition, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] };
  const properties = {
    size: { type: "integer", minimum: 0, default: 1 },
    labels: { type: "object", additionalProperties: { type: "string" } },
  };
  const spec = { type: "object", properties, "x-kubernetes-validations": [{ rule: "self.size >= 0" }] };
  const openAPIV3Schema = { type: "object", properties: { spec, status: { type: "object", properties: { conditions } } } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: nameOf(i) },
    spec: {
      group: groupOf(i),
      scope: "Namespaced",
      names: { plural: pluralOf(i), kind: `Thing${i}` },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema }, subresources: { status: {} } }],
    },
  };
}

let server: ApiServerProcess;
let transport: Transport;

beforeAll(async () => {
  server = await startApiServerProcess();
  transport = await adminTransport(server.dataDir);
});

afterAll(async () => {
  await transport?.close();
  await server?.stop();
});

const send = (method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<TransportResponse> =>
  transport.request({ method, path, ...(body ? { body } : {}) });

const textOf = async (path: string, accept = "application/json"): Promise<string> =>
  JSON.stringify((await transport.request({ method: "GET", path, accept })).body);

/** Eight at a time. */
async function forAll(work: (i: number) => Promise<void>): Promise<void> {
  const left = [...all];
  const loop = async (): Promise<void> => {
    for (let i = left.shift(); i !== undefined; i = left.shift()) await work(i);
  };
  await Promise.all(Array.from({ length: 8 }, loop));
}

interface Listed {
  readonly items: readonly { readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] } }[];
}

const listed = async (): Promise<Listed["items"]> => ((await send("GET", definitions)).body as Listed).items;

test("hundreds of definitions are established, served, documented and deleted", { timeout: 180_000 }, async () => {
  await forAll(async (i) => expect((await send("POST", definitions, definitionOf(i))).status).toBe(201));
  await until("all are established", async () => {
    const isEstablished = ({ status }: Listed["items"][number]): boolean =>
      (status?.conditions ?? []).some((condition) => condition.type === "Established" && condition.status === "True");
    return (await listed()).filter(isEstablished).length === count;
  });

  const discovery = await textOf("/apis", aggregated);
  expect(all.filter((i) => !discovery.includes(`"${pluralOf(i)}"`))).toEqual([]);
  const index = String((await send("GET", "/openapi/v3")).body);
  expect(all.filter((i) => !index.includes(`"apis/${groupOf(i)}/v1"`))).toEqual([]);

  await forAll(async (i) => {
    const body = { apiVersion: `${groupOf(i)}/v1`, kind: `Thing${i}`, metadata: { name: "one" }, spec: {} };
    expect(await send("POST", objectsOf(i), body)).toMatchObject({ status: 201, body: { spec: { size: 1 } } });
  });

  // The documents of all exist already, as with a client that follows them.
  await textOf("/openapi/v2");
  expect((await send("POST", definitions, definitionOf(count))).status).toBe(201);
  const began = performance.now();
  const seen = async (what: string, holds: () => Promise<boolean>): Promise<string> => {
    await until(`${what} has the definition`, holds, 10_000);
    return `${what} ${Math.round(performance.now() - began)} ms`;
  };
  const times = [
    await seen("discovery", async () => (await textOf("/apis", aggregated)).includes(`"${pluralOf(count)}"`)),
    await seen("OpenAPI v3", async () => (await textOf(`/openapi/v3/apis/${groupOf(count)}/v1`)).includes(`Thing${count}"`)),
    await seen("OpenAPI v2", async () => (await textOf("/openapi/v2")).includes(`Thing${count}"`)),
  ];
  console.log(`A definition among ${count} others: ${times.join(", ")}`);

  await forAll(async (i) => expect((await send("DELETE", `${definitions}/${nameOf(i)}`)).status).toBe(200));
  await send("DELETE", `${definitions}/${nameOf(count)}`);
  await until("all are gone", async () => (await listed()).length === 0);
  expect((await send("GET", objectsOf(0))).status).toBe(404);
});
