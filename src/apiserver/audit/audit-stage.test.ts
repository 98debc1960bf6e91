import { describe, expect, it } from "vitest";
import { unauthorized } from "../../api/meta/status-error.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import type { UserInfo } from "../authn/user.ts";
import { authorizationStage } from "../authz/authorization-stage.ts";
import { createEndpoints } from "../http/endpoints.ts";
import { createRequestMetrics } from "../http/request-metrics.ts";
import { noteDuration } from "../http/stage-durations.ts";
import { builtInDefinitions } from "../registry/definitions.ts";
import { createFixture } from "../registry/request-fixture.ts";
import { describedResources } from "../registry/resources/all.ts";
import type { ApiRequest, Handler, Stage } from "../request.ts";
import { createApiServer } from "../server.ts";
import { blockingBackend } from "./audit-backend.ts";
import type { AuditEvent } from "./audit-event.ts";
import { parseAuditPolicy } from "./audit-policy.ts";
import { createAuditStages } from "./audit-stage.ts";

const jane: UserInfo = { name: "jane", groups: ["devs"] };
const through: Stage = (context, next) => next(context);

async function setUp(rules: string, options: { strict?: boolean; broken?: boolean } = {}) {
  const fixture = createFixture({ definitions: builtInDefinitions(describedResources) });
  const clock = new VirtualClock();
  const metrics = new MetricsRegistry();
  const events: AuditEvent[] = [];
  const policy = await parseAuditPolicy(`{apiVersion: audit.k8s.io/v1, kind: Policy, rules: ${rules}}`);
  const backend = {
    write(batch: readonly AuditEvent[]) {
      if (options.broken) throw new Error("disk full");
      // As back ends do: later changes do not count.
      events.push(...(JSON.parse(JSON.stringify(batch)) as AuditEvent[]));
    },
    stop: async () => undefined,
  };
  const slowly: Handler = (context) => {
    for (const ms of [200, 300]) {
      noteDuration(context, "mutating-webhook", ms);
      noteDuration(context, "validating-webhook", ms);
    }
    return fixture.handler(context);
  };
  const api = createApiServer({
    authentication(context, next) {
      if (context.request.headers.authorization === "Bearer wrong") throw unauthorized();
      context.user = jane;
      return next(context);
    },
    audit: createAuditStages({
      policy,
      backend: blockingBackend(
        { next: backend, logger: silentLogger, errors: metrics.counter("lost", "").series() },
        { strict: options.strict ?? false },
      ),
      clock,
      metrics,
    }),
    impersonation: through,
    flowControl: through,
    authorization: authorizationStage({
      authorize: ({ resource }) =>
        resource === "secrets" ? { decision: "no-opinion", reason: "not secrets" } : { decision: "allow", reason: "RBAC: allowed" },
    }),
    resources: (context) => {
      if (context.info.resource === "nodes") throw new Error("broken");
      if (context.info.resource === "services") return clock.advance(700).then(() => slowly(context));
      return fixture.handler(context);
    },
    endpoints: createEndpoints([]),
    metrics: createRequestMetrics(new MetricsRegistry()),
    clock,
    logger: silentLogger,
  });
  const ask = (method: string, url: string, body?: unknown, headers: Record<string, string> = {}) => {
    const [path = "", query] = url.split("?");
    const request: ApiRequest = {
      method,
      path,
      query: new URLSearchParams(query),
      headers: { "user-agent": "test", "audit-id": "id-1", ...headers },
      headerLines: () => [],
      body: body === undefined ? { kind: "none" } : { kind: "value", value: body },
      signal: new AbortController().signal,
      remoteAddress: "10.0.0.7",
    };
    return api.handle(request);
  };
  return { ask, events, metrics, clock, stop: () => fixture.stop() };
}

const stagesOf = (events: readonly AuditEvent[]): string[] => events.map(({ stage }) => stage);
const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" }, data: { a: "b" } };
const path = "/api/v1/namespaces/default/configmaps";

describe("createAuditStages()", () => {
  it("tells how long a slow request took, and whom it waited for", async () => {
    const { ask, events, stop } = await setUp("[{level: Metadata}]");
    await ask("GET", "/api/v1/namespaces/default/services");
    await ask("GET", path);
    const durations = events.map(({ annotations = {} }) => Object.entries(annotations).filter(([key]) => key.includes("latency")));
    expect(durations).toEqual([
      [],
      [
        ["apiserver.latency.k8s.io/mutating-webhook", "500ms"],
        ["apiserver.latency.k8s.io/validating-webhook", "300ms"],
        ["apiserver.latency.k8s.io/total", "700ms"],
      ],
      [],
      [],
    ]);
    await stop();
  });

  it("records metadata alone, with the decision of authorization", async () => {
    const { ask, events, stop } = await setUp("[{level: Metadata}]");
    await ask("POST", `${path}?fieldManager=me`, configMap, { "x-forwarded-for": "192.0.2.1, bad host" });
    expect(stagesOf(events)).toEqual(["RequestReceived", "ResponseComplete"]);
    expect(events[0]).not.toHaveProperty("responseStatus");
    expect(events[1]).toEqual({
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level: "Metadata",
      auditID: "id-1",
      stage: "ResponseComplete",
      requestURI: `${path}?fieldManager=me`,
      verb: "create",
      user: { username: "jane", groups: ["devs"] },
      sourceIPs: ["192.0.2.1", "10.0.0.7"],
      userAgent: "test",
      objectRef: { name: "c", resource: "configmaps", namespace: "default", apiVersion: "v1" },
      responseStatus: { metadata: {}, code: 201 },
      requestReceivedTimestamp: "2026-01-01T00:00:00.000000Z",
      stageTimestamp: "2026-01-01T00:00:00.000000Z",
      annotations: { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed" },
    });
    await stop();
  });

  it("adds what was sent and what was answered, without managed fields where told so", async () => {
    const { ask, events, stop } = await setUp("[{level: RequestResponse, omitStages: [RequestReceived], omitManagedFields: true}]");
    await ask("POST", path, configMap);
    expect(events[0]?.objectRef).toMatchObject({ name: "c" });
    expect(events[0]?.requestObject).toMatchObject({ kind: "ConfigMap", data: { a: "b" } });
    expect(events[0]?.responseObject).toMatchObject({ kind: "ConfigMap", metadata: { name: "c", namespace: "default" } });
    expect(events[0]?.responseObject).not.toHaveProperty("metadata.managedFields");
    await ask("PATCH", `${path}/c`, { data: { a: "c" } }, { "content-type": "application/merge-patch+json" });
    expect(events[1]?.requestObject).toEqual({ data: { a: "c" } });
    await ask("GET", path);
    expect(events[2]?.responseObject).toMatchObject({ kind: "ConfigMapList", items: [{ data: { a: "c" } }] });
    await ask("DELETE", `${path}/c`, { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Background" });
    expect(events[3]?.requestObject).toMatchObject({ propagationPolicy: "Background" });
    expect(events[3]?.responseStatus).toMatchObject({ status: "Success", code: 200 });
    await stop();
  });

  it("records no objects where the level is lower, nor anything where no rule matches", async () => {
    const { ask, events, metrics, stop } = await setUp("[{level: Request, verbs: [create], omitStages: [RequestReceived]}]");
    await ask("POST", path, configMap);
    await ask("GET", `${path}/c`);
    expect(events).toHaveLength(1);
    expect(events[0]).toHaveProperty("requestObject");
    expect(events[0]).not.toHaveProperty("responseObject");
    expect(metrics.text()).toContain("apiserver_audit_event_total 1");
    expect(metrics.text()).toContain('apiserver_audit_level_total{level="None"} 1');
    await stop();
  });

  it("records refusals with their Status, and failed authentication without a user", async () => {
    const { ask, events, stop } = await setUp("[{level: Metadata, omitStages: [RequestReceived]}]");
    await ask("GET", "/api/v1/secrets");
    expect(events[0]).toMatchObject({
      stage: "ResponseComplete",
      responseStatus: { status: "Failure", reason: "Forbidden", code: 403 },
      annotations: { "authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": "not secrets" },
    });
    await ask("GET", `${path}/none`);
    expect(events[1]?.responseStatus).toMatchObject({ reason: "NotFound", code: 404 });
    await ask("GET", path, undefined, { authorization: "Bearer wrong" });
    expect(events[2]).toMatchObject({
      stage: "ResponseStarted",
      user: {},
      responseStatus: { message: "Unauthorized", reason: "Unauthorized", status: "Failure", code: 401 },
    });
    await stop();
  });

  it("does not take nobody for a user without a name", async () => {
    const { ask, events, stop } = await setUp('[{level: None, users: [""]}, {level: Metadata, omitStages: [RequestReceived]}]');
    await ask("GET", path, undefined, { authorization: "Bearer wrong" });
    expect(events).toHaveLength(1);
    await stop();
  });

  it("leaves managed fields out of a table's rows, and what things are in lists of metadata", async () => {
    const { ask, events, stop } = await setUp("[{level: RequestResponse, omitStages: [RequestReceived], omitManagedFields: true}]");
    await ask("POST", path, configMap);
    const as = (kind: string) => ({ accept: `application/json;as=${kind};v=v1;g=meta.k8s.io` });
    await ask("GET", path, undefined, as("Table"));
    expect(events[1]).toHaveProperty(["responseObject", "rows", 0, "object", "metadata", "name"], "c");
    expect(events[1]).not.toHaveProperty(["responseObject", "rows", 0, "object", "metadata", "managedFields"]);
    await ask("GET", path, undefined, as("PartialObjectMetadataList"));
    expect(events[2]?.responseObject).toMatchObject({ items: [{ kind: "PartialObjectMetadata", metadata: { name: "c" } }] });
    await stop();
  });

  it("tells addresses from what looks like them, and cuts long user agents", async () => {
    const { ask, events, stop } = await setUp("[{level: Metadata, omitStages: [RequestReceived]}]");
    const agent = "a".repeat(1030);
    await ask("GET", path, undefined, { "user-agent": agent, "x-forwarded-for": "10.1.2.3,bad, ::1", "x-real-ip": "10.1.2.3" });
    expect(events[0]?.sourceIPs).toEqual(["10.1.2.3", "::1", "10.0.0.7"]);
    expect(events[0]?.userAgent).toBe(`${"a".repeat(1024)}...TRUNCATED`);
    await stop();
  });

  it("records a watch when it begins and when it has ended", async () => {
    const { ask, events, stop } = await setUp("[{level: Metadata}]");
    const { response } = await ask("GET", `${path}?watch=1&resourceVersion=0`);
    expect(stagesOf(events)).toEqual(["RequestReceived", "ResponseStarted"]);
    if (response.kind !== "watch") throw new Error("no watch");
    const reading = (async () => {
      for await (const _batch of response.stream.batches);
    })();
    response.stream.close();
    await reading;
    expect(stagesOf(events)).toEqual(["RequestReceived", "ResponseStarted", "ResponseComplete"]);
    const unread = await ask("GET", `${path}?watch=1&resourceVersion=0`);
    if (unread.response.kind === "watch") unread.response.stream.close();
    await Promise.resolve();
    expect(stagesOf(events).slice(3)).toEqual(["RequestReceived", "ResponseStarted", "ResponseComplete"]);
    await stop();
  });

  it("records the refusal of a long-running request when it begins, too", async () => {
    const { ask, events, stop } = await setUp("[{level: Metadata}]");
    const { response } = await ask("GET", `${path}?watch=1&sendInitialEvents=true`);
    expect(stagesOf(events)).toEqual(["RequestReceived", "ResponseStarted", "ResponseComplete"]);
    expect(response).toMatchObject({ status: 422 });
    for (const event of events.slice(1)) expect(event.responseStatus).toMatchObject({ code: 422, reason: "Invalid" });
    await stop();
  });

  it("says that what was asked for is deprecated", async () => {
    const { ask, events, stop } = await setUp("[{level: Metadata, omitStages: [RequestReceived]}]");
    await ask("GET", "/api/v1/namespaces/default/endpoints");
    await ask("GET", path);
    expect(events[0]?.annotations).toMatchObject({ "k8s.io/deprecated": "true" });
    expect(events[1]?.annotations).not.toHaveProperty(["k8s.io/deprecated"]);
    await stop();
  });

  it("records a defect as Panic", async () => {
    const { ask, events, stop } = await setUp("[{level: Metadata}]");
    expect((await ask("GET", "/api/v1/nodes/n")).response).toMatchObject({ status: 500 });
    expect(stagesOf(events)).toEqual(["RequestReceived", "Panic"]);
    expect(events[1]?.responseStatus).toMatchObject({ code: 500, reason: "InternalError", message: "APIServer panic'd: broken" });
    await stop();
  });

  it("serves requests whose events are lost, unless it is to be strict", async () => {
    const lenient = await setUp("[{level: Metadata}]", { broken: true });
    expect((await lenient.ask("GET", path)).response).toMatchObject({ status: 200 });
    await lenient.stop();
    const strict = await setUp("[{level: Metadata}]", { broken: true, strict: true });
    const { response } = await strict.ask("GET", `${path}?limit=1`);
    if (response.kind !== "bytes") throw new Error("no text");
    expect([response.status, Buffer.from(response.bytes).toString()]).toEqual([
      500,
      `Internal Server Error: "${path}?limit=1": failed to store audit event\n`,
    ]);
    expect(strict.metrics.text()).toContain("lost 1");
    expect(strict.metrics.text()).toContain("apiserver_audit_requests_rejected_total 1");
    await strict.stop();
  });
});
