// Machines that become nodes: `coracle join` with a token, and `coracle kubelet` with a bootstrap kubeconfig, each a process of
// its own against an API server and controllers that are processes of their own. Certificates live a few seconds only, so that
// they are rotated while the test looks.
import { readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configmaps, nodes } from "../../src/api/resources.generated.ts";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import type { Transport } from "../../src/client/transport.ts";
import { type ApiServerProcess, adminKubeconfig, adminTransport, startApiServerProcess } from "../support/apiserver-process.ts";
import { type BackgroundCoracle, coracle, freePort, startCoracle, temporaryDirectory, until } from "../support/processes.ts";

let server: ApiServerProcess;
let transport: Transport;
let client: Client;
let directory = "";
const closing: (() => Promise<unknown>)[] = [];

const controllers = "*,bootstrapsigner,tokencleaner,kubelet-serving-approver-controller";

beforeAll(async () => {
  const own = await temporaryDirectory("join");
  closing.push(() => own.remove());
  directory = own.path;
  // The API server's address is not this machine's: else nobody approves serving certificates of nodes that have it too.
  server = await startApiServerProcess(["--advertise-address=192.0.2.254"]);
  closing.push(() => server.stop());
  transport = await adminTransport(server.dataDir);
  closing.push(() => transport.close());
  client = createClient(transport);
  const pki = join(server.dataDir, "pki");
  const manager = startCoracle([
    "controller-manager",
    `--kubeconfig=${adminKubeconfig(server.dataDir)}`,
    "--secure-port=0",
    "--leader-elect=false",
    "--use-service-account-credentials",
    `--controllers=${controllers}`,
    `--cluster-signing-cert-file=${pki}/ca.crt`,
    `--cluster-signing-key-file=${pki}/ca.key`,
    "--cluster-signing-duration=30s",
  ]);
  closing.push(() => manager.stop("SIGKILL"));
  await until("the cluster is published", () => client.get(configmaps, { namespace: "kube-public", name: "cluster-info" }));
}, 90_000);

afterAll(async () => {
  for (const close of closing.reverse()) await close();
}, 60_000);

const token = (...args: string[]) => coracle(["token", ...args, `--kubeconfig=${adminKubeconfig(server.dataDir)}`]);

/** What `coracle token create --print-join-command` says, with this machine's address of the server. */
async function joinArguments(...more: string[]): Promise<{ readonly token: string; readonly hash: string; readonly args: string[] }> {
  const { stdout } = await token("create", "--print-join-command", ...more);
  const [, address, written = "", hash = ""] = /^coracle join --server (\S+) --token (\S+) --ca-cert-hash (\S+)\n$/.exec(stdout) ?? [];
  expect(address).toMatch(/^https:\/\/192\.0\.2\.254:\d+$/);
  return {
    token: written,
    hash,
    args: ["join", "--server", server.url, "--token", written, "--ca-cert-hash", hash, "--runtime=simulated", "--discovery-timeout=60s"],
  };
}

function start(args: readonly string[]): BackgroundCoracle {
  const process = startCoracle(args);
  closing.push(() => process.stop("SIGKILL"));
  return process;
}

const untilReady = (name: string, process: BackgroundCoracle): Promise<unknown> =>
  until(`node ${name} is ready`, async () => {
    if (process.process.exitCode !== null) throw new Error(`it has ended:\n${process.output()}`);
    const node = await client.get(nodes, { name });
    return node.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True");
  });

/** Through the API server, which checks the kubelet's certificate. */
async function askNode(name: string, path: string): Promise<string> {
  const { status, body } = await transport.request({ method: "GET", path: `/api/v1/nodes/${name}/proxy${path}`, accept: "*/*" });
  const text = typeof body === "string" ? body : body instanceof Uint8Array ? Buffer.from(body).toString() : JSON.stringify(body);
  if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
  return text;
}

describe("coracle join", () => {
  it("makes a node that is ready, serves under the cluster's authority, rotates its certificates and comes back without a token", async () => {
    const { args } = await joinArguments();
    const dataDir = join(directory, "one");
    const node = start([...args, `--data-dir=${dataDir}`, "--node-name=one", "--node-labels=example.com/a=b"]);
    await untilReady("one", node);
    expect((await client.get(nodes, { name: "one" })).metadata.labels?.["example.com/a"]).toBe("b");
    const pki = join(dataDir, "kubelet", "pki");
    expect(await until("the kubelet answers with a certificate of the cluster", () => askNode("one", "/healthz"))).toBe("ok");
    expect(await askNode("one", "/configz")).toContain('"rotateCertificates":true');
    for (const name of ["kubelet-client", "kubelet-server"]) {
      const first = await readlink(join(pki, `${name}-current.pem`));
      await until(`${name} is rotated`, async () => (await readlink(join(pki, `${name}-current.pem`))) !== first);
    }
    expect(await until("it answers with the new one", () => askNode("one", "/healthz"))).toBe("ok");
    const files = (await readdir(dataDir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    for (const file of files) expect(await readFile(join(file.parentPath, file.name), "latin1")).not.toContain(args[4]);
    expect(await node.stop()).toBe(0);
    const again = start(["join", "--runtime=simulated", `--data-dir=${dataDir}`, "--node-name=one"]);
    await until("it runs again", () => again.output().includes("node one is ready"));
    expect(again.output()).not.toContain("asking");
    expect(await again.stop()).toBe(0);
  }, 120_000);

  it("says in one line what is wrong, and ends with 1", async () => {
    const { args, token: good, hash } = await joinArguments();
    const dataDir = `--data-dir=${join(directory, "refused")}`;
    const refused = async (...changed: string[]): Promise<string> => {
      const result = await coracle([...args, dataDir, "--discovery-timeout=0s", ...changed]);
      expect([result.code, result.stdout]).toEqual([1, ""]);
      expect(result.stderr.trimEnd()).not.toContain("\n");
      return result.stderr.trimEnd().replace("coracle join: ", "");
    };
    const [id = ""] = good.split(".");
    await until("the token is signed with", async () => {
      const info = await client.get(configmaps, { namespace: "kube-public", name: "cluster-info" });
      return info.data?.[`jws-kubeconfig-${id}`] !== undefined;
    });
    expect(await refused("--token", "aaaaaa.0123456789abcdef")).toMatch(
      /^--token: https:\/\/127\.0\.0\.1:\d+ knows no token with the id aaaaaa; it is wrong, or it has expired/,
    );
    expect(await refused("--token", `${id}.0123456789abcdef`)).toBe(
      `--token: the secret of token ${id} is wrong: the cluster's information is not signed with it`,
    );
    expect(await refused("--token", "nonsense")).toMatch(/^the token must look like/);
    expect(await refused("--server", "https://127.0.0.1:1")).toMatch(
      /^https:\/\/127\.0\.0\.1:1 cannot be asked for kube-public\/cluster-info: connect ECONNREFUSED/,
    );
    // --ca-cert-hash may be repeated, so the good one has to go.
    const wrong = await coracle(["join", "--server", server.url, "--token", good, "--ca-cert-hash", `sha256:${"0".repeat(64)}`, dataDir]);
    expect([wrong.code, wrong.stderr]).toEqual([
      1,
      `coracle join: --ca-cert-hash: the authority of ${server.url} has another public key (${hash}); this is not the cluster that was meant\n`,
    ]);
    const none = await coracle(["join", "--server", server.url, "--token", good, dataDir]);
    expect([none.code, none.stderr]).toEqual([
      1,
      "coracle join: --ca-cert-hash is needed to know the right cluster; --unsafe-skip-ca-verification does without\n",
    ]);
  }, 60_000);

  it("takes no token that has expired or was deleted, and no name of a node that is well", async () => {
    const dataDir = `--data-dir=${join(directory, "late")}`;
    const expired = await joinArguments("--ttl=1s");
    const [id = ""] = expired.token.split(".");
    await until("the token has gone", async () => !(await token("list")).stdout.includes(id));
    const late = await coracle([...expired.args, dataDir, "--discovery-timeout=0s"]);
    expect([late.code, late.stderr]).toEqual([
      1,
      `coracle join: --token: ${server.url} knows no token with the id ${id}; it is wrong, or it has expired (coracle token create makes another)\n`,
    ]);
    const deleted = await joinArguments("--description=short lived");
    expect((await token("list")).stdout).toMatch(
      new RegExp(`^${deleted.token} .* authentication,signing +short lived +system:bootstrappers:`, "m"),
    );
    expect((await token("delete", deleted.token)).stdout).toBe(`bootstrap token "${deleted.token.slice(0, 6)}" deleted\n`);
    expect((await coracle([...deleted.args, dataDir, "--discovery-timeout=0s"])).stderr).toContain("knows no token");
    await client.create(nodes, { metadata: { name: "taken" }, spec: {} });
    const at = "2026-01-01T00:00:00Z";
    await client.patch(
      nodes,
      { name: "taken" },
      {
        status: {
          conditions: [{ type: "Ready", status: "True", reason: "R", message: "m", lastHeartbeatTime: at, lastTransitionTime: at }],
        },
      },
      { type: "strategic", subresource: "status" },
    );
    const { args } = await joinArguments();
    const taken = await coracle([...args, dataDir, "--node-name=taken"]);
    expect([taken.code, taken.stderr]).toEqual([
      1,
      'coracle join: a Node with name "taken" and status "Ready" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node (--node-name)\n',
    ]);
  }, 90_000);
});

describe("coracle kubelet", () => {
  it("bootstraps by a kubeconfig with a token, is configured by its file, and serves its health", async () => {
    const { token: written } = await joinArguments();
    const at = join(directory, "two");
    const [healthzPort, readOnlyPort] = [await freePort(), await freePort()];
    const ca = await readFile(join(server.dataDir, "pki", "ca.crt"));
    const bootstrap = join(directory, "bootstrap.kubeconfig");
    const cluster = { name: "c", cluster: { server: server.url, "certificate-authority-data": ca.toString("base64") } };
    const kubeconfig = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "b", clusters: [cluster] },
      users: [{ name: "b", user: { token: written } }],
      contexts: [{ name: "b", context: { cluster: "c", user: "b" } }],
    };
    await writeFile(bootstrap, JSON.stringify(kubeconfig));
    const config = join(directory, "kubelet.yaml");
    const document = {
      ...{ apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" },
      ...{ maxPods: 17, podsPerCore: 5, providerID: "test://two", nodeLeaseDurationSeconds: 20, healthzPort, readOnlyPort },
      registerWithTaints: [{ key: "a", value: "b", effect: "NoSchedule" }],
      authentication: { x509: { clientCAFile: join(server.dataDir, "pki", "ca.crt") } },
      ...{ rotateCertificates: true, serverTLSBootstrap: true, kubeReserved: { cpu: "100m" }, address: "127.0.0.1" },
    };
    await writeFile(config, JSON.stringify(document));
    const node = start([
      "kubelet",
      `--bootstrap-kubeconfig=${bootstrap}`,
      `--kubeconfig=${join(at, "kubelet.conf")}`,
      `--config=${config}`,
      `--data-dir=${at}`,
      "--hostname-override=two",
      "--container-runtime-endpoint=simulated",
      "--port=0",
      "--max-pods=19",
      "--node-labels=example.com/a=b",
    ]);
    await untilReady("two", node);
    const found = await client.get(nodes, { name: "two" });
    expect(found.spec).toMatchObject({ providerID: "test://two" });
    expect(found.spec?.taints).toContainEqual({ key: "a", value: "b", effect: "NoSchedule" });
    expect(found.metadata.labels?.["example.com/a"]).toBe("b");
    const cpus = Number(found.status?.capacity?.cpu);
    expect(found.status?.capacity?.pods).toBe(String(Math.min(19, 5 * cpus)));
    expect(found.status?.allocatable?.cpu).toBe(`${cpus * 1000 - 100}m`);
    expect(await plain(healthzPort, "/healthz/syncloop")).toBe("ok");
    expect(JSON.parse(await plain(readOnlyPort, "/pods"))).toMatchObject({ kind: "PodList" });
    expect(await node.stop()).toBe(0);
  }, 90_000);

  it("says in one line what is wrong with its configuration, and ends with 1", async () => {
    const config = join(directory, "wrong.yaml");
    await writeFile(config, "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: -1\npodsPerCore: -1\n");
    const result = await coracle(["kubelet", `--config=${config}`, `--data-dir=${join(directory, "three")}`]);
    expect([result.code, result.stderr]).toEqual([
      1,
      `coracle kubelet: --config ${config}: [invalid configuration: maxPods (--max-pods) -1 must not be a negative number, invalid configuration: podsPerCore (--pods-per-core) -1 must not be a negative number]\n`,
    ]);
  });
});

function plain(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve(text));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}
