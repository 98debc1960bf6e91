#!/usr/bin/env node
// A whole cluster in one process: API server, controllers, scheduler, and many simulated nodes with their kubelets. Prints
// figures, one line of JSON each: how long the nodes and then the pods take, the memory, and the CPU of the cluster when nothing
// happens but its heartbeats.
//
//   node test/bench/simulated-scale.mjs [--nodes 1000] [--pods 10000] [--storage memory|lmdb] [--idle 60] [--tokens true|false]
//     [--port 26990] [--keep false] [--node-options=--max-old-space-size=900]
//
// --tokens: whether pods mount their service account's token, as they do unless they say otherwise: a directory on disk each.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { parse } from "yaml";

const { values: options } = parseArgs({
  options: {
    nodes: { type: "string", default: "1000" },
    pods: { type: "string", default: "10000" },
    storage: { type: "string", default: "memory" },
    idle: { type: "string", default: "60" },
    tokens: { type: "string", default: "true" },
    port: { type: "string", default: "26990" },
    keep: { type: "string", default: "false" },
    "node-options": { type: "string", default: "" },
    up: { type: "string", default: "" },
  },
});
const [nodes, pods, idleSeconds] = [Number(options.nodes), Number(options.pods), Number(options.idle)];
const podsOfDeployment = 500;
const deadlineMs = 15 * 60_000;

const say = (figure, value, unit, more = {}) =>
  console.log(JSON.stringify({ figure, value: Math.round(value * 100) / 100, unit, ...more }));

const directory = mkdtempSync(join(tmpdir(), "coracle-simulated-"));
const root = new URL("../..", import.meta.url).pathname;
const startedMs = performance.now();
const up = spawn(
  process.execPath,
  [
    ...options["node-options"].split(" ").filter(Boolean),
    join(root, process.env.CORACLE_DIST ?? "dist", "coracle.js"),
    "up",
    ...["--runtime", "simulated", "--nodes", String(nodes), "--storage", options.storage],
    ...["--data-dir", join(directory, "data"), "--secure-port", options.port],
    ...options.up.split(" ").filter(Boolean),
  ],
  { stdio: ["ignore", "pipe", "inherit"] },
);
let output = "";
up.stdout.on("data", (chunk) => (output += chunk));
const ended = new Promise((resolve) => up.once("exit", resolve));

function memoryMiB() {
  const status = readFileSync(`/proc/${up.pid}/status`, "utf8");
  return Object.fromEntries(["VmRSS", "VmHWM"].map((name) => [name, Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]) / 1024]));
}

function cpuSeconds() {
  const fields = readFileSync(`/proc/${up.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function connect() {
  const config = parse(readFileSync(join(directory, "data/admin.kubeconfig"), "utf8"));
  const { "client-certificate-data": cert, "client-key-data": key } = config.users[0].user;
  const agent = new https.Agent({ keepAlive: true, maxSockets: 4, rejectUnauthorized: false, ...pem({ cert, key }) });
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const payload = body && JSON.stringify(body);
      const headers = payload ? { "content-type": "application/json", "content-length": Buffer.byteLength(payload) } : {};
      const request = https.request({ host: "127.0.0.1", port: options.port, path, method, headers, agent }, (response) => {
        let text = "";
        response.on("data", (chunk) => (text += chunk));
        response.on("end", () =>
          response.statusCode < 400 ? resolve(JSON.parse(text)) : reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`)),
        );
      });
      request.on("error", reject);
      request.end(payload);
    });
}

const pem = (data) => Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, "base64")]));

function deployment(i, replicas) {
  const labels = { app: `load-${i}` };
  const resources = { requests: { cpu: "10m", memory: "16Mi" } };
  const containers = [{ name: "main", image: `example.test/app:${i}`, resources }];
  const spec = { containers, automountServiceAccountToken: options.tokens === "true" };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: labels.app },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}

async function until(what, holds) {
  const endMs = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`${what}: not within ${deadlineMs / 1000} s`);
    if (up.exitCode !== null) throw new Error(`coracle up has ended: ${output}`);
    await sleep(500);
  }
}

try {
  await until("nodes are ready", () => output.includes("Ctrl-C stops the cluster"));
  say("nodes ready", (performance.now() - startedMs) / 1000, "s", { nodes });
  say("memory with nodes", memoryMiB().VmRSS, "MiB", { cpuSeconds: cpuSeconds() });
  const ask = connect();
  const podsAtMs = performance.now();
  const count = Math.ceil(pods / podsOfDeployment);
  for (let i = 0; i < count; i++) {
    const replicas = Math.min(podsOfDeployment, pods - i * podsOfDeployment);
    await ask("POST", "/apis/apps/v1/namespaces/default/deployments", deployment(i, replicas));
  }
  await until("pods run", async () => {
    const { items } = await ask("GET", "/apis/apps/v1/namespaces/default/deployments");
    return items.every(({ spec, status }) => status.readyReplicas === spec.replicas);
  });
  const seconds = (performance.now() - podsAtMs) / 1000;
  say("pods running", seconds, "s", { pods, perSecond: Math.round(pods / seconds) });
  say("memory with pods", memoryMiB().VmRSS, "MiB", { peak: Math.round(memoryMiB().VmHWM), cpuSeconds: cpuSeconds() });
  await sleep(20_000); // what was started settles: status updates, events
  const before = cpuSeconds();
  const beganMs = performance.now();
  await sleep(idleSeconds * 1000);
  const elapsed = (performance.now() - beganMs) / 1000;
  say("idle CPU", ((cpuSeconds() - before) / elapsed) * 100, "% of a core", { seconds: idleSeconds });
  say("idle memory", memoryMiB().VmRSS, "MiB", { peak: Math.round(memoryMiB().VmHWM) });
  const { items } = await ask("GET", "/api/v1/nodes");
  const ready = items.filter(({ status }) => status.conditions.some(({ type, status: is }) => type === "Ready" && is === "True"));
  say("nodes ready at the end", ready.length, "nodes");
  const leases = await ask("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases");
  const ages = leases.items.map(({ spec }) => (Date.now() - Date.parse(spec.renewTime)) / 1000);
  say("oldest heartbeat", Math.max(...ages), "s", { leases: ages.length });
  if (options.keep === "true") {
    console.log(`pid ${up.pid}, KUBECONFIG=${join(directory, "data/admin.kubeconfig")}`);
    await ended;
  }
} finally {
  up.kill(options["node-options"] === "" ? "SIGKILL" : "SIGINT");
  await ended;
  rmSync(directory, { recursive: true, force: true });
}
