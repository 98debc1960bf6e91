#!/usr/bin/env node
// How an API server does with a large cluster's objects: starts one, stores nodes and pods over HTTPS, and prints figures, one
// line of JSON each: the rates of storing, the memory, how long gets take while others write, and how many lists of all nodes
// are answered in a second.
//
//   node test/bench/scale.mjs [--pods 100000] [--nodes 5000] [--storage memory|lmdb] [--seconds 15] [--writers 4] [--readers 4]
//                             [--writes-per-second 500]
//
// Gets are timed twice: beside writes at a fixed rate (5,000 nodes renew 500 leases a second, and change little else), and beside
// as many writes as the server takes.
// Whoever compares two versions runs both in turn on the same machine: figures say as much about the machine. The writers run in
// a thread of their own and all clients are light ones, so that the reader's times are the server's.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { lightConnections } from "./light-connection.mjs";
import { mainThreadMs, memoryOf, optionsOf, rounded, say, shares, spread, startServer } from "./measuring.mjs";

const token = "scale-bench";

const namespaceOf = (i) => `scale-${i % 20}`;
const podPath = (i) => `/api/v1/namespaces/${namespaceOf(i)}/pods/pod-${i}`;

function podOf(i, nodes) {
  const resources = { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } };
  const container = (name) => ({
    name,
    image: `registry.example.com/team/${name}:1.${i % 50}`,
    resources,
    env: [{ name: "SHARD", value: String(i) }],
  });
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `pod-${i}`, labels: { app: `app-${i % 500}`, "pod-template-hash": `h${i % 1000}` } },
    spec: { nodeName: `node-${i % nodes}`, containers: [container("main"), container("sidecar")] },
  };
}

function nodeOf(i) {
  const name = `node-${i}`;
  const amounts = { cpu: "32", memory: "128Gi", pods: "110", "ephemeral-storage": "500Gi" };
  const conditions = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map((type) => ({
    type,
    status: type === "Ready" ? "True" : "False",
    reason: `Kubelet${type}`,
    lastHeartbeatTime: "2026-01-01T00:00:00Z",
    lastTransitionTime: "2026-01-01T00:00:00Z",
  }));
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": `zone-${i % 3}` } },
    spec: { podCIDR: `10.${i >> 8}.${i & 255}.0/24` },
    status: {
      capacity: amounts,
      allocatable: amounts,
      conditions,
      addresses: [{ type: "InternalIP", address: `10.${i >> 8}.${i & 255}.1` }],
    },
  };
}

/** Changes pods at random until it is told to stop, at most so many a second; says how many. */
async function write({ port, pods, writers, rate }) {
  const ask = lightConnections(port, token, writers);
  let stopped = false;
  parentPort.once("message", () => {
    stopped = true;
  });
  let count = 0;
  let due = performance.now();
  const loop = async (worker) => {
    while (!stopped) {
      if (rate !== undefined) {
        due += 1000 / rate;
        const wait = due - performance.now();
        if (wait > 0) await sleep(wait);
      }
      const i = Math.floor(Math.random() * pods);
      const change = JSON.stringify({ status: { phase: "Running", message: `change ${count++}` } });
      await ask(worker, "PATCH", `${podPath(i)}/status`, "application/merge-patch+json", change);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, worker) => loop(worker)));
  parentPort.postMessage(count);
}

async function store(ask, { nodes, pods }, pid) {
  const create = (worker, path, object) => ask(worker, "POST", path, "application/json", JSON.stringify(object));
  for (let i = 0; i < 20; i++) {
    await create(0, "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: namespaceOf(i) } });
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
    await create(0, `/api/v1/namespaces/${namespaceOf(i)}/serviceaccounts`, account);
  }
  for (const [what, count, path, made] of [
    ["nodes", nodes, () => "/api/v1/nodes", nodeOf],
    ["pods", pods, (i) => `/api/v1/namespaces/${namespaceOf(i)}/pods`, (i) => podOf(i, nodes)],
  ]) {
    const before = mainThreadMs(pid);
    const seconds = await spread(count, 16, (worker, i) => create(worker, path(i), made(i)));
    say(`${what} stored`, count / seconds, "per second", { count, server_ms_each: rounded((mainThreadMs(pid) - before) / count) });
  }
}

/** Gets of single pods while others write: so many times a second, or as often as they can. */
async function measureGets({ port, pods, seconds, readers, writers, pid }, rate) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { port, pods, writers, rate } });
  const ask = lightConnections(port, token, readers);
  const times = [];
  const before = mainThreadMs(pid);
  const began = performance.now();
  const loop = async (reader) => {
    while (performance.now() - began < seconds * 1000) {
      const asked = performance.now();
      await ask(reader, "GET", podPath(Math.floor(Math.random() * pods)));
      times.push(performance.now() - asked);
      await sleep(2); // the reader must not be the load
    }
  };
  await Promise.all(Array.from({ length: readers }, (_, reader) => loop(reader)));
  const passed = performance.now() - began;
  const written = new Promise((resolve) => worker.once("message", resolve));
  worker.postMessage("stop");
  const writes = await written;
  const { count: gets, ...delays } = shares(times);
  say(rate === undefined ? "get under load, p99" : `get beside ${rate} writes a second, p99`, delays.p99, "ms", {
    ...delays,
    gets,
    writes_per_second: Math.round((writes / passed) * 1000),
    busy: rounded((mainThreadMs(pid) - before) / passed),
  });
}

async function measureLists(ask, { nodes, pid }) {
  for (const [what, path] of [
    [`lists of ${nodes} nodes`, "/api/v1/nodes"],
    [`lists of ${nodes} nodes from the cache`, "/api/v1/nodes?resourceVersion=0"],
  ]) {
    let bytes = 0;
    await spread(4, 4, (worker) => ask(worker, "GET", path));
    const before = mainThreadMs(pid);
    const count = 60;
    const seconds = await spread(count, 4, async (worker) => {
      bytes = await ask(worker, "GET", path);
    });
    say(what, count / seconds, "per second", { bytes, server_ms_each: rounded((mainThreadMs(pid) - before) / count) });
  }
}

async function main() {
  const options = optionsOf(process.argv.slice(2), {
    pods: 100_000,
    nodes: 5000,
    storage: "memory",
    seconds: 15,
    writers: 4,
    readers: 4,
    "writes-per-second": 500,
    dist: new URL("../../dist/coracle.js", import.meta.url).pathname,
  });
  const dir = mkdtempSync(join(tmpdir(), "coracle-scale-"));
  writeFileSync(join(dir, "tokens"), `${token},admin,1,"system:masters"\n`);
  const flags = ["--storage", options.storage, "--secure-port", "0", "--bind-address", "127.0.0.1"];
  const files = ["--data-dir", join(dir, "data"), "--token-auth-file", join(dir, "tokens")];
  const server = startServer([options.dist, "apiserver", ...flags, ...files]);
  try {
    const facts = { ...options, port: await server.port, pid: server.pid };
    const ask = lightConnections(facts.port, token, 16);
    say("memory when idle", memoryOf(server.pid).now, "MB");
    await store(ask, facts, server.pid);
    say("memory with all objects", memoryOf(server.pid).now, "MB");
    await measureGets(facts, options["writes-per-second"]);
    await measureGets(facts);
    await measureLists(ask, facts);
    const { now, most } = memoryOf(server.pid);
    say("memory at the end", now, "MB", { most: Math.round(most) });
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

if (isMainThread) {
  await main();
  process.exit();
} else await write(workerData);
