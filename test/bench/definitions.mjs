#!/usr/bin/env node
// How an API server does with many custom resource definitions at once: starts one on a durable store, creates the definitions
// over HTTPS, and prints figures, one line of JSON each: how soon all are established, how long from a creation to its
// discovery, its OpenAPI documents and its first object, how long others wait meanwhile, memory, a start with all definitions,
// watches on all of them, and their deletion with objects.
//
//   node test/bench/definitions.mjs [--definitions 1000] [--connections 16] [--storage lmdb|memory] [--large 20] [--samples 10]
//                                   [--objects 2] [--loops no|yes] [--prof DIRECTORY]
//
// One definition in `large` has schemas of more than 100 KB, as those of big operators do. With `--loops yes` the server runs with
// its controllers (`up --nodes 0`). Figures say as much about the machine: whoever compares two versions runs both in turn.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { memoryOf, optionsOf, rounded, say, shares, spread, startServer } from "./measuring.mjs";

const token = "definitions-bench";
const waitMs = 600_000;
const crdPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** `count` connections; the result asks over one of them. */
function connections(port, count) {
  const agents = Array.from({ length: count }, () => new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false }));
  return (connection, method, path, { body, accept = "application/json", anyStatus = false } = {}) =>
    new Promise((resolve, reject) => {
      const payload = body && JSON.stringify(body);
      const headers = { authorization: `Bearer ${token}`, accept };
      if (payload) Object.assign(headers, { "content-type": "application/json", "content-length": Buffer.byteLength(payload) });
      const agent = agents[connection % count];
      const request = https.request({ host: "127.0.0.1", port, path, method, headers, agent, timeout: waitMs }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const status = response.statusCode;
          if (status < 400 || anyStatus) resolve({ status, text });
          else reject(new Error(`${method} ${path}: status ${status}: ${text.slice(0, 300)}`));
        });
        response.on("error", reject);
      });
      request.on("timeout", () => request.destroy(new Error(`${method} ${path}: no answer`)));
      request.on("error", reject);
      request.end(payload);
    });
}

const describe = (what) => `${what}. What it means, when it is looked at, and what a change of it does to what is running already.`;

/** Schemas as operators generate them from types: nested objects, lists that are maps, enumerations, defaults and rules. */
function specSchema(sections) {
  const section = (i) => ({
    type: "object",
    description: describe(`Section ${i} of the desired state`),
    required: ["name"],
    properties: {
      name: { type: "string", maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", description: describe("The name") },
      mode: { type: "string", enum: ["Auto", "Manual", "Off"], default: "Auto", description: describe("How it is kept") },
      port: { "x-kubernetes-int-or-string": true, anyOf: [{ type: "integer" }, { type: "string" }], description: describe("A port") },
      timeout: { type: "string", format: "duration", description: describe("How long it may take"), nullable: true },
      limits: {
        type: "object",
        maxProperties: 20,
        additionalProperties: { "x-kubernetes-int-or-string": true, anyOf: [{ type: "integer" }, { type: "string" }] },
      },
      conditions: {
        type: "array",
        maxItems: 20,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        items: {
          type: "object",
          required: ["type", "status"],
          properties: { type: { type: "string", maxLength: 316 }, status: { type: "string" }, message: { type: "string" } },
        },
      },
    },
    "x-kubernetes-validations": [{ rule: "self.mode != 'Manual' || has(self.timeout)", message: "a manual one needs a timeout" }],
  });
  return {
    type: "object",
    properties: {
      replicas: { type: "integer", format: "int32", minimum: 0, maximum: 1000, default: 1 },
      size: { type: "string", description: describe("The size") },
      ...Object.fromEntries(Array.from({ length: sections }, (_, i) => [`section${i}`, section(i)])),
    },
    "x-kubernetes-validations": [{ rule: "self.replicas >= oldSelf.replicas || self.replicas > 0", message: "not to nothing" }],
  };
}

const groupOf = (i) => `group${Math.floor(i / 10)}.bench.example.com`;
const pluralOf = (i) => `things${i}`;
const objectsPath = (i) => `/apis/${groupOf(i)}/v1/namespaces/bench/${pluralOf(i)}`;

function definitionOf(i, large) {
  const schema = (sections) => ({
    type: "object",
    properties: {
      spec: specSchema(sections),
      status: { type: "object", properties: { replicas: { type: "integer" }, phase: { type: "string" } } },
    },
  });
  const sections = i % large === 0 ? 70 : 6;
  const version = (name, storage) => ({
    name,
    served: true,
    storage,
    schema: { openAPIV3Schema: schema(sections) },
    subresources: { status: {}, scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" } },
    additionalPrinterColumns: [
      { name: "Size", type: "string", jsonPath: ".spec.size" },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
    ],
    selectableFields: [{ jsonPath: ".spec.size" }],
  });
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${pluralOf(i)}.${groupOf(i)}` },
    spec: {
      group: groupOf(i),
      scope: "Namespaced",
      names: { plural: pluralOf(i), singular: `thing${i}`, kind: `Thing${i}`, listKind: `Thing${i}List`, shortNames: [`th${i}`] },
      versions: i % 3 === 0 ? [version("v1", true), version("v1beta1", false)] : [version("v1", true)],
    },
  };
}

const objectOf = (i, name) => ({
  apiVersion: `${groupOf(i)}/v1`,
  kind: `Thing${i}`,
  metadata: { name },
  spec: { size: "small", replicas: 2, section0: { name: "first", port: "http" } },
});

async function until(holds, what, everyMs = 5) {
  const began = performance.now();
  while (!(await holds())) {
    if (performance.now() - began > waitMs) throw new Error(`${what} did not come true`);
    await sleep(everyMs);
  }
  return performance.now() - began;
}

function processorSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** In a thread of its own: gets of one config map until it is told to stop; gives how long each took. */
async function get({ port, path }) {
  const ask = connections(port, 1);
  let stopped = false;
  parentPort.once("message", () => {
    stopped = true;
  });
  const times = [];
  while (!stopped) {
    const began = performance.now();
    await ask(0, "GET", path);
    times.push(performance.now() - began);
    await sleep(5);
  }
  parentPort.postMessage(times);
}

async function whileGetting(port, work) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { port, path: "/api/v1/namespaces/bench/configmaps/one" } });
  try {
    await work();
    const told = new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    worker.postMessage("stop");
    return shares(await told);
  } finally {
    await worker.terminate();
  }
}

function startApiServer(options, dir) {
  const command = options.loops === "yes" ? ["up", "--nodes", "0"] : ["apiserver"];
  const flags = ["--storage", options.storage, "--secure-port", String(options.port), "--bind-address", "127.0.0.1"];
  const files = ["--data-dir", join(dir, "data"), "--token-auth-file", join(dir, "tokens")];
  const profile = options.prof === "" ? [] : ["--cpu-prof", "--cpu-prof-dir", options.prof];
  return startServer([...profile, options.dist, ...command, ...flags, ...files]);
}

/** Resolves when the server is ready; says how long its start took. */
async function ready(server, figure) {
  const port = await server.port;
  const ask = connections(port, 1);
  const isReady = async () => (await ask(0, "GET", "/readyz", { anyStatus: true }).catch(() => ({}))).status === 200;
  await until(isReady, "readiness");
  say(figure, performance.now() - server.began, "ms", { rss_mb: rounded(memoryOf(server.pid).now), cpu_s: processorSeconds(server.pid) });
  return port;
}

async function conditionCounts(ask) {
  const { items } = JSON.parse((await ask(0, "GET", crdPath)).text);
  const is = ({ status }) => status?.conditions?.some((c) => c.type === "Established" && c.status === "True");
  return items.filter(is).length;
}

async function create(ask, { definitions, connections: count, large, port, pid }) {
  const bodies = Array.from({ length: definitions }, (_, i) => definitionOf(i, large));
  const bytes = bodies.map((body) => JSON.stringify(body).length);
  const before = processorSeconds(pid);
  const began = performance.now();
  let created = 0;
  const others = await whileGetting(port, async () => {
    created = await spread(definitions, count, (connection, i) => ask(connection, "POST", crdPath, { body: bodies[i] }));
    await until(async () => (await conditionCounts(ask)) === definitions, "all established", 20);
  });
  const total = bytes.reduce((sum, length) => sum + length, 0);
  say("all definitions established", (performance.now() - began) / 1000, "s", {
    created_s: rounded(created),
    cpu_s: rounded(processorSeconds(pid) - before),
    megabytes: rounded(total / 1e6),
    largest_kb: Math.round(Math.max(...bytes) / 1000),
  });
  say("get of a config map meanwhile, p99", others.p99, "ms", others);
}

async function documents(ask, first) {
  for (const [figure, path, accept] of [
    ["aggregated discovery", "/apis", aggregated],
    ["OpenAPI v3 index", "/openapi/v3"],
    ["OpenAPI v2", "/openapi/v2"],
  ]) {
    const began = performance.now();
    const { text } = await ask(0, "GET", path, { accept });
    const once = performance.now() - began;
    const again = performance.now();
    await ask(0, "GET", path, { accept });
    say(`${figure}, ${first}`, once, "ms", { again_ms: rounded(performance.now() - again), bytes: text.length });
  }
}

/** One definition more at a time, among all the others: how soon each place has it. */
async function publish(ask, { definitions, large, samples, port }) {
  const times = { discovery: [], v3: [], v2: [], create: [] };
  const others = await whileGetting(port, async () => {
    for (let i = definitions; i < definitions + samples; i++) {
      const { text } = await ask(0, "POST", crdPath, { body: definitionOf(i, large) });
      const began = performance.now();
      const has = async (path, wanted, accept) => (await ask(1, "GET", path, { accept, anyStatus: true })).text.includes(wanted);
      const since = (list) => list.push(performance.now() - began);
      if (!text.includes("uid")) throw new Error("the definition was not created");
      await until(
        async () => (await ask(2, "POST", objectsPath(i), { body: objectOf(i, "first"), anyStatus: true })).status === 201,
        "create",
      );
      since(times.create);
      await until(() => has("/apis", `"${pluralOf(i)}"`, aggregated), "discovery");
      since(times.discovery);
      await until(() => has(`/openapi/v3/apis/${groupOf(i)}/v1`, `Thing${i}"`), "OpenAPI v3");
      since(times.v3);
      await until(() => has("/openapi/v2", `Thing${i}"`), "OpenAPI v2");
      since(times.v2);
    }
  });
  for (const [what, list] of Object.entries(times)) say(`creation to ${what}, p50`, shares(list).p50, "ms", shares(list));
  say("get of a config map while documents are made, p99", others.p99, "ms", others);
}

/** A list and a watch of every resource, as the informers of a controller do. */
async function watchAll(ask, { definitions, port, pid }) {
  const before = memoryOf(pid).now;
  const open = [];
  let events = 0;
  const agent = new https.Agent({ keepAlive: true, rejectUnauthorized: false });
  const began = performance.now();
  await spread(definitions, 16, async (connection, i) => {
    const { metadata } = JSON.parse((await ask(connection, "GET", `/apis/${groupOf(i)}/v1/${pluralOf(i)}`)).text);
    const path = `/apis/${groupOf(i)}/v1/${pluralOf(i)}?watch=true&resourceVersion=${metadata.resourceVersion}`;
    await new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port, path, agent, headers: { authorization: `Bearer ${token}` } };
      const request = https.request(options, (response) => {
        response.on("data", () => events++);
        response.on("error", () => undefined);
        resolve();
      });
      request.on("error", reject);
      request.end();
      open.push(request);
    });
  });
  const seconds = (performance.now() - began) / 1000;
  say("lists and watches of all resources", seconds, "s", { watches: open.length, more_rss_mb: rounded(memoryOf(pid).now - before) });
  return {
    seen: () => events,
    close() {
      for (const request of open) request.on("error", () => undefined).destroy();
      agent.destroy();
    },
  };
}

async function makeObjects(ask, { definitions, objects, connections: count }, watches) {
  const seconds = await spread(definitions * objects, count, (connection, n) => {
    const i = n % definitions;
    return ask(connection, "POST", objectsPath(i), { body: objectOf(i, `object-${Math.floor(n / definitions)}`) });
  });
  await until(() => watches.seen() >= definitions, "events of the objects");
  say("objects created", (definitions * objects) / seconds, "per second", { count: definitions * objects });
}

async function remove(ask, { definitions, samples, connections: count, pid, port }) {
  const before = processorSeconds(pid);
  const began = performance.now();
  const others = await whileGetting(port, async () => {
    const name = (i) => `${crdPath}/${pluralOf(i)}.${groupOf(i)}`;
    await spread(definitions + samples, count, (connection, i) => ask(connection, "DELETE", name(i)));
    await until(async () => JSON.parse((await ask(0, "GET", crdPath)).text).items.length === 0, "deletion", 50);
  });
  say("all definitions deleted, with their objects", (performance.now() - began) / 1000, "s", {
    cpu_s: rounded(processorSeconds(pid) - before),
  });
  say("get of a config map meanwhile, p99", others.p99, "ms", others);
}

async function main() {
  const options = optionsOf(process.argv.slice(2), {
    definitions: 1000,
    connections: 16,
    storage: "lmdb",
    large: 20,
    samples: 10,
    objects: 2,
    port: 0,
    loops: "no",
    prof: "",
    dist: new URL("../../dist/coracle.js", import.meta.url).pathname,
  });
  const dir = mkdtempSync(join(tmpdir(), "coracle-definitions-"));
  writeFileSync(join(dir, "tokens"), `${token},admin,1,"system:masters"\n`);
  if (options.prof !== "") mkdirSync(options.prof, { recursive: true });
  let server = startApiServer(options, dir);
  try {
    let port = await ready(server, "start without definitions");
    let ask = connections(port, 16);
    await ask(0, "POST", "/api/v1/namespaces", { body: { metadata: { name: "bench" } } });
    await ask(0, "POST", "/api/v1/namespaces/bench/configmaps", { body: { metadata: { name: "one" }, data: { a: "b" } } });
    const facts = () => ({ ...options, port, pid: server.pid });
    await create(ask, facts());
    say("memory with all definitions", memoryOf(server.pid).now, "MB");
    await documents(ask, "first");
    await publish(ask, facts());
    say("memory with all documents made", memoryOf(server.pid).now, "MB", { most: Math.round(memoryOf(server.pid).most) });
    const watches = await watchAll(ask, facts());
    await makeObjects(ask, facts(), watches);
    const { now, most } = memoryOf(server.pid);
    say("memory with objects and watches", now, "MB", { most: Math.round(most) });
    const idle = processorSeconds(server.pid);
    await sleep(5000);
    say("processor when idle", ((processorSeconds(server.pid) - idle) / 5) * 100, "% of a core");
    watches.close();
    await server.stop();
    if (options.storage !== "memory") {
      server = startApiServer(options, dir);
      port = await ready(server, "start with all definitions");
      ask = connections(port, 16);
      const last = options.definitions - 1;
      await until(async () => (await ask(0, "GET", objectsPath(last), { anyStatus: true })).status === 200, "custom resources served");
      say("start until custom resources are served", performance.now() - server.began, "ms");
      await documents(ask, "after a start");
      await remove(ask, facts());
    }
    say("memory at the end", memoryOf(server.pid).now, "MB", { most: Math.round(memoryOf(server.pid).most) });
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

if (isMainThread) {
  await main();
  process.exit();
} else await get(workerData);
