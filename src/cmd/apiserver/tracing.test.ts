// An API server whose requests go to a collector of traces.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startWebhookServer } from "../../apiserver/webhook/webhook-server-fixture.ts";
import type { Running } from "../../base/lifecycle.ts";
import { type ExportTraceServiceRequest, traceServiceV1 } from "../../rpc/otlp.ts";
import { serveRpc } from "../../rpc/server.ts";
import { ApiServerFixture, call } from "./apiserver-fixture.ts";
import type { RunningApiServer } from "./start-apiserver.ts";

interface Seen {
  readonly name: string;
  readonly kind: number;
  readonly trace: string;
  readonly id: string;
  readonly parent: string;
  readonly links: readonly string[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly failed: boolean;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const spans: Seen[] = [];
const resources: unknown[] = [];
let f: ApiServerFixture;
let collector: Running;
let server: RunningApiServer;

beforeAll(async () => {
  f = await ApiServerFixture.create();
  const endpoint = `unix://${join(f.directory, "otlp.sock")}`;
  const handlers = {
    export: async ({ resourceSpans }: ExportTraceServiceRequest) => {
      const values = (of: ExportTraceServiceRequest["resourceSpans"][0]["resource"]["attributes"]): Readonly<Record<string, unknown>> =>
        Object.fromEntries(of.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));
      for (const { resource, scopeSpans } of resourceSpans) {
        resources.push(values(resource.attributes));
        for (const span of scopeSpans.flatMap((scope) => scope.spans))
          spans.push({
            ...{ name: span.name, kind: span.kind, trace: hex(span.traceId), id: hex(span.spanId), parent: hex(span.parentSpanId) },
            ...{
              links: span.links.map(({ traceId }) => hex(traceId)),
              attributes: values(span.attributes),
              failed: span.status?.code === 2,
            },
          });
      }
      return {};
    },
  };
  collector = await serveRpc({ endpoint, services: [{ protocol: traceServiceV1, service: "TraceService", handlers }] });
  const file = await f.file(
    "tracing.yaml",
    `apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: ${endpoint}\nsamplingRatePerMillion: 0\n`,
  );
  const users = await f.file("users.csv", 'T,admin,1,"system:masters"\nU,user,2,"dev"\n');
  server = await f.start("--token-auth-file", users, "--tracing-config-file", file, "--disable-admission-plugins=ServiceAccount");
});
afterAll(async () => {
  await f[Symbol.asyncDispose]();
  await collector.stop();
});

const traceId = (n: number): string => n.toString(16).padStart(32, "0");
const caller = "00f067aa0ba902b7";
const traceparent = (n: number, flags = "01") => ({ traceparent: `00-${traceId(n)}-${caller}-${flags}` });

/** The spans of a trace, once the request's own has come. */
async function traceOf(n: number, root: string): Promise<readonly Seen[]> {
  await vi.waitFor(() => expect(spans.filter(({ trace }) => trace === traceId(n)).map(({ name }) => name)).toContain(root), {
    timeout: 60_000,
  });
  return spans.filter(({ trace }) => trace === traceId(n));
}

/** From the request inwards, where each has but one within it. */
function chainOf(all: readonly Seen[]): readonly string[] {
  const names: string[] = [];
  for (let parent = caller; ; ) {
    const within = all.find((span) => span.parent === parent);
    if (!within) return names;
    names.push(within.name);
    parent = within.id;
  }
}

describe("requests that are part of a trace", () => {
  test("are spans with their stages, what is done with the resource, and the store", async () => {
    const created = await call(server, "/api/v1/namespaces/default/configmaps", {
      ...{ method: "POST", token: "T", headers: traceparent(1), body: { metadata: { name: "c" } } },
    });
    expect(created.status).toBe(201);
    const root = "POST /api/v1/namespaces/{:namespace}/configmaps";
    const all = await traceOf(1, root);
    expect(chainOf(all)).toEqual([root, "constrainedimpersonation", "priorityandfairness", "authorization", "Create", "Txn memory"]);
    const [request] = all.filter(({ name }) => name === root);
    expect(request).toMatchObject({ kind: 2, failed: false });
    expect(request?.attributes).toMatchObject({
      "http.request.method": "POST",
      "http.target": "/api/v1/namespaces/default/configmaps",
      "http.response.status_code": 201,
      "http.request.body.size": 25,
      "audit-id": created.headers["audit-id"],
      "server.port": server.port,
      "network.protocol.version": "1.1",
    });
    expect(all.find(({ name }) => name === "Create")?.attributes).toMatchObject({
      verb: "POST",
      resource: "configmaps",
      namespace: "default",
    });
    expect(all.find(({ name }) => name === "Txn memory")?.attributes).toEqual({ key: "/registry/configmaps/default/c" });
    expect(resources[0]).toEqual({ "service.name": "apiserver", "service.instance.id": expect.stringMatching(/^apiserver-[a-z2-7]{26}$/) });
    await call(server, "/version", { token: "T", headers: traceparent(2) });
    expect(chainOf(await traceOf(2, "GET"))).toEqual(["GET", "constrainedimpersonation", "priorityandfairness", "authorization"]);
    await call(server, "/api/v1/namespaces/default/configmaps/none", { token: "T", headers: traceparent(3) });
    const missing = await traceOf(3, "GET /api/v1/namespaces/{:namespace}/configmaps/{:name}");
    expect(missing.find(({ kind }) => kind === 2)?.attributes).toMatchObject({ "http.response.status_code": 404 });
  });

  test("last as long as a watch does", async () => {
    await call(server, "/api/v1/configmaps?watch=1&timeoutSeconds=1", { token: "T", headers: traceparent(4) });
    const [span] = (await traceOf(4, "GET /api/v1/configmaps")).filter(({ kind }) => kind === 2);
    expect(span?.attributes).toMatchObject({ "http.response.status_code": 200 });
  });

  test("tell webhooks of it", async () => {
    const told: unknown[] = [];
    await using webhook = await startWebhookServer((body, { headers }) => {
      told.push(headers.traceparent);
      const { request } = body as { readonly request: { readonly uid: string } };
      return { body: { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: { uid: request.uid, allowed: true } } };
    });
    const configuration = {
      metadata: { name: "hooks" },
      webhooks: [
        {
          ...{ name: "one.example.com", sideEffects: "None", admissionReviewVersions: ["v1"] },
          clientConfig: { url: webhook.url(), caBundle: webhook.caBundle },
          rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["secrets"] }],
        },
      ],
    };
    const path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    expect((await call(server, path, { method: "POST", token: "T", body: configuration })).status).toBe(201);
    const post = (n: number) =>
      call(server, "/api/v1/namespaces/default/secrets?dryRun=All", {
        ...{ method: "POST", token: "T", headers: traceparent(n), body: { metadata: { name: "s" } } },
      });
    await vi.waitFor(async () => {
      expect((await post(5)).status).toBe(201);
      expect(told).not.toEqual([]);
    }, 60_000);
    told.length = 0;
    await post(6);
    const all = await traceOf(6, "POST /api/v1/namespaces/{:namespace}/secrets");
    const asked = all.find(({ name }) => name === "Call validating webhook");
    expect(asked?.attributes).toMatchObject({ configuration: "hooks", webhook: "one.example.com", operation: "CREATE" });
    expect(asked?.attributes.resource).toBe("/v1, Resource=secrets");
    const sent = all.find(({ name }) => name === "HTTP POST");
    expect(sent).toMatchObject({ kind: 3, parent: asked?.id });
    expect(told).toEqual([`00-${traceId(6)}-${sent?.id}-01`]);
    await call(server, `${path}/hooks`, { method: "DELETE", token: "T" });
  });

  test("are those of the cluster's own clients alone, where the caller keeps them", async () => {
    await call(server, "/version", { token: "U", headers: traceparent(7) });
    await call(server, "/version", { headers: traceparent(8) });
    await call(server, "/version", { token: "T", headers: traceparent(9, "00") });
    await call(server, "/version", { token: "T" });
    await call(server, "/version", { token: "T", headers: traceparent(10) });
    await traceOf(10, "GET");
    expect(spans.filter(({ trace, links }) => [7, 8, 9].map(traceId).some((id) => id === trace || links.includes(id)))).toEqual([]);
  });
});

test("with a rate, others' traces begin anew, tied to theirs; what is wrong with the file is said with its flag", async () => {
  await using g = await ApiServerFixture.create();
  const endpoint = `unix://${join(f.directory, "otlp.sock")}`;
  const kind = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n";
  const file = await g.file("tracing.yaml", `${kind}endpoint: ${endpoint}\nsamplingRatePerMillion: 1000000\n`);
  const all = await g.start("--tracing-config-file", file);
  await call(all, "/healthz", { headers: traceparent(20) });
  await vi.waitFor(() => expect(spans.filter(({ links }) => links.includes(traceId(20))).map(({ name }) => name)).toEqual(["GET"]), 60_000);
  const bad = await g.file("bad.yaml", `${kind}samplingRatePerMillion: -5\n`);
  expect(await g.problem("--tracing-config-file", bad)).toBe(
    "--tracing-config-file: samplingRatePerMillion: Invalid value: -5: sampling rate must be positive",
  );
  expect(await g.problem("--tracing-config-file=/no/such")).toContain("--tracing-config-file: ENOENT");
});
