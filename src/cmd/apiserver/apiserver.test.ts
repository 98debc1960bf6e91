import { mkdtemp, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { clusterroles, configmaps, endpoints, endpointslices, namespaces, services } from "../../api/resources.generated.ts";
import { loopbackUser } from "../../apiserver/authn/user.ts";
import { apiServerFlags, apiServerOptions } from "../../apiserver/options.ts";
import { realClock } from "../../base/clock.ts";
import { parseFlags } from "../../base/flags.ts";
import { silentLogger } from "../../base/log.ts";
import { CommandError } from "../command-error.ts";
import { run } from "./apiserver.ts";
import { type RunningApiServer, startApiServer } from "./start-apiserver.ts";

let directory = "";
const running: RunningApiServer[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-apiserver-"));
});
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  await rm(directory, { recursive: true });
});

const base = (): string[] => ["--data-dir", directory, "--storage=memory", "--bind-address=127.0.0.1", "--secure-port=0"];

async function start(...args: string[]): Promise<RunningApiServer> {
  const { values } = parseFlags(apiServerFlags, [...base(), ...args]);
  const server = await startApiServer(apiServerOptions(values), { clock: realClock, logger: silentLogger });
  running.push(server);
  await server.ready;
  return server;
}

function get(server: RunningApiServer, path: string, token?: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const request = https.get(`${server.url}${path}`, { ca: server.caPem, agent: false, headers }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
  });
}

describe("coracle apiserver", () => {
  it("starts a cluster with what upstream puts into an empty one", async () => {
    const server = await start("--service-cluster-ip-range=10.9.0.0/16");
    const client = server.clientFor(loopbackUser);
    const { items } = await client.list(namespaces);
    expect(items.map((n) => n.metadata.name)).toEqual(["default", "kube-node-lease", "kube-public", "kube-system"]);
    const service = await client.get(services, { namespace: "default", name: "kubernetes" });
    expect(service.spec).toMatchObject({ clusterIP: "10.9.0.1", ports: [{ port: 443 }] });
    expect((await client.get(clusterroles, { name: "cluster-admin" })).rules).toContainEqual({
      verbs: ["*"],
      apiGroups: ["*"],
      resources: ["*"],
    });
    expect(await get(server, "/readyz")).toEqual({ status: 200, text: "ok" });
  });

  it("tells others the address it advertises and the port it has bound", async () => {
    const file = join(directory, "tokens.csv");
    await writeFile(file, "secret,jane,1\n");
    const server = await start("--advertise-address=192.0.2.9", `--token-auth-file=${file}`, "--authorization-mode=AlwaysAllow");
    const client = server.clientFor(loopbackUser);
    const kubernetes = { namespace: "default", name: "kubernetes" };
    const ports = [{ name: "https", port: server.port, protocol: "TCP" }];
    expect(await client.get(endpoints, kubernetes)).toMatchObject({ subsets: [{ addresses: [{ ip: "192.0.2.9" }], ports }] });
    expect(await client.get(endpointslices, kubernetes)).toMatchObject({ endpoints: [{ addresses: ["192.0.2.9"] }], ports });
    const address = `192.0.2.9:${server.port}`;
    expect((await get(server, "/api", "secret")).text).toContain(`"serverAddress":"${address}"`);
    expect((await get(server, "/.well-known/openid-configuration", "secret")).text).toContain(
      `"jwks_uri":"https://${address}/openid/v1/jwks"`,
    );
  });

  it("publishes no endpoint where it can be reached by its own machine only", async () => {
    const server = await start("--advertise-address=127.0.0.1");
    const found = await server.clientFor(loopbackUser).get(endpoints, { namespace: "default", name: "kubernetes" });
    expect(found.subsets ?? []).toEqual([]);
    expect(found.metadata.labels).toEqual({ "endpointslice.kubernetes.io/skip-mirror": "true" });
  });

  it("knows the users of its token file and refuses other tokens", async () => {
    const file = join(directory, "tokens.csv");
    await writeFile(file, 'secret,admin,1,"system:masters"\nother,bob,2\n');
    const server = await start("--token-auth-file", file);
    expect((await get(server, "/api/v1/namespaces", "secret")).status).toBe(200);
    expect((await get(server, "/api/v1/namespaces", "other")).status).toBe(403);
    expect((await get(server, "/api/v1/namespaces", "wrong")).status).toBe(401);
    expect((await get(server, "/api/v1/namespaces")).status).toBe(403);
    expect((await get(server, "/version")).status).toBe(200);
    const counted = server.metrics.text();
    expect(counted).toContain('authentication_attempts{result="error"} 1\n');
    expect(counted).toContain('authentication_attempts{result="success"} 4\n');
    expect(counted).toContain('authenticated_user_requests{username="admin"} 1\n');
    expect(counted).toContain('authenticated_user_requests{username="other"} 3\n');
  });

  it("names what it checks as upstream does, and tells what came of it", async () => {
    const tokens = join(directory, "tokens");
    await writeFile(tokens, "T,admin,1,system:masters\n");
    const server = await start(`--token-auth-file=${tokens}`);
    const { text } = await get(server, "/readyz?verbose", "T");
    for (const hook of [
      "start-apiserver-admission-initializer",
      "generic-apiserver-start-informers",
      "start-apiextensions-informers",
      "start-apiextensions-controllers",
      "peer-endpoint-reconciler-controller",
      "start-legacy-token-tracking-controller",
      "start-service-ip-repair-controllers",
      "storage-readiness",
      "apiservice-wait-for-first-sync",
    ])
      expect(text).toContain(`[+]poststarthook/${hook} ok\n`);
    expect(text).not.toContain("loopback-serving-certificate");
    expect(text).toContain("[+]etcd ok\n[+]etcd-readiness ok\n[+]informer-sync ok\n");
    const slis = (await get(server, "/metrics/slis", "T")).text;
    expect(slis).toContain('kubernetes_healthcheck{name="etcd",type="readyz"} 1\n');
    expect(slis).toContain('kubernetes_healthchecks_total{name="poststarthook/storage-readiness",status="success",type="readyz"} 1\n');
    expect(slis).not.toContain("livez");
    expect((await get(server, "/livez?verbose", "T")).text).toContain("[+]loopback-serving-certificate ok\n[+]etcd ok\n");
  });

  it("says since when the use of legacy tokens is noted", async () => {
    const server = await start();
    const name = "kube-apiserver-legacy-service-account-token-tracking";
    const noted = await server.clientFor(loopbackUser).get(configmaps, { namespace: "kube-system", name });
    expect(noted.data?.since).toMatch(/^\d{4}-\d{2}-\d{2}$/);
  });

  it("starts again on the same data", async () => {
    const first = await start("--storage=lmdb");
    await first.clientFor(loopbackUser).create(namespaces, { metadata: { name: "kept" }, spec: {} });
    await first.stop();
    const second = await start("--storage=lmdb");
    expect((await second.clientFor(loopbackUser).get(namespaces, { name: "kept" })).metadata.name).toBe("kept");
  });

  it("says in one line which flag is wrong", async () => {
    const problem = (...args: string[]): Promise<string> =>
      run([...base(), ...args]).then(
        () => "started",
        (error: unknown) => (error instanceof CommandError ? error.message : `unexpected ${String(error)}`),
      );
    expect(await problem("--foo")).toMatch(/^unknown flag: --foo/);
    expect(await problem("extra")).toMatch(/^unexpected argument "extra"/);
    expect(await problem("--token-auth-file=/none/such")).toMatch(/^--token-auth-file: ENOENT/);
    expect(await problem("--tls-cert-file=x")).toMatch(/^--tls-cert-file and --tls-private-key-file: expected both/);
    expect(await problem("--service-node-port-range=9-1")).toMatch(/for --service-node-port-range: expected a range of ports/);
    expect(await problem("--enable-admission-plugins=Nope")).toMatch(/^--enable-admission-plugins.*"Nope"/);
    const other = await start();
    expect(await problem(`--secure-port=${other.port}`)).toMatch(new RegExp(`^--secure-port: port ${other.port} of 127.0.0.1 is in use`));
  });
});
