// `coracle proxy` as users start it, against an API server, both in a network namespace of the test's own; and what it says of
// its configuration.
import { type ChildProcess, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { coracle, projectRoot, temporaryDirectory, until } from "../support/processes.ts";
import { addresses, TestNetwork } from "./test-network.ts";

const tools = await Promise.all(["ip", "nft", "nsenter", "conntrack", "kubectl"].map(findExecutable));
const canRun = process.platform === "linux" && process.getuid?.() === 0 && tools.every((tool) => tool !== undefined);
if (!canRun) console.log("coracle proxy is not tried: this takes root, ip, nft, nsenter, conntrack and kubectl");

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
beforeAll(async () => {
  directory = await temporaryDirectory("proxy");
});
afterAll(() => directory.remove());

describe("coracle proxy", () => {
  it("writes its configuration, which it reads, and refuses what is not known", async () => {
    const file = join(directory.path, "config.yaml");
    expect(await coracle(["proxy", "--write-config-to", file, "--cluster-cidr", "10.244.0.0/16"])).toMatchObject({ code: 0 });
    const again = join(directory.path, "again.yaml");
    expect(await coracle(["proxy", "--config", file, "--write-config-to", again])).toMatchObject({ code: 0, stderr: "" });
    expect(await readFile(again, "utf8")).toBe(await readFile(file, "utf8"));
    expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ kind: "KubeProxyConfiguration", clusterCIDR: "10.244.0.0/16" });

    await writeFile(file, "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nnftables: { masqueradeBits: 4 }\n");
    const refused = await coracle(["proxy", "--config", file]);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toBe(`coracle proxy: --config ${file}: nftables.masqueradeBits: unknown field\n`);
    expect((await coracle(["proxy", "--cluster-cidr", "10.244.0.0"])).stderr).toContain("must be a valid CIDR");
    expect((await coracle(["proxy", "--no-such-flag"])).stderr).toContain("unknown flag: --no-such-flag");
  });
});

describe.runIf(canRun)("coracle proxy on a node", { timeout: 120_000 }, () => {
  let network: TestNetwork;
  const running: ChildProcess[] = [];
  let output = "";

  /** In the node's namespace, in the background. */
  function start(...args: readonly string[]): ChildProcess {
    const command = ["netns", "exec", network.namespace("node"), process.execPath, join(projectRoot, "coracle"), ...args];
    const child = spawn("ip", command, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    running.push(child);
    return child;
  }

  async function end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGTERM");
    await ended;
  }

  beforeAll(async () => {
    network = await TestNetwork.create("command");
    await network.serveTcp("pod2", "::", 8080, "pod2");
  }, 60_000);
  afterAll(async () => {
    for (const child of running.reverse()) await end(child);
    await network?.remove();
  }, 60_000);

  it("serves services until it is told to clean up, also while it is not running", async () => {
    const dataDir = join(directory.path, "data");
    const tokens = join(directory.path, "tokens.csv");
    await writeFile(tokens, 'T,admin,admin,"system:masters"\nP,system:kube-proxy,proxy,\n');
    start("apiserver", "--storage", "memory", "--secure-port", "6443", "--token-auth-file", tokens, "--data-dir", dataDir);
    const kubectl = (...args: readonly string[]): Promise<string> =>
      network.exec("node", "kubectl", "--server=https://127.0.0.1:6443", "--insecure-skip-tls-verify", "--token=T", ...args);
    await until("the API server answers", async () => (await kubectl("get", "--raw=/readyz").catch(() => "")) === "ok", 60_000);

    const clusterIP = "10.96.7.7";
    const objects = [
      { apiVersion: "v1", kind: "Node", metadata: { name: "node-1" } },
      { apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace: "default" }, spec: { clusterIP, ports: [{ port: 80 }] } },
      {
        ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4", ports: [{ name: "", port: 8080 }] },
        metadata: { name: "web-1", namespace: "default", labels: { "kubernetes.io/service-name": "web" } },
        endpoints: [{ addresses: [addresses.pod2], nodeName: "node-1" }],
      },
    ];
    const file = join(directory.path, "objects.json");
    await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    await kubectl("apply", "-f", file);

    const kubeconfig = join(directory.path, "kubeconfig");
    const cluster = { server: "https://127.0.0.1:6443", "insecure-skip-tls-verify": true };
    const contexts = [{ name: "x", context: { cluster: "x", user: "x" } }];
    const users = [{ name: "x", user: { token: "P" } }];
    await writeFile(kubeconfig, JSON.stringify({ "current-context": "x", clusters: [{ name: "x", cluster }], contexts, users }));
    const proxy = start("proxy", "--kubeconfig", kubeconfig, "--hostname-override", "node-1", "--cluster-cidr", "10.244.0.0/16");
    await until("services are reachable", () => output.includes("services are reachable"), 60_000).catch((error: Error) => {
      throw new Error(`${error.message}\n${output}`);
    });
    expect(await network.tcp("pod1", { host: clusterIP, port: 80 })).toBe(`pod2 ::ffff:${addresses.pod1}`);

    const fetched = (url: string): Promise<string> =>
      network.exec("node", process.execPath, "-e", `fetch("${url}").then((r) => r.text()).then(console.log)`);
    expect(JSON.parse(await fetched("http://127.0.0.1:10256/healthz"))).toMatchObject({ healthy: true, nodeEligible: true });
    expect(await fetched("http://127.0.0.1:10249/metrics")).toContain("kubeproxy_sync_proxy_rules_last_timestamp_seconds");
    expect((await fetched("http://127.0.0.1:10249/proxyMode")).trim()).toBe("nftables");
    expect(await fetched("http://127.0.0.1:10249/metrics")).toContain('kubernetes_build_info{git_version="v1.36');
    expect(JSON.parse(await fetched("http://127.0.0.1:10249/configz"))).toMatchObject({
      "kubeproxy.config.k8s.io": { kind: "KubeProxyConfiguration", nftables: { syncPeriod: "30s" } },
    });
    expect(await fetched("http://127.0.0.1:10249/flagz")).toContain("conntrack-tcp-timeout-established: 24h0m0s\n");
    expect(await fetched("http://127.0.0.1:10249/statusz")).toContain("Paths: /configz /flagz /healthz /metrics /proxyMode\n");
    const starting = ["get", "events", "-o", "jsonpath={.items[?(@.reportingComponent=='kube-proxy')].reason}"];
    await until("its event", async () => (await kubectl(...starting)) === "Starting");

    await end(proxy);
    expect(await network.tcp("pod1", { host: clusterIP, port: 80 })).toBe(`pod2 ::ffff:${addresses.pod1}`);
    await network.exec("node", process.execPath, join(projectRoot, "coracle"), "proxy", "--cleanup");
    expect(await network.nftables.tableNames("ip", "kube-proxy")).toBeUndefined();
  });
});
