// The figures of a whole API server: that they are there under upstream's names and move with what happens.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiServerFlags, apiServerOptions } from "../../apiserver/options.ts";
import { realClock } from "../../base/clock.ts";
import { parseFlags } from "../../base/flags.ts";
import { silentLogger } from "../../base/log.ts";
import { type RunningApiServer, startApiServer } from "./start-apiserver.ts";

let directory = "";
let server: RunningApiServer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-figures-"));
  const tokens = join(directory, "tokens.csv");
  await writeFile(tokens, 'secret,admin,1,"system:masters"\nother,jane,2\n');
  const flags = ["--data-dir", directory, "--bind-address=127.0.0.1", "--secure-port=0", `--token-auth-file=${tokens}`];
  server = await startApiServer(apiServerOptions(parseFlags(apiServerFlags, flags).values), { clock: realClock, logger: silentLogger });
  await server.ready;
});

afterAll(async () => {
  await server?.stop();
  await rm(directory, { recursive: true });
});

interface CallOptions {
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function call(
  method: string,
  path: string,
  { body, token = "secret", headers = {} }: CallOptions = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const sent = {
      authorization: `Bearer ${token}`,
      ...(bytes ? { "content-type": "application/json", "content-length": bytes.length } : {}),
      ...headers,
    };
    const request = https.request(`${server.url}${path}`, { method, ca: server.caPem, agent: false, headers: sent }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
    request.end(bytes);
  });
}

/** The value of each series: by its name and labels as they are written. */
class Figures {
  readonly #values = new Map<string, number>();

  constructor(text: string) {
    for (const line of text.split("\n")) {
      const [, series, value] = /^([^# ].*) (\S+)$/.exec(line) ?? [];
      if (series !== undefined) this.#values.set(series, Number(value));
    }
  }

  get(series: string): number {
    return this.#values.get(series) ?? 0;
  }

  /** Of all series of the name with these labels. */
  sum(name: string, ...labels: readonly string[]): number {
    let sum = 0;
    for (const [series, value] of this.#values)
      if (series.startsWith(`${name}{`) && labels.every((label) => series.includes(label))) sum += value;
    return sum;
  }
}

const figures = async (): Promise<Figures> => new Figures((await call("GET", "/metrics")).text);
const configMaps = "/api/v1/namespaces/default/configmaps";

describe("figures of a running API server", () => {
  it("counts a create: admission, the body, the store and the filters", async () => {
    const before = await figures();
    // Of a kind that the server makes none of.
    const body = { metadata: { name: "a" }, stringData: { text: "x".repeat(1000) } };
    expect((await call("POST", "/api/v1/namespaces/default/secrets?fieldValidation=Strict", { body })).status).toBe(201);
    const after = await figures();
    const added = (series: string): number => after.get(series) - before.get(series);
    const lifecycle = 'name="NamespaceLifecycle",operation="CREATE",rejected="false"';
    expect(added(`apiserver_admission_controller_admission_duration_seconds_count{${lifecycle},type="admit"}`)).toBeGreaterThan(0);
    for (const type of ["admit", "validate"])
      expect(
        added(`apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="false",type="${type}"}`),
      ).toBeGreaterThan(0);
    expect(added('apiserver_request_body_size_bytes_sum{group="",resource="secrets",verb="create"}')).toBe(JSON.stringify(body).length);
    expect(added('etcd_requests_total{group="",operation="create",resource="secrets"}')).toBe(1);
    expect(added('etcd_request_duration_seconds_count{group="",operation="create",resource="secrets"}')).toBe(1);
    expect(added('field_validation_request_duration_seconds_count{field_validation="Strict"}')).toBe(1);
    for (const filter of ["authentication", "authorization", "priorityandfairness"])
      expect(added(`apiserver_request_filter_duration_seconds_count{filter="${filter}"}`)).toBeGreaterThan(0);
    const samples = "apiserver_flowcontrol_watch_count_samples_count";
    expect(after.sum(samples, 'flow_schema="exempt"') - before.sum(samples, 'flow_schema="exempt"')).toBeGreaterThan(0);
  });

  it("counts reads from the mirror, and the bytes of their answers", async () => {
    await call("POST", configMaps, { body: { metadata: { name: "a" }, data: { a: "b" } } });
    await call("GET", configMaps);
    const before = await figures();
    const { text } = await call("GET", configMaps);
    const after = await figures();
    const added = (series: string): number => after.get(series) - before.get(series);
    const of = 'group="",index="",resource="configmaps"';
    const found = (JSON.parse(text) as { items: unknown[] }).items.length;
    expect(added(`apiserver_cache_list_total{${of}}`)).toBe(1);
    expect(added(`apiserver_cache_list_fetched_objects_total{${of}}`)).toBe(found);
    expect(added('apiserver_cache_list_returned_objects_total{group="",resource="configmaps"}')).toBe(found);
    expect(added('apiserver_watch_cache_consistent_read_total{fallback="false",group="",resource="configmaps",success="true"}')).toBe(1);
    expect(after.sum("apiserver_response_sizes_sum", 'resource="configmaps"', 'verb="LIST"')).toBe(
      before.sum("apiserver_response_sizes_sum", 'resource="configmaps"', 'verb="LIST"') + text.length,
    );
    expect(after.get('apiserver_watch_cache_initializations_total{group="",resource="configmaps"}')).toBe(1);
    expect(after.get('apiserver_storage_list_total{group="",resource="configmaps"}')).toBe(1);
    expect(after.get('watch_cache_capacity{group="",resource="configmaps"}')).toBeGreaterThan(0);
    expect(after.get('apiserver_resource_size_estimate_bytes{group="",resource="configmaps"}')).toBeGreaterThan(0);
    expect(after.get('apiserver_storage_size_bytes{storage_cluster_id="etcd-0"}')).toBeGreaterThan(0);
  });

  it("counts what was there when watches began, and how long those have waited that list by one", async () => {
    await call("POST", configMaps, { body: { metadata: { name: "watched" } } });
    const before = await figures();
    const asked = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    await call("GET", `${configMaps}?watch=true&timeoutSeconds=1&${asked}`);
    await call("GET", `${configMaps}?watch=true&timeoutSeconds=1`);
    const after = await figures();
    const events = 'apiserver_init_events_total{group="",resource="configmaps"}';
    expect(after.get(events) - before.get(events)).toBeGreaterThanOrEqual(2);
    const lists = 'apiserver_watch_list_duration_seconds_count{group="",resource="configmaps",scope="namespace",version="v1"}';
    expect(after.get(lists) - before.get(lists)).toBe(1);
  });

  it("counts lists by a field as those of an index", async () => {
    await call("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1");
    expect((await figures()).get('apiserver_cache_list_total{group="",index="f:spec.nodeName",resource="pods"}')).toBe(1);
  });

  it("counts what is refused: by admission, and for want of a right to be somebody else", async () => {
    const before = await figures();
    const into = "/api/v1/namespaces/none/configmaps";
    expect((await call("POST", into, { body: { metadata: { name: "a" } } })).status).toBe(404);
    expect((await call("GET", configMaps, { token: "other", headers: { "impersonate-user": "bob" } })).status).toBe(403);
    expect((await call("GET", configMaps, { headers: { "impersonate-user": "bob" } })).status).toBe(403);
    const after = await figures();
    const added = (series: string): number => after.get(series) - before.get(series);
    const name = "apiserver_admission_controller_admission_duration_seconds_count";
    expect(added(`${name}{name="NamespaceLifecycle",operation="CREATE",rejected="true",type="admit"}`)).toBe(1);
    expect(added('apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="true",type="admit"}')).toBe(1);
    expect(added('apiserver_impersonation_attempts_total{decision="denied",mode=""}')).toBe(1);
    expect(added('apiserver_impersonation_attempts_total{decision="allowed",mode="user-info"}')).toBe(1);
    expect(added('apiserver_impersonation_authorization_attempts_total{decision="allowed",mode="user-info"}')).toBeGreaterThan(1);
    expect(added('apiserver_request_filter_duration_seconds_count{filter="constrainedimpersonation"}')).toBe(2);
  });

  it("counts addresses and node ports that are given out", async () => {
    const before = await figures();
    const spec = { type: "NodePort", ports: [{ port: 80 }] };
    expect((await call("POST", "/api/v1/namespaces/default/services", { body: { metadata: { name: "s" }, spec } })).status).toBe(201);
    const after = await figures();
    const added = (series: string): number => after.get(series) - before.get(series);
    const cidr = 'cidr="10.96.0.0/16"';
    expect(added(`kube_apiserver_clusterip_allocator_allocation_total{${cidr},scope="dynamic"}`)).toBe(1);
    expect(added(`kube_apiserver_clusterip_allocator_allocated_ips{${cidr}}`)).toBe(1);
    expect(added(`kube_apiserver_clusterip_allocator_available_ips{${cidr}}`)).toBe(-1);
    expect(added('kube_apiserver_nodeport_allocator_allocation_total{scope="dynamic"}')).toBe(1);
    expect(after.get("kube_apiserver_nodeport_allocator_allocated_ports")).toBe(1);
  });

  it("counts evaluations of Pod Security", async () => {
    const metadata = { name: "held", labels: { "pod-security.kubernetes.io/enforce": "restricted" } };
    await call("POST", "/api/v1/namespaces", { body: { metadata } });
    await call("POST", "/api/v1/namespaces/held/serviceaccounts", { body: { metadata: { name: "default" } } });
    const pod = { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } };
    expect((await call("POST", "/api/v1/namespaces/held/pods", { body: pod })).status).toBe(403);
    const about = 'policy_level="restricted",policy_version="latest",request_operation="create",resource="pod",subresource=""';
    expect((await figures()).get(`pod_security_evaluations_total{decision="deny",mode="enforce",${about}}`)).toBe(1);
  });

  it("tells deprecated resources that were asked for, and requests ended in self-defence", async () => {
    await call("GET", "/api/v1/namespaces/default/endpoints");
    const service = { namespace: "default", name: "none" };
    const spec = {
      group: "down.example.com",
      version: "v1",
      groupPriorityMinimum: 10,
      versionPriority: 10,
      insecureSkipTLSVerify: true,
      service,
    };
    const registered = { metadata: { name: "v1.down.example.com" }, spec };
    expect((await call("POST", "/apis/apiregistration.k8s.io/v1/apiservices", { body: registered })).status).toBe(201);
    await expect.poll(async () => (await call("GET", "/apis/down.example.com/v1/things")).status, { timeout: 60_000 }).toBe(503);
    const after = await figures();
    const endpoints = 'group="",removed_release="",resource="endpoints",subresource="",version="v1"';
    expect(after.get(`apiserver_requested_deprecated_apis{${endpoints}}`)).toBe(1);
    expect(after.sum("apiserver_request_terminations_total", 'code="503"', 'component="aggregator"')).toBeGreaterThan(0);
  });

  it("has the figures of the server's own client, queues and registry", async () => {
    const now = await figures();
    expect(now.sum("apiserver_selfrequest_total", 'resource="clusterroles"')).toBeGreaterThan(0);
    expect(now.sum("rest_client_requests_total", 'code="201"', 'method="POST"')).toBeGreaterThan(0);
    expect(now.get('workqueue_adds_total{name="autoregister"}')).toBeGreaterThan(0);
    expect(now.get('workqueue_work_duration_seconds_count{name="priority_and_fairness_config_queue"}')).toBeGreaterThan(0);
    expect(now.get('registered_metrics_total{deprecated_version="",stability_level="STABLE"}')).toBeGreaterThan(5);
    expect(now.get('registered_metrics_total{deprecated_version="1.34.0",stability_level="STABLE"}')).toBe(1);
    expect(now.get('apiserver_current_inflight_requests{request_kind="readOnly"}')).toBeGreaterThan(0);
    expect(now.get("aggregator_discovery_aggregation_count_total")).toBeGreaterThanOrEqual(0);
  });
});
