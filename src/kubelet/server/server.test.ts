import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { StatusError } from "../../api/meta/status-error.ts";
import { VirtualClock } from "../../base/clock.ts";
import { freePort } from "../../testing/free-port.ts";
import { subresourcesOf } from "./authorization.ts";
import type { KubeletServerHost } from "./host.ts";
import { parseLogQuery } from "./log-query.ts";
import { answerNodeLogs } from "./node-logs.ts";
import { type Route, sendText } from "./route.ts";
import { startServerFixture } from "./server-fixture.ts";
import { ServerMetrics } from "./server-metrics.ts";

const everything = { authorization: { mode: "AlwaysAllow" } as const };

describe("the kubelet's server: who asks", () => {
  it("refuses those who present nothing, or something that is not believed", async () => {
    await using f = await startServerFixture({ tokens: {} });
    expect(await f.ask("/pods")).toMatchObject({ status: 401, text: "Unauthorized" });
    expect(await f.ask("/pods", { token: "wrong" })).toMatchObject({ status: 401 });
  });

  it("asks the API server who bears a token, and believes the answer for two minutes", async () => {
    await using f = await startServerFixture({ tokens: { t: "alice" }, options: everything });
    expect((await f.ask("/healthz", { token: "t" })).status).toBe(200);
    expect((await f.ask("/healthz", { token: "t" })).status).toBe(200);
    expect(f.reviews).toEqual(["token t"]);
    await f.clock.advance(120_001);
    await f.ask("/healthz", { token: "t" });
    expect(f.reviews).toEqual(["token t", "token t"]);
  });

  it("knows holders of certificates, and anybody where that is allowed; a bad token is nobody even then", async () => {
    const allowed = ["alice get nodes/healthz", "system:anonymous get nodes/healthz"];
    await using f = await startServerFixture({ allowed, options: { authentication: { anonymous: true } } });
    expect((await f.ask("/healthz", { as: ["alice", "g"] })).status).toBe(200);
    expect((await f.ask("/healthz")).status).toBe(200);
    expect((await f.ask("/healthz", { token: "bad" })).status).toBe(401);
    await using closed = await startServerFixture({ options: { authentication: { webhook: false } }, tokens: { t: "alice" } });
    expect((await closed.ask("/healthz", { token: "t" })).status).toBe(401);
    expect(closed.reviews).toEqual([]);
  });
});

describe("the kubelet's server: what they may", () => {
  it("asks for the finest subresource first, then for nodes/proxy, and says in upstream's words what is missing", async () => {
    await using f = await startServerFixture({ allowed: ["alice get nodes/pods", "bob get nodes/proxy"] });
    expect((await f.ask("/pods", { as: ["alice", "g"] })).status).toBe(200);
    expect((await f.ask("/pods", { as: ["bob", "g"] })).status).toBe(200);
    expect(await f.ask("/pods", { as: ["eve", "g"] })).toMatchObject({
      status: 403,
      text: "Forbidden (user=eve, verb=get, resource=nodes, subresource(s)=[pods proxy])\n",
    });
    expect(f.reviews).toEqual([
      "access alice get nodes/pods",
      "access bob get nodes/pods",
      "access bob get nodes/proxy",
      "access eve get nodes/pods",
      "access eve get nodes/proxy",
    ]);
  });

  it("believes a yes for five minutes and a no for half a minute", async () => {
    await using f = await startServerFixture({ allowed: ["alice get nodes/healthz"] });
    const ask = async (name: string): Promise<number> => (await f.ask("/healthz", { as: [name, "g"] })).status;
    expect([await ask("alice"), await ask("eve")]).toEqual([200, 403]);
    await f.clock.advance(29_000);
    await Promise.all([ask("alice"), ask("eve")]);
    expect(f.reviews).toHaveLength(3);
    await f.clock.advance(2_000);
    await Promise.all([ask("alice"), ask("eve")]);
    expect(f.reviews).toHaveLength(5);
    await f.clock.advance(300_000);
    await ask("alice");
    expect(f.reviews).toHaveLength(6);
  });

  it("guards each path by its subresources", () => {
    const guards = [
      "/stats/summary",
      "/metrics/cadvisor",
      "/logs/",
      "/checkpoint/a/b/c",
      "/statusz",
      "/flagz",
      "/configz",
      "/runningpods/",
    ].map(subresourcesOf);
    expect(guards).toEqual([
      ["stats"],
      ["metrics"],
      ["log"],
      ["checkpoint"],
      ["statusz"],
      ["configz"],
      ["configz", "proxy"],
      ["pods", "proxy"],
    ]);
    expect(["/exec/a/b/c", "/podsy", "/run/a", "/"].map(subresourcesOf)).toEqual([["proxy"], ["proxy"], ["proxy"], ["proxy"]]);
  });
});

describe("the kubelet's server: endpoints", () => {
  const admin = { as: ["admin", "system:masters"] as const };

  it("runs commands, makes checkpoints, and passes on what the runtime says", async () => {
    const calls: unknown[] = [];
    await using f = await startServerFixture({
      options: everything,
      host: {
        run: async (at, command) => {
          calls.push(["run", at, command]);
          return "hello";
        },
        checkpoint: async (at, seconds) => {
          calls.push(["checkpoint", at, seconds]);
          throw new StatusError({ code: 500, reason: "InternalError", message: "checkpointing of a/b/c failed (no criu)" });
        },
      },
    });
    expect(await f.ask("/run/ns/p/c?cmd=ls%20-l", { ...admin, method: "POST" })).toMatchObject({ status: 200, text: "hello" });
    expect((await f.ask("/run/ns/p/c", admin)).status).toBe(405);
    const long = "a".repeat(100_000);
    expect(await f.ask(`/run/ns/p/c?cmd=${long}`, { ...admin, method: "POST" })).toMatchObject({ status: 200, text: "hello" });
    expect(calls.pop()).toEqual(["run", { namespace: "ns", pod: "p", container: "c" }, [long]]);
    const refused = await f.ask("/checkpoint/a/b/c?timeout=7", { ...admin, method: "POST" });
    expect(refused).toMatchObject({ status: 500, text: "checkpointing of a/b/c failed (no criu)" });
    expect(calls).toEqual([
      ["run", { namespace: "ns", pod: "p", container: "c" }, ["ls", "-l"]],
      ["checkpoint", { namespace: "a", pod: "b", container: "c" }, 7],
    ]);
    expect((await f.ask("/checkpoint/a/b/c?timeout=soon", { ...admin, method: "POST" })).text).toBe(
      "cannot parse value of timeout parameter",
    );
  });

  it("is well as its checks are", async () => {
    let problem: string | undefined;
    await using f = await startServerFixture({ options: { ...everything, checks: new Map([["syncloop", () => problem]]) } });
    expect((await f.ask("/healthz?verbose", admin)).text).toBe("[+]ping ok\n[+]log ok\n[+]syncloop ok\nhealthz check passed\n");
    problem = "it stands still";
    expect(await f.ask("/healthz", admin)).toMatchObject({
      status: 500,
      text: "[+]ping ok\n[+]log ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n",
    });
    expect(await f.ask("/healthz/syncloop", admin)).toMatchObject({ status: 500, text: "internal server error: it stands still\n" });
    expect((await f.ask("/healthz/ping", admin)).text).toBe("ok");
    expect((await f.ask("/healthz?exclude=syncloop", admin)).status).toBe(200);
    expect((await f.ask("/healthz/nothing", admin)).status).toBe(404);
  });

  it("shows its configuration, its flags and what it is", async () => {
    const about = { configuration: () => ({ maxPods: 7 }), flags: { v: "2", config: "/a" } };
    await using f = await startServerFixture({ options: { ...everything, about } });
    expect(JSON.parse((await f.ask("/configz", admin)).text)).toEqual({ kubeletconfig: { maxPods: 7 } });
    expect((await f.ask("/flagz", admin)).text).toMatch(/^\nkubelet flagz\nWarning: .*\nconfig=\/a\nv=2\n$/);
    const accept = "application/json;v=v1beta1;g=config.k8s.io;as=Statusz";
    const statusz = JSON.parse((await f.ask("/statusz", { ...admin, headers: { accept } })).text);
    expect(statusz).toMatchObject({ kind: "Statusz", apiVersion: "config.k8s.io/v1beta1", metadata: { name: "kubelet" } });
    expect(statusz.paths).toContain("/containerLogs");
    expect((await f.ask("/statusz", { ...admin, headers: { accept: "application/json" } })).status).toBe(406);
  });

  it("has none of what reaches into pods without debugging handlers, and no logs without their handler", async () => {
    await using f = await startServerFixture({ options: { ...everything, enableDebuggingHandlers: false, enableSystemLogHandler: false } });
    for (const path of ["/run/a/b/c", "/exec/a/b/c", "/containerLogs/a/b/c", "/runningpods/"])
      expect(await f.ask(path, admin)).toMatchObject({ status: 405, text: "Debug endpoints are disabled.\n" });
    expect(await f.ask("/logs/", admin)).toMatchObject({ status: 405, text: "logs endpoint is disabled.\n" });
    expect((await f.ask("/pods", admin)).status).toBe(200);
  });

  it("serves others' routes, the longest path first, and names no path it does not have", async () => {
    const route = (path: string, readOnly = false): Route => ({
      path,
      readOnly,
      answer: ({ parts, response }) => sendText(response, `${path}:${parts}`),
    });
    await using f = await startServerFixture({ options: everything, routes: [route("/others"), route("/others/one")] });
    expect((await f.ask("/others/one", admin)).text).toBe("/others/one:");
    expect((await f.ask("/others/a/b%20c", admin)).text).toBe("/others:a,b c");
    expect((await f.ask("/othersy", admin)).status).toBe(404);
    expect((await f.ask("/others/%zz", admin)).status).toBe(404);
  });

  it("serves statistics as the kubelet has them", async () => {
    const stats: KubeletServerHost["stats"] = async ({ pathname }) =>
      pathname === "/metrics/resource" ? { contentType: "text/plain; version=0.0.4", body: "up 1" } : undefined;
    await using f = await startServerFixture({ options: everything, host: { stats } });
    const found = await f.ask("/metrics/resource", admin);
    expect([found.status, found.text, found.headers["content-type"]]).toEqual([200, "up 1", "text/plain; version=0.0.4"]);
    expect((await f.ask("/metrics/nothing", admin)).status).toBe(404);
    expect((await f.ask("/stats/container", admin)).status).toBe(404);
  });

  it("serves health to this machine, and on the read-only port what may be read, without asking who it is", async () => {
    const [readOnlyPort, port] = [await freePort(), await freePort()];
    await using f = await startServerFixture({ options: { readOnlyPort, healthz: { address: "127.0.0.1", port } } });
    expect(await f.askPlain(port, "/healthz")).toMatchObject({ status: 200, text: "ok" });
    expect((await f.askPlain(port, "/pods")).status).toBe(404);
    expect(JSON.parse((await f.askPlain(readOnlyPort, "/pods")).text)).toMatchObject({ kind: "PodList", items: [] });
    expect((await f.askPlain(readOnlyPort, "/runningpods/")).status).toBe(404);
    expect(f.reviews).toEqual([]);
  });
});

describe("node logs", () => {
  it("reads queries, and refuses them in upstream's words", () => {
    const of = (text: string) => parseLogQuery(new URLSearchParams(text));
    expect(of("query=kubelet&query=containerd&tailLines=10&boot=-1").query).toEqual({
      services: ["kubelet", "containerd"],
      files: [],
      tailLines: 10,
      boot: -1,
    });
    const refusals = (text: string) => [...of(text).malformed, ...of(text).refused].map((e) => e.message);
    expect(refusals("query=%20")).toEqual(['query: Invalid value: [" "]: query cannot be empty']);
    expect(refusals("query=a;b")).toEqual(['query: Invalid value: "a;b": input contains unsupported characters']);
    expect(refusals("query=/a.log&query=b")).toEqual(['query: Invalid value: "[/a.log], [b]": cannot specify a file and service']);
    expect(refusals("query=/a&tailLines=3")).toHaveLength(1);
    expect(refusals("query=a&tailLines=100001")).toEqual(["tailLines: Invalid value: 100001: must be between 0 and 100000, inclusive"]);
    expect(refusals("query=a&boot=1")).toEqual(["boot: Invalid value: 1: must be less than 1"]);
    expect(refusals("query=a&sinceTime=yesterday")).toEqual(['sinceTime: Invalid value: "yesterday": invalid time format']);
    expect(refusals("query=a&query=b&query=c&query=d&query=e")).toHaveLength(1);
  });

  it("serves files and directories of the logs, nothing outside, and services' files by their names", async () => {
    const root = await mkdtemp(join(tmpdir(), "coracle-node-logs-"));
    try {
      const directory = join(root, "log");
      await mkdir(join(directory, "app"), { recursive: true });
      await writeFile(join(root, "secret"), "secret");
      await writeFile(join(directory, "kern.log"), "kernel");
      await writeFile(join(directory, "app", "app.log"), "application");
      await symlink("../secret", join(directory, "out"));
      const route: Route = {
        path: "/logs",
        answer: (call) => answerNodeLogs(call, { clock: f.clock, withQuery: true, directory, journal: "/no/journal" }),
      };
      await using f = await startServerFixture({
        options: { ...everything, enableSystemLogHandler: true },
        routes: [{ ...route, path: "/test-logs" }],
      });
      const ask = (path: string) => f.ask(`/test-logs${path}`, { as: ["a", "g"] });
      expect(await ask("/kern.log")).toMatchObject({ status: 200, text: "kernel" });
      expect((await ask("/")).text).toContain('<a href="app/">app/</a>\n<a href="kern.log">kern.log</a>');
      expect(await ask("/app")).toMatchObject({ status: 301, headers: { location: "app/" } });
      for (const path of ["/out", "/..%2fsecret", "/nothing", "/%2e%2e/secret"]) expect((await ask(path)).status).toBe(404);
      expect((await ask("/?query=app")).text).toBe("application");
      expect((await ask("/?query=/kern.log")).text).toBe("kernel");
      expect((await ask("/?query=nosuch")).text).toBe("\nlog not found for nosuch\n");
      expect((await ask("/?query=app&tailLines=3")).text).toContain("options present and query resolved to log files for [app]");
      expect((await ask("/?query=a;b")).status).toBe(406);
      expect((await ask("/?query=a&boot=x")).status).toBe(400);
    } finally {
      await rm(root, { recursive: true });
    }
  });
});

describe("the kubelet's server: its port", () => {
  it("is any that is free where the one wanted is taken and another will do", async () => {
    await using first = await startServerFixture({ options: { ...everything, port: await freePort(), orAnyPort: true } });
    await using second = await startServerFixture({ options: { ...everything, port: first.port, orAnyPort: true } });
    expect(second.port).not.toBe(first.port);
    expect(await second.ask("/healthz", { as: ["alice", "g"] })).toMatchObject({ status: 200 });
    await expect(startServerFixture({ options: { port: first.port } })).rejects.toThrow(/cannot listen on 127\.0\.0\.1/);
  });
});

describe("the kubelet's server: what it counts", () => {
  it("counts requests by path, and what the API server was asked about callers", async () => {
    const metrics = new ServerMetrics(new VirtualClock());
    await using f = await startServerFixture({ tokens: { t: "alice" }, allowed: ["alice get nodes/pods"], metrics });
    await f.ask("/pods", { token: "t" });
    await f.ask("/pods/", { token: "t" });
    await f.ask("/no/such/path", { token: "t", method: "PATCH" });
    await f.ask("/metrics/cadvisor");
    const text = metrics.registry.text();
    const labels = (method: string, path: string): string =>
      `{method="${method}",path="${path}",server_type="readwrite",long_running="false"}`;
    await expect.poll(() => metrics.registry.text()).toContain(`kubelet_http_requests_duration_seconds_count${labels("GET", "pods")} 2`);
    expect(text).toContain(`kubelet_http_requests_total${labels("GET", "pods")} 2\n`);
    expect(text).toContain(`kubelet_http_requests_total${labels("other", "other")} 1\n`);
    expect(text).toContain(`kubelet_http_requests_total${labels("GET", "metrics/cadvisor")} 1\n`);
    expect(text).toContain('apiserver_delegated_authn_request_total{code="201"} 1\n');
    expect(text).toContain('authentication_token_cache_request_total{status="hit"} 2\n');
    expect(text).toContain('authentication_token_cache_request_total{status="miss"} 1\n');
    expect(text).toContain('authentication_token_cache_active_fetch_count{status="in_flight"} 0\n');
    expect(text).toMatch(/^apiserver_delegated_authz_request_duration_seconds_count\{code="201"\} [23]$/m);
  });

  it("counts what comes by the port that asks nobody who they are apart", async () => {
    const metrics = new ServerMetrics(new VirtualClock());
    const readOnlyPort = await freePort();
    await using f = await startServerFixture({ options: { readOnlyPort }, metrics });
    await f.askPlain(readOnlyPort, "/healthz");
    expect(metrics.registry.text()).toContain('path="healthz",server_type="readonly",long_running="false"} 1');
  });
});
