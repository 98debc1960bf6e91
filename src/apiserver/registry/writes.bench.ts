// The resource handler from a request's bytes to the answer's, over the memory store: what a create, a binding, a status
// patch, an update and a get cost without sockets, admission and disk. One pod lives through all of them in turn.
import { bench, describe } from "vitest";
import { encodeJson } from "../http/encode.ts";
import type { Fixture } from "./request-fixture.ts";
import { createFixture } from "./request-fixture.ts";

// Objects are not frozen here: freezing costs more than what is measured.
const fixture: Fixture = createFixture({ onObject: () => undefined });
const pods = "/api/v1/namespaces/default/pods";
const maps = "/api/v1/namespaces/default/configmaps";

const podNamed = (name: string): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: "web" } },
    spec: {
      containers: [{ name: "c", image: "registry.k8s.io/pause:3.10", resources: { requests: { cpu: "100m", memory: "128Mi" } } }],
    },
  });

const mapNamed = (name: string, value: string): string =>
  JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { key: "x".repeat(900), value } });

const bindingOf = (name: string): string =>
  JSON.stringify({ apiVersion: "v1", kind: "Binding", metadata: { name }, target: { apiVersion: "v1", kind: "Node", name: "node-1" } });

const running = encodeJson({
  status: {
    phase: "Running",
    podIPs: [{ ip: "10.0.0.1" }],
    conditions: [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }],
  },
}).toString();

async function ask(method: string, path: string, body?: string, contentType = "application/json"): Promise<void> {
  const { status, body: answer } = await fixture.send(method, path, { body, contentType });
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${answer.message}`);
}

let made = 0;
let bound = 0;
let started = 0;
const prepared = 20_000;
for (let i = 0; i < prepared; i++) await ask("POST", pods, podNamed(`prepared-${i}`));
await ask("POST", maps, mapNamed("one", "0"));

describe("a write through the resource handler", () => {
  bench("create a pod", () => ask("POST", pods, podNamed(`made-${made++}`)));
  bench("update a config map", () => ask("PUT", `${maps}/one`, mapNamed("one", String(made++))));
  bench("bind a pod", () => ask("POST", `${pods}/prepared-${bound}/binding`, bindingOf(`prepared-${bound++}`)), {
    iterations: 5000,
    time: 0,
  });
  bench(
    "patch a pod's status",
    () => ask("PATCH", `${pods}/prepared-${started++}/status`, running, "application/strategic-merge-patch+json"),
    { iterations: 5000, time: 0 },
  );
});

describe("a read through the resource handler", () => {
  bench("get a pod", () => ask("GET", `${pods}/prepared-1`));
});
