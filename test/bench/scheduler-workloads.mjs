#!/usr/bin/env node
// The scheduler on a large cluster, with upstream's workloads (scheduler_perf's, and a third of the pods without a place): API
// server, controllers and scheduler in one process, nodes that are objects only, pods created from several connections. Prints
// a line of JSON for each workload: pods placed a second, and the processor time of the process for each.
//
//   node test/bench/scheduler-workloads.mjs [--nodes 5000] [--pods 10000] [--workers 16] [--storage lmdb|memory] [--port 26980]
//     [--only basic,spread,anti-affinity,preemption,preemption-async,unschedulable]
//
// Upstream's thresholds at 5,000 nodes, on its own machines: basic 680 – 810 pods a second, topology spread 460, anti-affinity
// 60, preemption 570. The last is for small pods that have room, while five a second come that make room for themselves
// (preemption-async); for pods that all do (preemption) upstream has no threshold, and no workload at 5,000 nodes.
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
    nodes: { type: "string", default: "5000" },
    pods: { type: "string", default: "10000" },
    workers: { type: "string", default: "16" },
    storage: { type: "string", default: "lmdb" },
    port: { type: "string", default: "26980" },
    only: { type: "string", default: "basic,spread,anti-affinity,preemption,preemption-async,unschedulable" },
  },
});
const [nodeCount, podCount, workers] = [options.nodes, options.pods, options.workers].map(Number);
const deadlineMs = 30 * 60_000;
const zone = "topology.kubernetes.io/zone";
const hostname = "kubernetes.io/hostname";

/** `pod(i)`: its specification, beside one container. `before`: pods that have their place already. `placed`: of `count` pods. `meanwhile`: others. */
const workloads = {
  basic: { count: podCount, pod: () => ({}) },
  spread: { count: podCount, pod: () => ({ topologySpreadConstraints: [spreadOver(zone)] }) },
  // One on a node: no more than there are nodes.
  "anti-affinity": { count: Math.min(podCount, Math.floor(nodeCount * 0.4)), pod: () => ({ affinity: apart() }) },
  // Nodes full of pods of low priority, each of which makes room for one of high priority.
  preemption: {
    before: { count: nodeCount * 4, pod: () => ({ cpu: "900m", priorityClassName: "bench-low" }) },
    count: Math.min(podCount, nodeCount),
    pod: () => ({ cpu: "3000m", priorityClassName: "bench-high" }),
  },
  "preemption-async": {
    before: { count: nodeCount * 4, pod: () => ({ cpu: "900m", priorityClassName: "bench-low" }) },
    count: Math.min(podCount, nodeCount),
    pod: () => ({}),
    meanwhile: { everyMs: 200, pod: () => ({ cpu: "3000m", priorityClassName: "bench-high" }) },
  },
  unschedulable: {
    count: podCount,
    placed: (i) => i % 10 >= 3,
    pod: (i) => (i % 10 < 3 ? { nodeSelector: { "example.test/none": "here" } } : {}),
  },
};

const spreadOver = (topologyKey) => ({
  ...{ topologyKey, maxSkew: 5, whenUnsatisfiable: "DoNotSchedule" },
  labelSelector: { matchLabels: { app: "bench" } },
});

function apart() {
  const term = { topologyKey: hostname, labelSelector: { matchLabels: { app: "bench" } } };
  return { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
}

function podOf(name, { cpu = "100m", ...spec }) {
  const container = { name: "c", image: "registry.k8s.io/pause:3.10", resources: { requests: { cpu, memory: "100Mi" } } };
  return {
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name, labels: { app: "bench" } } },
    spec: { terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, ...spec, containers: [container] },
  };
}

function nodeOf(i) {
  const name = `bench-${i}`;
  const capacity = { cpu: "4", memory: "32Gi", pods: "110" };
  const now = new Date().toISOString();
  const ready = { type: "Ready", status: "True", reason: "KubeletReady", lastHeartbeatTime: now, lastTransitionTime: now };
  return {
    ...{ apiVersion: "v1", kind: "Node", metadata: { name, labels: { [hostname]: name, [zone]: `zone-${i % 3}` } } },
    status: { capacity, allocatable: capacity, conditions: [ready] },
  };
}

async function run(name, workload) {
  const directory = mkdtempSync(join(tmpdir(), "coracle-scheduler-"));
  const up = startCluster(directory);
  try {
    await until(() => up.output().includes("Ctrl-C stops the cluster"), up);
    const api = connect(directory);
    await prepare(api);
    const bound = followBindings(api);
    if (workload.before) {
      await spread(workload.before.count, (i, w) => api.ask(w, "POST", podsPath, podOf(`before-${i}`, workload.before.pod(i))));
      await until(() => bound.count("before-") === workload.before.count, up);
    }
    const wanted = workload.placed ? range(workload.count).filter(workload.placed).length : workload.count;
    const [startedMs, cpuBefore] = [performance.now(), up.cpuSeconds()];
    const others = createEvery(workload.meanwhile, (i, pod) => api.ask(0, "POST", podsPath, podOf(`other-${i}`, pod)));
    await spread(workload.count, (i, w) => api.ask(w, "POST", podsPath, podOf(`pod-${i}`, workload.pod(i))));
    const createdMs = performance.now();
    await until(() => bound.count("pod-") === wanted, up);
    clearInterval(others);
    const seconds = (bound.lastMs() - startedMs) / 1000;
    say(name, wanted / seconds, "pods placed a second", {
      ...{ nodes: nodeCount, pods: workload.count, placed: wanted, seconds: round(seconds) },
      createdPerSecond: round(workload.count / ((createdMs - startedMs) / 1000)),
      cpuMsPerPod: round(((up.cpuSeconds() - cpuBefore) * 1000) / workload.count),
      rssMiB: up.rssMiB(),
    });
    bound.stop();
  } finally {
    await up.kill();
    rmSync(directory, { recursive: true, force: true });
  }
}

const podsPath = "/api/v1/namespaces/bench/pods";

async function prepare(api) {
  await api.ask(0, "POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: "bench" } });
  for (const [name, value] of Object.entries({ "bench-low": 1, "bench-high": 1000 }))
    await api.ask(0, "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {
      ...{ apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass", metadata: { name }, value },
    });
  await api
    .ask(0, "POST", "/api/v1/namespaces/bench/serviceaccounts", { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } })
    .catch(() => undefined); // the controller was faster
  await spread(nodeCount, async (i, w) => {
    await api.ask(w, "POST", "/api/v1/nodes", nodeOf(i));
    await api.ask(w, "PATCH", `/api/v1/nodes/bench-${i}`, { spec: { taints: null } });
  });
}

function startCluster(directory) {
  const root = new URL("../..", import.meta.url).pathname;
  const args = ["up", "--nodes", "0", "--storage", options.storage, "--data-dir", join(directory, "data"), "--secure-port", options.port];
  // Nobody renews the leases of nodes that are objects only, and they need no ranges of pods' addresses.
  const child = spawn(
    process.execPath,
    [join(root, "dist", "coracle.js"), ...args, "--controllers", "*,-node-lifecycle-controller,-node-ipam-controller"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const proc = (file) => readFileSync(`/proc/${child.pid}/${file}`, "utf8");
  return {
    output: () => output,
    hasEnded: () => child.exitCode !== null,
    cpuSeconds() {
      const fields = proc("stat").split(") ")[1].split(" ");
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    rssMiB: () => Math.round(Number(/VmRSS:\s+(\d+)/.exec(proc("status"))[1]) / 1024),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function connect(directory) {
  const config = parse(readFileSync(join(directory, "data/admin.kubeconfig"), "utf8"));
  const { "client-certificate-data": cert, "client-key-data": key } = config.users[0].user;
  const identity = { cert: Buffer.from(cert, "base64"), key: Buffer.from(key, "base64"), rejectUnauthorized: false };
  const agents = range(workers).map(() => new https.Agent({ keepAlive: true, maxSockets: 1, ...identity }));
  const target = { host: "127.0.0.1", port: options.port };
  return {
    ask: (worker, method, path, body) =>
      new Promise((resolve, reject) => {
        const payload = JSON.stringify(body);
        const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
        const headers = { "content-type": type, "content-length": Buffer.byteLength(payload) };
        const request = https.request({ ...target, path, method, headers, agent: agents[worker] }, (response) => {
          let text = "";
          response.on("data", (chunk) => (text += chunk));
          response.on("end", () =>
            response.statusCode < 400 ? resolve() : reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`)),
          );
        });
        request.on("error", reject);
        request.end(payload);
      }),
    watch(path, onEvent) {
      const request = https.request({ ...target, path, ...identity, agent: false }, (response) => {
        let rest = "";
        response.setEncoding("utf8");
        response.on("data", (text) => {
          const lines = (rest + text).split("\n");
          rest = lines.pop();
          for (const line of lines) if (line) onEvent(JSON.parse(line));
        });
      });
      request.on("error", () => undefined);
      request.end();
      return request;
    },
  };
}

/** Counts pods that have got a node, by the beginning of their names. */
function followBindings(api) {
  const seen = new Set();
  const counts = new Map();
  let lastMs = 0;
  const watch = api.watch(`${podsPath}?watch=true`, ({ type, object }) => {
    const { name } = object.metadata;
    if (type === "DELETED" || !object.spec?.nodeName || seen.has(name)) return;
    seen.add(name);
    const prefix = name.replace(/\d+$/, "");
    counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
    lastMs = performance.now();
  });
  return { count: (prefix) => counts.get(prefix) ?? 0, lastMs: () => lastMs, stop: () => watch.destroy() };
}

function createEvery(others, create) {
  let i = 0;
  return others && setInterval(() => create(i++, others.pod()).catch(() => undefined), others.everyMs);
}

async function spread(count, work) {
  let next = 0;
  await Promise.all(
    range(workers).map(async (worker) => {
      for (let i = next++; i < count; i = next++) await work(i, worker);
    }),
  );
}

async function until(holds, up) {
  const endMs = performance.now() + deadlineMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs / 60_000} minutes`);
    if (up.hasEnded()) throw new Error(`coracle up has ended: ${up.output()}`);
    await sleep(50);
  }
}

const range = (count) => Array.from({ length: count }, (_, i) => i);
const round = (value) => Math.round(value * 100) / 100;
const say = (figure, value, unit, more) => console.log(JSON.stringify({ figure, value: round(value), unit, ...more }));

for (const name of options.only.split(",")) {
  if (!workloads[name]) throw new Error(`--only: no workload ${name}; there are ${Object.keys(workloads).join(", ")}`);
  await run(name, workloads[name]);
}
