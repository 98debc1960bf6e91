// The API server at its edge: browsers of other origins, HTTP/2 limits, the way it ends, flags of manifests.
import { mkdtemp, rm } from "node:fs/promises";
import http2 from "node:http2";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { apiServerFlags, apiServerOptions } from "../../apiserver/options.ts";
import { realClock } from "../../base/clock.ts";
import { FlagError, parseFlags } from "../../base/flags.ts";
import { silentLogger } from "../../base/log.ts";
import { type RunningApiServer, startApiServer } from "./start-apiserver.ts";

let directory = "";
const running: RunningApiServer[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-edge-"));
});
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  await rm(directory, { recursive: true });
});

const settingsOf = (...args: string[]) =>
  apiServerOptions(
    parseFlags(apiServerFlags, ["--data-dir", directory, "--storage=memory", "--bind-address=127.0.0.1", "--secure-port=0", ...args])
      .values,
  );

async function start(...args: string[]): Promise<RunningApiServer> {
  const server = await startApiServer(settingsOf(...args), { clock: realClock, logger: silentLogger });
  running.push(server);
  await server.ready;
  return server;
}

interface Got {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

type RequestOptions = https.RequestOptions & { readonly body?: string };

function request(server: RunningApiServer, path: string, { body, ...options }: RequestOptions = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = https.request(`${server.url}${path}`, { ca: server.caPem, agent: false, ...options }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += String(chunk)));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const credentials = (server: RunningApiServer) => ({ cert: server.pki.admin.certificate, key: server.pki.admin.key });

const post = (server: RunningApiServer, path: string, body: object): Promise<Got> =>
  request(server, path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    ...credentials(server),
    body: JSON.stringify(body),
  });

/** A watch; resolves when it is open. */
function watch(server: RunningApiServer): Promise<{ readonly ended: Promise<void> }> {
  return new Promise((resolve, reject) => {
    const options = { ca: server.caPem, agent: false, ...credentials(server) };
    const sent = https.get(`${server.url}/api/v1/namespaces?watch=true`, options, (response) => {
      const ended = new Promise<void>((done) => response.on("close", done));
      response.once("data", () => resolve({ ended }));
      response.resume();
    });
    sent.on("error", reject);
  });
}

describe("browsers", () => {
  it("are told that pages of an allowed origin may call, without credentials for the question before", async () => {
    const server = await start(
      "--cors-allowed-origins=//ui\\.example\\.test(:|$)",
      "--strict-transport-security-directives=max-age=60,preload",
    );
    const asked = await request(server, "/api/v1/pods", { method: "OPTIONS", headers: { origin: "https://ui.example.test:8443" } });
    expect(asked).toMatchObject({
      status: 204,
      headers: {
        "access-control-allow-origin": "https://ui.example.test:8443",
        "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE, PATCH",
        "access-control-allow-credentials": "true",
        "strict-transport-security": "max-age=60; preload",
      },
    });
    expect(asked.headers).not.toHaveProperty("content-length");
    const answered = await request(server, "/version", { headers: { origin: "https://ui.example.test" } });
    expect(answered).toMatchObject({ status: 200, headers: { "access-control-allow-origin": "https://ui.example.test" } });
    const stranger = await request(server, "/version", { headers: { origin: "https://ui.example.test.evil.test" } });
    expect(stranger.headers).not.toHaveProperty("access-control-allow-origin");
    expect(stranger.headers["strict-transport-security"]).toBe("max-age=60; preload");
  });

  it("are told nothing by default", async () => {
    const { headers } = await request(await start(), "/version", { headers: { origin: "https://ui.example.test" } });
    expect(Object.keys(headers).filter((name) => /^access-control|^strict/.test(name))).toEqual([]);
  });
});

describe("HTTP/2", () => {
  it("gives stored objects in protobuf to those who ask for it", async () => {
    const server = await start();
    const asked = { ...credentials(server), headers: { accept: "application/vnd.kubernetes.protobuf" } };
    const { status, headers, text } = await request(server, "/api/v1/namespaces/default", asked);
    expect([status, headers["content-type"]]).toEqual([200, "application/vnd.kubernetes.protobuf"]);
    expect(text).toMatch(/^k8s\0.*Namespace/s);
  });

  it("can be switched off", async () => {
    const server = await start("--disable-http2-serving");
    const session = http2.connect(server.url, { ca: server.caPem });
    await expect(new Promise((_resolve, reject) => session.once("error", reject))).rejects.toThrow();
    expect(await request(server, "/version")).toMatchObject({ status: 200 });
  });

  it.each([
    ["0", 100],
    ["7", 7],
  ])("allows as many streams on a connection as the flag says: %s", async (given, expected) => {
    const server = await start(`--http2-max-streams-per-connection=${given}`);
    const session = http2.connect(server.url, { ca: server.caPem });
    const settings = await new Promise<http2.Settings>((resolve) => session.once("remoteSettings", resolve));
    session.close();
    expect(settings.maxConcurrentStreams).toBe(expected);
  });
});

/** A creation whose body has begun: it is answered (422) when that is finished. */
async function openRequest(server: RunningApiServer): Promise<{ finish(): void; readonly answered: Promise<number | undefined> }> {
  const headers = { "content-type": "application/json", "content-length": "2" };
  const path = `${server.url}/api/v1/namespaces/default/configmaps`;
  const slow = https.request(path, { ca: server.caPem, agent: false, method: "POST", headers, ...credentials(server) });
  const answered = new Promise<number | undefined>((resolve) => slow.on("response", ({ statusCode }) => resolve(statusCode)));
  await new Promise<void>((resolve) => slow.write("{", () => resolve()));
  // The server has begun with it once it has answered another one on a connection that came later.
  await request(server, "/version");
  return { finish: () => void slow.end("}"), answered };
}

describe("the way it ends", () => {
  it("serves on, not ready, for the delay", async () => {
    const server = await start("--shutdown-delay-duration=1s");
    const before = realClock.monotonic();
    const stopped = server.stop();
    expect(await request(server, "/readyz")).toMatchObject({ status: 500, text: expect.stringContaining("[-]shutdown failed") });
    expect(await request(server, "/version")).toMatchObject({ status: 200 });
    await stopped;
    expect(realClock.monotonic() - before).toBeGreaterThanOrEqual(1000);
  });

  it("ends watches that have a grace period before the requests that are open", async () => {
    const server = await start("--shutdown-watch-termination-grace-period=1m", "--shutdown-send-retry-after");
    const { ended } = await watch(server);
    const { finish, answered } = await openRequest(server);
    const stopped = server.stop();
    await ended;
    finish();
    expect(await answered).toBe(422);
    await stopped;
  });

  it("answers new requests with 429 while an open one ends, which is still answered", async () => {
    const server = await start("--shutdown-send-retry-after");
    const agent = new https.Agent({ keepAlive: true });
    await request(server, "/version", { agent });
    const { finish, answered } = await openRequest(server);
    const stopped = server.stop();
    const refused = await request(server, "/version");
    expect(refused).toMatchObject({ status: 429, headers: { "retry-after": "5" }, text: expect.stringContaining("shutting down") });
    expect(await request(server, "/livez")).toMatchObject({ status: 200 });
    // Connections of others stay until they are told.
    await expect.poll(() => Object.values(agent.freeSockets).flat().length).toBe(1);
    expect(await request(server, "/version", { agent })).toMatchObject({ status: 429, headers: { connection: "close" } });
    finish();
    expect(await answered).toBe(422);
    await stopped;
  });

  it("ends watches at once by default", async () => {
    const server = await start();
    const { ended } = await watch(server);
    const before = realClock.monotonic();
    void server.stop();
    await ended;
    // Open requests would be waited for, a watch is not.
    expect(realClock.monotonic() - before).toBeLessThan(5_000);
  });
});

describe("flags of kube-apiserver's manifests", () => {
  it("are taken where nothing is to be set, with the one value that is there", () => {
    expect(() =>
      settingsOf("--allow-privileged", "--allow-privileged=true", "--storage-media-type=application/json", "--watch-cache=true"),
    ).not.toThrow();
    expect(() =>
      settingsOf("--cert-dir=/var/run/kubernetes", "--min-request-timeout=1800", "--coordinated-leadership-lease-duration=15s"),
    ).not.toThrow();
  });

  it.each([
    ["--allow-privileged=no", "expected true or false"],
    ["--kubernetes-service-node-port=29999", "expected a port of --service-node-port-range, 30000-32767"],
    ["--kubernetes-service-node-port=70000", "expected a whole number from 0 to 65535"],
    ["--admission-control=LimitRanger,Nothing", 'unknown plugin "Nothing", expected some of AlwaysAdmit, '],
    ["--tls-curve-preferences=0", "curve preference 0 is out of range (must be 1-65535)"],
    ["--tls-curve-preferences=23,29,23", "duplicate curve preference 23"],
    ["--tls-curve-preferences=30", "curve preference 30 is not supported: expected some of 23, 24, 25, 29, 4587, 4588, 4589"],
    ["--tls-curve-preferences=X25519", "expected a whole number"],
    ["--disabled-metrics=a-b", "expected names of metrics ([a-zA-Z_:][a-zA-Z0-9_:]*)"],
    ["--etcd-servers-overrides=/events#http://127.0.0.1:1", "--etcd-servers-overrides: expected --etcd-servers beside it"],
    ["--etcd-servers-overrides=events#http://127.0.0.1:1", "expected group/resource#servers, where servers are URLs"],
    ["--etcd-servers-overrides=/events#http://a:1;", "expected group/resource#servers, where servers are URLs"],
    ["--etcd-servers-overrides=/services#http://a:1", "services are written together with objects of other resources"],
    ["--etcd-healthcheck-timeout=soon", "expected a duration"],
    ["--service-account-signing-endpoint=@", "expected the name of an abstract socket"],
    ["--min-request-timeout=0", "expected a whole number of at least 1"],
    ["--request-timeout=-1s", "expected a duration that is not negative"],
    ["--delete-collection-workers=many", "expected a whole number"],
    ["--coordinated-leadership-lease-duration=10s", "must be greater than --coordinated-leadership-renew-deadline"],
    ["--coordinated-leadership-retry-period=9s", "must be greater than --coordinated-leadership-retry-period with its jitter"],
    ["--watch-cache=yes", "expected true or false"],
    ["--watch-cache-sizes=pods", "invalid value of watch cache size: pods"],
    ["--log-flush-frequency=0", "expected a duration greater than zero"],
    ["--show-hidden-metrics-for-version=1.34", "must be omitted or have the value '1.35'"],
    ["--service-cluster-ip-range=10.0.0.0/30", "expected at least 8 addresses"],
    ["--service-cluster-ip-range=10.0.0.0/16,10.1.0.0/16", "one of each family"],
    ["--storage-media-type=application/vnd.kubernetes.protobuf", "expected application/json"],
    ["--cors-allowed-origins=example.test", "does not pin to start/end of host"],
    ["--strict-transport-security-directives=forever", "allowed values: max-age=expireTime, includeSubDomains, preload"],
    ["--goaway-chance=0.5", "0.02"],
    ["--kubelet-client-key=/k", "expected both or neither"],
    ["--kubelet-preferred-address-types=InternalIP,Street", "expected some of Hostname"],
  ])("refuses %s", (flag, why) => {
    expect(() => settingsOf(flag)).toThrow(FlagError);
    expect(() => settingsOf(flag)).toThrow(why);
  });

  it("takes what is empty for not given", () => {
    const empty = ["advertise-address", "cors-allowed-origins", "strict-transport-security-directives", "tls-cipher-suites"];
    const more = ["tls-min-version", "tls-cert-file", "tls-private-key-file", "requestheader-allowed-names", "storage-backend"];
    const { serving, edge, authentication, advertiseAddress } = settingsOf(...[...empty, ...more].map((name) => `--${name}=`));
    const defaults = settingsOf();
    expect({ serving, edge, authentication, advertiseAddress }).toEqual({
      serving: defaults.serving,
      edge: defaults.edge,
      authentication: defaults.authentication,
      advertiseAddress: undefined,
    });
  });

  it.each([
    ["30000-32767", 30000, 32767],
    ["31000+99", 31000, 31099],
    ["31000", 31000, 31000],
    ["", 30000, 32767],
  ])("takes %j for a range of node ports", (given, first, last) => {
    expect(settingsOf(`--service-node-port-range=${given}`).serviceNodePortRange).toEqual({ first, last });
  });

  it("says everything that is wrong at once", () => {
    const wrong = ["--tls-cert-file=/c", "--kubelet-client-key=/k", "--oidc-client-id=c", "--authorization-mode=ABAC,Webhook"];
    const audit = ["--audit-log-path=/l", "--audit-log-truncate-enabled", "--audit-log-truncate-max-batch-size=5"];
    let problems: readonly string[] = [];
    try {
      settingsOf(...wrong, ...audit);
    } catch (error) {
      if (error instanceof FlagError) problems = error.problems;
    }
    expect(problems.map((problem) => problem.replace(/[: ].*/, ""))).toEqual([
      "--tls-cert-file",
      "--kubelet-client-certificate",
      "--oidc-issuer-url",
      "--authorization-mode",
      "--authorization-mode",
      "--audit-log-truncate-max-batch-size",
    ]);
  });

  it("reads which resources lie in which etcd servers", () => {
    const given = settingsOf(
      "--etcd-servers=http://a:1",
      "--etcd-servers-overrides=/events#http://b:1;http://c:1,apps/deployments#http://d:1",
    );
    expect(given.etcd?.overrides).toEqual([
      { group: "", resource: "events", servers: ["http://b:1", "http://c:1"] },
      { group: "apps", resource: "deployments", servers: ["http://d:1"] },
    ]);
    expect(given.flagTexts["etcd-servers-overrides"]).toBe("/events#http://b:1;http://c:1,apps/deployments#http://d:1");
    expect(settingsOf("--etcd-healthcheck-timeout=0", "--etcd-readycheck-timeout=5s").storageChecks).toEqual({
      healthTimeoutMs: 2000,
      readyTimeoutMs: 5000,
    });
  });

  it("refuses what names peers where the gate is off", () => {
    const flags = ["--peer-advertise-ip=10.0.0.1", "--peer-advertise-port=7443", "--peer-ca-file=/ca"];
    expect(settingsOf(...flags).peers).toEqual({ caFile: "/ca", advertiseAddress: { host: "10.0.0.1", port: 7443 } });
    expect(settingsOf("--peer-advertise-ip=::1", "--peer-advertise-port=1").peers.advertiseAddress).toEqual({ host: "::1", port: 1 });
    expect(settingsOf("--peer-advertise-ip=10.0.0.1").peers).toEqual({});
    expect(() => settingsOf(...flags, "--feature-gates=UnknownVersionInteroperabilityProxy=false")).toThrow(
      "--peer-ca-file requires UnknownVersionInteroperabilityProxy feature to be turned on",
    );
  });

  it("runs the admission plugins of --admission-control alone", async () => {
    expect(() => settingsOf("--admission-control=LimitRanger", "--disable-admission-plugins=Priority")).toThrow(
      "--admission-control and --enable-admission-plugins or --disable-admission-plugins: expected the former or the latter",
    );
    const server = await start("--admission-control=NamespaceLifecycle,AlwaysPullImages");
    const pod = { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i:1" }] } };
    const { spec } = JSON.parse((await post(server, "/api/v1/namespaces/default/pods", pod)).text);
    expect(spec.containers[0].imagePullPolicy).toBe("Always");
    expect(spec.tolerations).toBeUndefined();
    expect(spec.serviceAccountName).toBeUndefined();
  });

  it("refuses privileged containers where they are not allowed at all", async () => {
    const server = await start("--allow-privileged=false", "--disable-admission-plugins=ServiceAccount");
    const containers = [{ name: "c", image: "i", securityContext: { privileged: true } }];
    const template = { metadata: { labels: { a: "b" } }, spec: { containers } };
    const { causes } = JSON.parse(
      (
        await post(server, "/apis/apps/v1/namespaces/default/deployments", {
          metadata: { name: "d" },
          spec: { selector: { matchLabels: { a: "b" } }, template },
        })
      ).text,
    ).details;
    const [field, message] = ["spec.template.spec.containers[0].securityContext.privileged", "Forbidden: disallowed by cluster policy"];
    expect(causes).toEqual([{ reason: "FieldValueForbidden", message, field }]);
    const host = { name: "h", image: "i", securityContext: { windowsOptions: { hostProcess: true } } };
    const pod = { metadata: { name: "p" }, spec: { hostNetwork: true, containers: [host] } };
    expect((await post(server, "/api/v1/namespaces/default/pods", pod)).text).toContain(
      "hostProcess containers are disallowed by cluster policy",
    );
    const other = await start("--allow-privileged", "--disable-admission-plugins=ServiceAccount");
    const made = await post(other, "/api/v1/namespaces/default/pods", { metadata: { name: "p" }, spec: { containers } });
    expect(made.status).toBe(201);
  });

  it("makes the service kubernetes one with a port on every node, and tells other servers where this one is", async () => {
    const server = await start(
      ...["--kubernetes-service-node-port=30443", "--advertise-address=192.0.2.7"],
      ...["--peer-advertise-ip=10.1.2.3", "--peer-advertise-port=7777"],
    );
    const { spec } = JSON.parse((await request(server, "/api/v1/namespaces/default/services/kubernetes", credentials(server))).text);
    expect(spec).toMatchObject({ type: "NodePort", clusterIP: "10.96.0.1", ports: [{ port: 443, nodePort: 30443 }] });
    await vi.waitFor(async () => {
      const leases = await request(server, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", credentials(server));
      expect(JSON.parse(leases.text).items[0].metadata.annotations).toEqual({ "kubernetes.io/peer-advertise-address": "10.1.2.3:7777" });
    }, 60_000);
    await expect(start("--peer-ca-file=/no/such/file")).rejects.toThrow("--peer-ca-file: ENOENT");
  });

  it("has the name that it is told, and not the metrics that it is not to have", async () => {
    const server = await start(
      "--external-hostname=api.example.com",
      "--disabled-metrics=kubernetes_build_info,kubernetes_feature_enabled",
    );
    const api = JSON.parse((await request(server, "/api", credentials(server))).text);
    expect(api.serverAddressByClientCIDRs[0].serverAddress).toBe(`api.example.com:${server.port}`);
    const discovery = JSON.parse((await request(server, "/.well-known/openid-configuration", credentials(server))).text);
    expect(discovery.jwks_uri).toBe(`https://api.example.com:${server.port}/openid/v1/jwks`);
    const metrics = (await request(server, "/metrics", credentials(server))).text;
    expect(metrics).not.toContain("kubernetes_build_info");
    expect(metrics).toContain("\ndisabled_metrics_total 2\n");
    const other = await start("--external-hostname=api.example.com:443");
    const { serverAddressByClientCIDRs } = JSON.parse((await request(other, "/api", credentials(other))).text);
    expect(serverAddressByClientCIDRs[0].serverAddress).toBe("api.example.com:443");
  });

  it("exchanges keys in the groups that were chosen alone", async () => {
    const server = await start("--tls-curve-preferences=24,23");
    const through = (ecdhCurve: string) => request(server, "/readyz", { ecdhCurve, ...credentials(server) });
    expect((await through("P-384")).status).toBe(200);
    await expect(through("X25519")).rejects.toThrow(/alert/);
  });

  it("has watches end, and pods stay on nodes, when the flags say so", async () => {
    const { minWatchTimeoutMs, defaultTolerations } = settingsOf("--min-request-timeout=60", "--default-not-ready-toleration-seconds=5");
    expect([minWatchTimeoutMs, defaultTolerations]).toEqual([60_000, { notReadySeconds: 5, unreachableSeconds: 300 }]);
    const flags = ["--min-request-timeout=1", "--default-not-ready-toleration-seconds=5", "--disable-admission-plugins=ServiceAccount"];
    const server = await start(...flags);
    const { ended } = await watch(server);
    await ended;
    const pod = { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } };
    const created = await request(server, "/api/v1/namespaces/default/pods?dryRun=All", {
      method: "POST",
      headers: { "content-type": "application/json" },
      ...credentials(server),
      body: JSON.stringify(pod),
    });
    expect(JSON.parse(created.text).spec?.tolerations).toMatchObject([
      { key: "node.kubernetes.io/not-ready", tolerationSeconds: 5 },
      { key: "node.kubernetes.io/unreachable", tolerationSeconds: 300 },
    ]);
  });

  it("says which file of the kubelets' certificates cannot be read", async () => {
    await expect(start("--kubelet-certificate-authority=/no/such/file")).rejects.toThrow("--kubelet-certificate-authority: /no/such/file");
  });
});
