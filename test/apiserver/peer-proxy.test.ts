// API servers on one etcd that do not serve the same: each answers what one of them serves, and says so in its discovery.
import { cp } from "node:fs/promises";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jobs, leases } from "../../src/api/resources.generated.ts";
import { apiServerFlags, apiServerOptions } from "../../src/apiserver/options.ts";
import { realClock } from "../../src/base/clock.ts";
import { parseFlags } from "../../src/base/flags.ts";
import { silentLogger } from "../../src/base/log.ts";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import type { Transport } from "../../src/client/transport.ts";
import { type RunningApiServer, startApiServer } from "../../src/cmd/apiserver/start-apiserver.ts";
import { loadOrCreatePki } from "../../src/cmd/credentials/pki.ts";
import { type EtcdProcess, startEtcd, whyNoEtcd } from "../storage/etcd-process.ts";
import { adminTransport } from "../support/apiserver-process.ts";
import { freePort, temporaryDirectory, until } from "../support/processes.ts";

const reason = await whyNoEtcd();
if (reason) console.log(`requests between API servers on one etcd are not tried: ${reason}`);

const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const jobsPath = "/apis/batch/v1/namespaces/default/jobs";
const template = { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } as const;

interface Member {
  readonly server: RunningApiServer;
  readonly transport: Transport;
  readonly client: Client;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** As a member of system:masters, over HTTP/1.1. */
function ask({ server }: Member, path: string, { body, ...options }: RequestOptions & { readonly body?: object } = {}): Promise<Reply> {
  const { admin } = server.pki;
  const headers = { ...(body ? { "content-type": "application/json" } : {}), ...options.headers };
  const credentials = { cert: admin.certificate, key: admin.key, ca: server.caPem };
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(`${server.url}${path}`, { agent: false, ...credentials, ...options, headers }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += String(chunk)));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on("upgrade", (response, socket, head) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text: head.toString() });
    });
    sent.on("error", reject);
    sent.end(body && JSON.stringify(body));
  });
}

describe.runIf(reason === undefined)("API servers on one etcd that serve different versions", () => {
  let etcd: readonly EtcdProcess[] = [];
  let directories: Awaited<ReturnType<typeof temporaryDirectory>>;
  const members: Member[] = [];
  const member = (i: number): Member => members[i] as Member; // there are two

  async function start(name: string, ...args: string[]): Promise<Member> {
    const dataDir = join(directories.path, name);
    const port = String(await freePort());
    const flags = [
      ...["--etcd-servers", etcd.map(({ url }) => url).join(","), "--data-dir", dataDir],
      ...["--bind-address", "127.0.0.1", "--secure-port", port, "--peer-advertise-ip", "127.0.0.1", "--peer-advertise-port", port],
      ...["--peer-ca-file", join(directories.path, "a", "pki", "ca.crt"), ...args],
    ];
    const settings = apiServerOptions(parseFlags(apiServerFlags, flags).values);
    const server = await startApiServer(settings, { clock: realClock, logger: silentLogger, hostname: name });
    await server.ready;
    const transport = await adminTransport(dataDir);
    const started = { server, transport, client: createClient(transport) };
    members.push(started);
    return started;
  }

  const documentOf = async (of: Member, accept = aggregated): Promise<Reply> => ask(of, "/apis", { headers: { accept } });
  const groupsOf = ({ text }: Reply): string[] =>
    (JSON.parse(text) as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name);

  beforeAll(async () => {
    etcd = await startEtcd();
    directories = await temporaryDirectory("peer-proxy");
    // One cluster has one authority, and its file has to be there before the first server reads it.
    await loadOrCreatePki({ dataDir: join(directories.path, "a"), serverNames: [], serviceIp: "10.96.0.1", clock: realClock });
    await cp(join(directories.path, "a", "pki"), join(directories.path, "b", "pki"), { recursive: true });
    await start("a", "--runtime-config=resource.k8s.io/v1beta1=true");
    await start("b", "--runtime-config=batch/v1=false,authentication.k8s.io/v1=false");
    await until("the second has asked the first", async () => groupsOf(await documentOf(member(1))).includes("batch"));
  });
  afterAll(async () => {
    for (const { transport, server } of members) {
      await transport.close();
      await server.stop();
    }
    await Promise.all(etcd.map((server) => server.stop()));
    await directories.remove();
  });

  test("each shows in its aggregated discovery what all serve, in the same document, and what it serves alone to those who ask", async () => {
    const [a, b] = await Promise.all([documentOf(member(0)), documentOf(member(1))]);
    expect(b.text).toBe(a.text);
    expect(b.headers.etag).toBe(a.headers.etag);
    expect(b.headers).toMatchObject({ vary: "Accept", "cache-control": "public" });
    expect((await ask(member(1), "/apis", { headers: { accept: aggregated, "if-none-match": String(b.headers.etag) } })).status).toBe(304);
    const alone = await documentOf(member(1), `${aggregated};profile=nopeer`);
    expect(groupsOf(alone)).not.toContain("batch");
    expect(groupsOf(await documentOf(member(0), `${aggregated};profile=nopeer`))).toContain("batch");
    expect((await ask(member(1), "/apis/batch/v1")).status).toBe(404);
    const { text } = await ask(member(1), "/metrics");
    expect(text).toMatch(/^aggregator_discovery_nopeer_requests_total [1-9]/m);
    expect(text).toMatch(/^aggregator_discovery_peer_aggregated_cache_hits_total [1-9]/m);
  });

  test("reads, writes and watches of what it does not serve are answered by the other", async () => {
    const { client } = member(1);
    const seen: string[] = [];
    const stop = new AbortController();
    const batches = await client.watch(jobs, { namespace: "default", resourceVersion: "0", signal: stop.signal });
    const reading = (async () => {
      for await (const events of batches)
        for (const event of events) if (event.type !== "BOOKMARK") seen.push(`${event.type} ${event.object.metadata.name}`);
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    const made = await client.create(jobs, { metadata: { namespace: "default", name: "one" }, spec: { template } });
    await client.update(jobs, { ...made, metadata: { ...made.metadata, labels: { ...made.metadata.labels, a: "b" } } });
    await expect(client.create(jobs, { metadata: { namespace: "default", name: "one" }, spec: { template } })).rejects.toMatchObject({
      reason: "AlreadyExists",
    });
    expect((await member(0).client.get(jobs, { namespace: "default", name: "one" })).metadata.labels).toMatchObject({ a: "b" });
    await until("the watch has shown both", () => seen.length === 2);
    expect(seen).toEqual(["ADDED one", "MODIFIED one"]);
    stop.abort();
    await reading;
    const upgrade = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    };
    expect((await ask(member(1), `${jobsPath}?watch=true`, { headers: upgrade })).status).toBe(101);
    const { text } = await ask(member(1), "/metrics");
    expect(text).toMatch(/^apiserver_rerouted_request_total\{code="201",group="batch",resource="jobs",version="v1"\} 1$/m);
  });

  test("the other is told who asks, and what was passed on once is not passed on again", async () => {
    const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
    const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    const asJane = { "impersonate-user": "jane", "impersonate-group": "people", "impersonate-extra-example.com%2fteam": "red" };
    const { status, text } = await ask(member(1), path, { method: "POST", body: review, headers: asJane });
    expect([status, JSON.parse(text).status.userInfo]).toEqual([
      201,
      { username: "jane", groups: ["people", "system:authenticated"], extra: { "example.com/team": ["red"] } },
    ]);
    expect((await ask(member(1), jobsPath, { headers: { "impersonate-user": "jane" } })).status).toBe(403);
    expect((await ask(member(1), jobsPath, { headers: { "x-kubernetes-peer-proxied": "true" } })).status).toBe(404);
  });

  test("says when it is ready to pass requests on", async () => {
    const { text } = await ask(member(1), "/readyz?verbose");
    expect(text).toMatch(
      /peer-endpoint-reconciler-controller ok\n\[\+\]poststarthook\/mixed-version-proxy-handler ok\n\[\+\]poststarthook\/local-discovery-cache-sync ok\n\[\+\]poststarthook\/peer-discovery-workers ok\n/,
    );
  });

  test("a server that stops takes its lease away, and the other serves and shows no more than its own", async () => {
    await member(0).transport.close();
    await member(0).server.stop();
    members.shift();
    await until("the lease is gone", async () => (await member(0).client.list(leases, { namespace: "kube-system" })).items.length === 1);
    await until("the other has noticed", async () => (await ask(member(0), jobsPath)).status === 404);
    expect(groupsOf(await documentOf(member(0)))).not.toContain("batch");
  });
});
