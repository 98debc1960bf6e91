#!/usr/bin/env node
// What a service costs, and what it bears: starts a cluster with real containers, of its own, and asks its pods from the machine, by
// their own addresses and by the service's, with a connection for each request and with kept ones; then 1,000 new connections a second by the service
// while all of its pods are replaced again and again. One line of JSON for each figure.
//
//   node test/bench/service-load.mjs [--rate 1000] [--rolls 3] [--replicas 3] [--seconds 8] [--only path|roll]
//
// Takes root, containerd, runc, busybox and kubectl. Ends with 1 when a request has failed during a roll.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { build } from "esbuild";

const flag = (value) => ({ type: "string", default: value });
const { values } = parseArgs({
  options: { rate: flag("1000"), rolls: flag("3"), replicas: flag("3"), seconds: flag("8"), only: flag("") },
});
const root = fileURLToPath(new URL("../../", import.meta.url));
const directory = await mkdtemp(join(tmpdir(), "coracle-load-"));
const dataDir = join(directory, "data");
const kubeconfig = join(directory, "kubeconfig");
const command = promisify(execFile);
const coracle = (...args) => command(process.execPath, [join(root, "coracle"), ...args], { timeout: 120_000 });
const kubectl = async (...args) => (await command("kubectl", args, { env: { ...process.env, KUBECONFIG: kubeconfig } })).stdout;
const say = (figure, more) => console.log(JSON.stringify({ figure, ...more }));

/** Of the tests, as a module. */
async function imported(file) {
  const outfile = join(directory, `${file.replaceAll("/", "-")}.cjs`);
  await build({ entryPoints: [join(root, file)], outfile, bundle: true, platform: "node", format: "cjs", logLevel: "error" });
  return import(outfile);
}

function load(flags) {
  const args = Object.entries(flags).flatMap(([name, value]) => (value === true ? [`--${name}`] : [`--${name}`, String(value)]));
  const child = spawn(process.execPath, [join(root, "test/bench/connection-load.mjs"), ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const result = once(child, "close").then(() => JSON.parse(output));
  return { result, end: () => child.kill("SIGTERM") };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

async function start() {
  const flags = ["--data-dir", dataDir, "--kubeconfig", kubeconfig, "--secure-port", String(await freePort())];
  const ranges = ["--cluster-cidr", "10.251.0.0/16", "--service-cluster-ip-range", "10.95.0.0/20"];
  const up = spawn(process.execPath, [join(root, "coracle"), "up", ...flags, ...ranges], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  await new Promise((resolve, reject) => {
    const read = (chunk) => {
      output += chunk;
      if (output.includes("Ctrl-C stops the cluster")) resolve();
    };
    up.stdout.on("data", read);
    up.stderr.on("data", read);
    up.once("close", () => reject(new Error(`coracle up has ended:\n${output}`)));
  });
  return up;
}

async function deploy() {
  const { buildImage, programFiles } = await imported("src/testing/image-builder.ts");
  const { answeringServer } = await imported("test/support/answering-server.ts");
  const archive = join(directory, "image.tar");
  await writeFile(archive, await buildImage({ name: "example.test/node:1", files: await programFiles(process.execPath, "/bin/node") }));
  await coracle("image", "import", "--data-dir", dataDir, archive);
  const container = {
    ...{ name: "main", image: "example.test/node:1", command: ["/bin/node", "-e", answeringServer] },
    lifecycle: { preStop: { sleep: { seconds: 3 } } },
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
  };
  const labels = { app: "web" };
  const items = [
    { apiVersion: "v1", kind: "Service", metadata: { name: "web" }, spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] } },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "web" },
      spec: {
        replicas: Number(values.replicas),
        selector: { matchLabels: labels },
        strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: { metadata: { labels }, spec: { containers: [container], terminationGracePeriodSeconds: 20 } },
      },
    },
  ];
  const file = join(directory, "objects.json");
  await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  await kubectl("apply", "-f", file);
  await kubectl("rollout", "status", "deployment/web", "--timeout=120s");
  return {
    service: await kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"),
    pod: await kubectl("get", "pods", "-o", "jsonpath={.items[0].status.podIP}"),
  };
}

/** The same pods by both ways, in turn: one pod alone, so that what differs is the way. */
async function comparePaths({ service, pod }) {
  await kubectl("scale", "deployment/web", "--replicas=1");
  let [ip] = [pod];
  for (;;) {
    const ready = (
      await kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", "jsonpath={.items[0].endpoints[*].addresses[0]}")
    ).split(" ");
    [ip] = ready;
    if (ready.length === 1) break;
    await sleep(200);
  }
  for (const keep of [false, true])
    for (const round of [1, 2])
      for (const [by, at] of [
        ["pod", { host: ip, port: 8080 }],
        ["service", { host: service, port: 80 }],
      ]) {
        const { perSecond, latencyMs, failed } = await load({ ...at, seconds: values.seconds, ...(keep ? { "keep-alive": true } : {}) })
          .result;
        say(keep ? "requests on kept connections" : "requests on new connections", { by, round, perSecond, latencyMs, failed });
      }
  await kubectl("scale", "deployment/web", `--replicas=${values.replicas}`);
  await kubectl("rollout", "status", "deployment/web", "--timeout=120s");
}

async function roll({ service }) {
  const running = load({ host: service, port: 80, rate: values.rate, seconds: 3_600 });
  for (let i = 0; i < Number(values.rolls); i++) {
    await kubectl("rollout", "restart", "deployment/web");
    await kubectl("rollout", "status", "deployment/web", "--timeout=300s");
  }
  running.end();
  const { answers, ...result } = await running.result;
  say("new connections while pods are replaced", { rolls: Number(values.rolls), pods: Object.keys(answers).length, ...result });
  if (result.answered !== result.sent || Object.keys(result.failed).length > 0) process.exitCode = 1;
}

let up;
try {
  up = await start();
  const addresses = await deploy();
  if (values.only !== "roll") await comparePaths(addresses);
  if (values.only !== "path") await roll(addresses);
} finally {
  up?.kill("SIGTERM");
  if (up && up.exitCode === null) await once(up, "close");
  await coracle("down", "--force", "--data-dir", dataDir);
  await rm(directory, { recursive: true, force: true });
}
