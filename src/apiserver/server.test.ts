import { describe, expect, it } from "vitest";
import { forbidden, tooManyRequests } from "../api/meta/status-error.ts";
import { builtInResources } from "../api/resources.generated.ts";
import { VirtualClock } from "../base/clock.ts";
import { createLogger, silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import type { UserInfo } from "./authn/user.ts";
import { createDiscovery } from "./discovery/discovery.ts";
import { createHealth } from "./health.ts";
import { createEndpoints, fixedEndpoints, producing } from "./http/endpoints.ts";
import { createRequestMetrics } from "./http/request-metrics.ts";
import { createInProcessTransport } from "./in-process-transport.ts";
import { createOpenApi } from "./openapi/openapi.ts";
import type { ApiResponse, Handler, RequestContext, Stage, WatchStreamEvent } from "./request.ts";
import { type ApiServerDeps, createApiServer } from "./server.ts";

const alice: UserInfo = { name: "alice", groups: ["g"] };
const through: Stage = (context, next) => next(context);
const trusting: Stage = (context, next) => {
  context.user = context.request.trustedUser ?? context.user;
  return next(context);
};

function setUp(resources: Handler, more: Partial<ApiServerDeps> = {}) {
  const clock = new VirtualClock();
  const registry = new MetricsRegistry();
  let broken = false;
  const sources = [
    createDiscovery({ resources: () => builtInResources, serverAddress: () => "10.0.0.1:6443" }),
    createHealth(
      [
        { name: "ping", check: () => undefined },
        {
          name: "etcd",
          check() {
            if (broken) throw new Error("disk full");
          },
        },
        { name: "shutdown", check: () => undefined, readinessOnly: true },
      ],
      { clock, logger: silentLogger },
    ),
    createOpenApi(() => builtInResources),
    fixedEndpoints({ "/version": producing("application/json", async () => ({ kind: "object", status: 200, object: { major: "1" } })) }),
  ];
  const api = createApiServer({
    authentication: trusting,
    impersonation: through,
    flowControl: through,
    authorization: through,
    resources,
    endpoints: createEndpoints(sources),
    metrics: createRequestMetrics(registry),
    clock,
    logger: silentLogger,
    ...more,
  });
  const transport = createInProcessTransport(api, alice, clock);
  const get = (path: string, accept?: string) => {
    const [bare = "", query] = path.split("?");
    return transport.request({
      method: "GET",
      path: bare,
      ...(query === undefined ? {} : { query: Object.fromEntries(new URLSearchParams(query)) }),
      ...(accept === undefined ? {} : { accept }),
    });
  };
  return {
    api,
    clock,
    registry,
    transport,
    get,
    breakStore: () => {
      broken = true;
    },
  };
}

const ok: Handler = async () => ({ kind: "object", status: 200, object: {} });

describe("createApiServer()", () => {
  it("passes the stages in upstream's order and shares bodies by reference", async () => {
    const seen: string[] = [];
    const note =
      (name: string): Stage =>
      (context, next) => {
        seen.push(`${name} ${context.info.verb}`);
        return next(context);
      };
    const body = { kind: "Pod" };
    let received: unknown;
    const { transport } = setUp(
      async ({ request }: RequestContext) => {
        received = request.body.kind === "value" ? request.body.value : undefined;
        return { kind: "object", status: 201, object: body };
      },
      { authentication: note("authentication"), impersonation: note("impersonation"), authorization: note("authorization") },
    );
    const answer = await transport.request({ method: "POST", path: "/api/v1/namespaces/n/pods", body });
    expect(seen).toEqual(["authentication create", "impersonation create", "authorization create"]);
    expect(received).toBe(body);
    expect(answer).toEqual({ status: 201, body, warnings: [] });
    expect(answer.body).toBe(body);
  });

  it("answers thrown Statuses as they are and defects with 500, which it logs", async () => {
    const lines: string[] = [];
    const logger = createLogger("test", { write: (line) => lines.push(line) });
    const failing = setUp(
      async ({ info }) => {
        if (info.name === "a") throw forbidden({ group: "", resource: "pods" }, "a", "no");
        throw new TypeError("x is undefined");
      },
      { logger },
    );
    expect(await failing.get("/api/v1/namespaces/n/pods/a")).toMatchObject({ status: 403, body: { reason: "Forbidden" } });
    expect(lines).toEqual([]);
    expect(await failing.get("/api/v1/namespaces/n/pods/b")).toMatchObject({
      status: 500,
      body: { kind: "Status", reason: "InternalError", message: "Internal error occurred: x is undefined" },
    });
    expect(lines.join("")).toMatch(/path="\/api\/v1\/namespaces\/n\/pods\/b".*TypeError/);
    const headers = { "audit-id": "i".repeat(10_000) };
    const request = { method: "GET", path: "/api/v1/namespaces/n/pods/c", query: new URLSearchParams(), headers, headerLines: () => [] };
    await failing.api.handle({ ...request, body: { kind: "none" }, signal: new AbortController().signal, remoteAddress: "" });
    expect(lines.at(-1)).toMatch(/auditId="i{64}"/);
  });

  it("says when to come back", async () => {
    const { api } = setUp(() => Promise.reject(tooManyRequests("slow down", 7)));
    const request = { method: "GET", path: "/api/v1/pods", query: new URLSearchParams(), headers: {}, headerLines: () => [] };
    const { response } = await api.handle({ ...request, body: { kind: "none" }, signal: new AbortController().signal, remoteAddress: "" });
    expect(response).toMatchObject({ status: 429, headers: { "Retry-After": "7" } });
  });

  it("ends what takes too long with 504 and aborts it, but not a watch", async () => {
    const signals: AbortSignal[] = [];
    const { transport, clock } = setUp(({ request }) => {
      signals.push(request.signal);
      return new Promise<ApiResponse>(() => undefined);
    });
    const slow = transport.request({ method: "GET", path: "/api/v1/pods", timeoutMs: 1_000_000 });
    const slower = transport.request({ method: "GET", path: "/api/v1/pods", query: { timeout: "1m30s" }, timeoutMs: 1_000_000 });
    const quick = transport.request({ method: "GET", path: "/api/v1/pods", query: { timeout: "2s" }, timeoutMs: 1_000_000 });
    const watch = transport.watch({ method: "GET", path: "/api/v1/pods", timeoutMs: 70_000 });
    watch.catch(() => undefined);
    await clock.advance(2000);
    expect(await quick).toMatchObject({ status: 504, body: { reason: "Timeout" } });
    await clock.advance(58_000);
    expect((await slow).status).toBe(504);
    expect((await slower).status).toBe(504);
    expect(signals.map((s) => s.aborted)).toEqual([true, true, true, false]);
    await clock.advance(10_000);
    await expect(watch).rejects.toThrow(/no answer in 70000 ms/);
    for (const [path, problem] of [
      ["/api/v1/pods?timeout=soon", 'time: invalid duration "soon"'],
      ["/version?timeout=5", 'time: missing unit in duration "5"'],
      ["/version?timeout=3000000h", 'time: invalid duration "3000000h"'],
      ["/version?timeout=1m5x", 'time: unknown unit "x" in duration "1m5x"'],
    ]) {
      const { status, body } = await setUp(ok).get(path ?? "");
      expect([status, (body as { message: string }).message]).toEqual([400, `invalid timeout specified in the request URL - ${problem}`]);
    }
  });

  it("counts requests under upstream's metric names", async () => {
    const { get, registry } = setUp(async (context) => {
      context.isRouted = context.info.resource === "deployments";
      return ok(context);
    });
    await get("/apis/apps/v1/namespaces/n/deployments/d");
    await get("/apis/apps/v1/namespaces/n/deployments");
    await get("/apis/apps/v1/namespaces/n/nothings");
    await get("/version");
    expect(registry.text()).not.toMatch(/nothings|version=""/);
    expect(registry.text()).toContain(
      'apiserver_request_total{code="200",component="apiserver",dry_run="",group="apps",resource="deployments",scope="resource",subresource="",verb="GET",version="v1"} 1',
    );
    expect(registry.text()).toContain('scope="namespace",subresource="",verb="LIST",version="v1"} 1');
    expect(registry.text()).toContain(
      'apiserver_request_sli_duration_seconds_count{component="apiserver",group="apps",resource="deployments"',
    );
  });
});

describe("createInProcessTransport()", () => {
  const event: WatchStreamEvent = { type: "ADDED", object: { n: 1 }, bytes: () => new Uint8Array() };

  it("hands over watch batches by reference and closes the watch when the reader leaves", async () => {
    let closed = 0;
    const batch = [event];
    const { transport } = setUp(async ({ info, user }) => {
      expect([info.verb, user]).toEqual(["watch", alice]);
      return {
        kind: "watch",
        stream: {
          batches: (async function* () {
            for (;;) yield batch;
          })(),
          close: () => {
            closed++;
          },
        },
      };
    });
    for await (const received of await transport.watch({ method: "GET", path: "/api/v1/pods" })) {
      expect(received).toBe(batch);
      break;
    }
    expect(closed).toBeGreaterThan(0);
  });

  it("throws the Status a watch is refused with", async () => {
    const { transport } = setUp(() => Promise.reject(forbidden({ group: "", resource: "pods" }, "", "no")));
    await expect(transport.watch({ method: "GET", path: "/api/v1/pods" })).rejects.toMatchObject({ reason: "Forbidden" });
  });

  it("rejects when the caller gives up, and after it was closed", async () => {
    const { transport } = setUp(() => new Promise<ApiResponse>(() => undefined));
    const stop = new AbortController();
    const asked = transport.request({ method: "GET", path: "/api/v1/pods", signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(asked).rejects.toThrow("enough");
    await transport.close();
    await expect(transport.request({ method: "GET", path: "/api/v1/pods" })).rejects.toThrow(/closed/);
  });
});

describe("discovery", () => {
  const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

  it("lists groups, versions and resources", async () => {
    const { get } = setUp(ok);
    expect((await get("/api")).body).toMatchObject({ kind: "APIVersions", versions: ["v1"] });
    expect((await get("/apis/autoscaling/")).body).toMatchObject({
      preferredVersion: { version: "v2" },
      versions: [{}, { version: "v1" }],
    });
    const { resources } = (await get("/apis/apps/v1")).body as { resources: { name: string }[] };
    expect(resources.map((r) => r.name).slice(3, 6)).toEqual(["deployments", "deployments/scale", "deployments/status"]);
    expect((await get("/apis/apps/v9")).body).toMatchObject({ reason: "NotFound" });
    expect(await get("/apis/nope.example.com")).toMatchObject({ status: 404, body: "404 page not found\n" });
  });

  it("answers everything at once to those who ask, and 304 to those who have it", async () => {
    const { api, get } = setUp(ok);
    const { body } = await get("/apis", `${aggregated},application/json`);
    expect(body).toMatchObject({ kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2" });
    expect((await get("/apis", aggregated.replace("v2", "v2beta1").concat(",application/json"))).body).toMatchObject({
      kind: "APIGroupList",
    });
    expect((await get("/apis", aggregated.replace("v2", "v9"))).status).toBe(406);
    const ask = (headers: Record<string, string>) =>
      api.handle({
        method: "GET",
        path: "/apis",
        query: new URLSearchParams(),
        headers,
        headerLines: () => [],
        body: { kind: "none" },
        signal: new AbortController().signal,
        remoteAddress: "",
      });
    const first = (await ask({ accept: aggregated })).response as Extract<ApiResponse, { kind: "bytes" }>;
    expect(first.contentType).toBe(aggregated);
    const again = await ask({ accept: aggregated, "if-none-match": first.headers?.ETag ?? "" });
    expect(again.response).toMatchObject({ status: 304 });
  });
});

describe("health", () => {
  it("says ok, or which checks failed without the reason", async () => {
    const { get, breakStore } = setUp(ok);
    expect((await get("/readyz")).body).toBe("ok");
    expect((await get("/livez?verbose=")).body).toBe("[+]ping ok\n[+]etcd ok\nlivez check passed\n");
    expect((await get("/livez/shutdown")).status).toBe(404);
    expect((await get("/readyz/shutdown")).body).toBe("ok");
    breakStore();
    expect(await get("/livez")).toMatchObject({ status: 500, body: "[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed\n" });
    expect((await get("/livez?exclude=etcd")).body).toBe("ok");
    expect((await get("/livez?verbose=&exclude=nope&exclude=etcd")).status).toBe(200);
    expect((await get("/livez/etcd")).body).toBe("internal server error: disk full\n");
  });
});

describe("OpenAPI", () => {
  type Document = {
    components: { schemas: Record<string, { properties: Record<string, unknown>; required?: string[] }> };
    paths: Record<string, Record<string, { operationId: string; parameters: { name: string }[] }>>;
  };

  it("has an index whose links lead to the documents", async () => {
    const { get } = setUp(ok);
    const index = String((await get("/openapi/v3")).body);
    const { paths } = JSON.parse(index) as { paths: Record<string, { serverRelativeURL: string }> };
    expect(Object.keys(paths)).toEqual(expect.arrayContaining(["api", "api/v1", "apis/apps", "apis/apps/v1", "version"]));
    const url = paths["apis/apps/v1"]?.serverRelativeURL ?? "";
    expect(await get(url)).toMatchObject({ status: 200 });
    expect((await get("/openapi/v3/apis/apps/v1?hash=old")).status).toBe(301);
    expect((await get("/openapi/v3/apis/nope/v1")).status).toBe(404);
  });

  it("describes fields as clients that merge and validate need them", async () => {
    const { get } = setUp(ok);
    const { components, paths } = (await get("/openapi/v3/api/v1")).body as Document;
    const spec = components.schemas["io.k8s.api.core.v1.PodSpec"];
    expect(spec?.required).toEqual(["containers"]);
    expect(spec?.properties.containers).toMatchObject({
      type: "array",
      items: { $ref: "#/components/schemas/io.k8s.api.core.v1.Container" },
      "x-kubernetes-list-map-keys": ["name"],
      "x-kubernetes-list-type": "map",
      "x-kubernetes-patch-merge-key": "name",
      "x-kubernetes-patch-strategy": "merge",
    });
    expect(components.schemas["io.k8s.api.core.v1.Pod"]).toMatchObject({
      "x-kubernetes-group-version-kind": [{ group: "", version: "v1", kind: "Pod" }],
    });
    const patch = paths["/api/v1/namespaces/{namespace}/pods/{name}"]?.patch;
    expect(patch?.operationId).toBe("patchCoreV1NamespacedPod");
    expect(patch?.parameters.map((p) => p.name)).toContain("fieldValidation");
  });

  it("refers only to models it contains, in both versions", async () => {
    const { get } = setUp(ok);
    for (const path of ["/openapi/v2", "/openapi/v3/api/v1", "/openapi/v3/apis/apiextensions.k8s.io/v1"]) {
      const { body } = await get(path);
      const document = body as { definitions?: object; components?: { schemas: object } };
      const models = new Set(Object.keys(document.definitions ?? document.components?.schemas ?? {}));
      const referred = [...JSON.stringify(body).matchAll(/"\$ref":"#\/(?:definitions|components\/schemas)\/([^"]+)"/g)].map(
        (m) => m[1] ?? "",
      );
      expect(referred.length).toBeGreaterThan(100);
      expect(referred.filter((name) => !models.has(name))).toEqual([]);
    }
  });

  it("gives every operation an id of its own", async () => {
    const { body } = await setUp(ok).get("/openapi/v2");
    const { paths } = body as { paths: Record<string, Record<string, { operationId?: string }>> };
    const ids = Object.values(paths).flatMap((p) => Object.values(p).flatMap((o) => o.operationId ?? []));
    expect(ids.length).toBeGreaterThan(400);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
  });
});
