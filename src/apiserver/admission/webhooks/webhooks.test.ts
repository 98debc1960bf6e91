import { describe, expect, onTestFinished, test } from "vitest";
import type { Connects } from "../../registry/handler-types.ts";
import type { AdmissionPlugin } from "../admission.ts";
import type { CompileMatchConditions } from "./match-conditions.ts";
import { createWebhookFixture, patchAnswer, type WebhookFixture, type WebhookFixtureOptions } from "./webhook-fixture.ts";

async function setUp(options?: WebhookFixtureOptions): Promise<WebhookFixture> {
  const fixture = await createWebhookFixture(options);
  onTestFinished(() => fixture[Symbol.asyncDispose]());
  return fixture;
}

const json = { contentType: "application/json" };
const mapsPath = "/api/v1/namespaces/default/configmaps";
const configMap = (name: string, more: object = {}) => ({
  ...json,
  body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name, ...more }, data: { a: "b" } },
});
const rule = (resources: readonly string[], operations: readonly string[] = ["*"], apiGroups: readonly string[] = ["*"]) => [
  { operations, apiGroups, apiVersions: ["*"], resources },
];

describe("a mutating webhook", () => {
  test("changes the object, and later ones see what it has made", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "a" }, { path: "b" }]);
    f.review = (_, path) => patchAnswer({ op: "add", path: `/data/${path}`, value: path });
    const { status, body } = await f.api.send("POST", mapsPath, configMap("m"));
    expect([status, body["data"]]).toEqual([201, { a: "a", b: "b" }]);
    expect(f.reviews[1]?.object?.["data" as "metadata"]).toEqual({ a: "a" });
  });

  test("is asked in the order of configurations' names, then as they stand in them", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "z2" }], "z");
    await f.configure("Mutating", [{ path: "a1" }, { path: "a0" }], "a");
    await f.api.send("POST", mapsPath, configMap("m"));
    expect(f.calls).toEqual(["a1 CREATE configmaps m", "a0 CREATE configmaps m", "z2 CREATE configmaps m"]);
  });

  test("gets defaults for what it adds", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "a" }]);
    f.review = () => patchAnswer({ op: "add", path: "/spec/containers/-", value: { name: "two", image: "i" } });
    const body = { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec: { containers: [{ name: "one", image: "i" }] } };
    const answer = await f.api.send("POST", "/api/v1/namespaces/default/pods", { ...json, body });
    const { containers } = answer.body["spec"] as { readonly containers: readonly unknown[] };
    expect(containers[1]).toMatchObject({ name: "two", terminationMessagePolicy: "File", imagePullPolicy: "Always" });
  });

  test("may not patch what is deleted, nor with what does not apply", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "a", failurePolicy: "Ignore" }]);
    f.review = ({ operation }) => (operation === "DELETE" ? patchAnswer({ op: "add", path: "/data", value: {} }) : {});
    await f.api.send("POST", mapsPath, configMap("m"));
    const { status, body } = await f.api.send("DELETE", `${mapsPath}/m`);
    expect([status, body.message]).toEqual([
      500,
      'Internal error occurred: admission webhook "a.example.com" attempted to modify the object, which is not supported for this operation',
    ]);
    f.review = () => patchAnswer({ op: "remove", path: "/kind" });
    expect((await f.api.send("POST", mapsPath, configMap("k"))).body).toMatchObject({ kind: "ConfigMap", metadata: { name: "k" } });
    f.review = () => patchAnswer({ op: "remove", path: "/data/nope" });
    expect((await f.api.send("POST", mapsPath, configMap("n"))).body.message).toBe(
      "Internal error occurred: error in remove for path: '/data/nope': Unable to remove nonexistent key: nope: missing value",
    );
  });

  test("is asked again where it wants that and a later one has changed something", async () => {
    const seen: number[] = [];
    const counting: AdmissionPlugin = {
      name: "Counting",
      handles: () => true,
      admit: (request) => {
        if (request.resource.resource === "configmaps") seen.push(Object.keys((request.object as { data?: object }).data ?? {}).length);
        return request.object;
      },
    };
    const f = await setUp({ before: [counting] });
    await f.configure("Mutating", [
      { path: "a", reinvocationPolicy: "IfNeeded" },
      { path: "b", reinvocationPolicy: "Never" },
    ]);
    f.review = (_, path) => (path === "b" ? patchAnswer({ op: "add", path: "/data/b", value: "b" }) : {});
    await f.api.send("POST", mapsPath, configMap("m"));
    expect(f.calls.map((call) => call[0])).toEqual(["a", "b", "a"]);
    // Plugins of the server run again as well.
    expect(seen).toEqual([1, 2]);
  });
});

describe("a validating webhook", () => {
  test("refuses with its own status, named", async () => {
    const f = await setUp();
    await f.configure("Validating", [{ path: "a" }]);
    f.review = () => ({ allowed: false, status: { code: 422, reason: "Teapot", message: "no maps", details: { kind: "x" } } });
    expect((await f.api.send("POST", mapsPath, configMap("m"))).body).toEqual({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: 'admission webhook "a.example.com" denied the request: no maps',
      reason: "Teapot",
      details: { kind: "x" },
      code: 422,
    });
    f.review = () => ({ allowed: false });
    const silent = await f.api.send("POST", mapsPath, configMap("m"));
    expect([silent.status, silent.body.message]).toEqual([400, 'admission webhook "a.example.com" denied the request without explanation']);
    expect((await f.api.send("GET", `${mapsPath}/m`)).status).toBe(404);
  });

  test("sees the object as it will be stored, with who asks and how", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "m" }]);
    await f.configure("Validating", [{ path: "v" }]);
    f.review = (_, path) => (path === "m" ? patchAnswer({ op: "add", path: "/data/m", value: "m" }) : { warnings: ["careful"] });
    const answer = await f.api.send("POST", `${mapsPath}?fieldManager=me&dryRun=All`, configMap("m"));
    expect(answer.warnings).toEqual(["careful"]);
    const { uid, object, ...asked } = f.reviews[1] ?? {};
    expect(uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(object).toMatchObject({ kind: "ConfigMap", data: { a: "b", m: "m" }, metadata: { name: "m", namespace: "default" } });
    expect(asked).toEqual({
      kind: { group: "", version: "v1", kind: "ConfigMap" },
      resource: { group: "", version: "v1", resource: "configmaps" },
      requestKind: { group: "", version: "v1", kind: "ConfigMap" },
      requestResource: { group: "", version: "v1", resource: "configmaps" },
      name: "m",
      namespace: "default",
      operation: "CREATE",
      userInfo: { username: "system:apiserver", groups: ["system:masters", "system:authenticated"] },
      oldObject: null,
      dryRun: true,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1", dryRun: ["All"], fieldManager: "me" },
    });
  });

  test("is asked for updates, patches, deletions, collections and subresources", async () => {
    const f = await setUp();
    await f.api.send("POST", mapsPath, configMap("m"));
    await f.api.send("POST", mapsPath, configMap("n"));
    await f.configure("Validating", [{ path: "v", rules: rule(["configmaps", "deployments/scale"]) }]);
    await f.api.send("PUT", `${mapsPath}/m`, configMap("m", { labels: { x: "y" } }));
    const patch = { contentType: "application/merge-patch+json", body: { data: { c: "d" } } };
    await f.api.send("PATCH", `${mapsPath}/m?fieldManager=me`, patch);
    expect(f.reviews[1]?.["options"]).toEqual({ kind: "UpdateOptions", apiVersion: "meta.k8s.io/v1", fieldManager: "me" });
    await f.api.send("DELETE", `${mapsPath}/m`, { ...json, body: { kind: "DeleteOptions", apiVersion: "v1", gracePeriodSeconds: 3 } });
    expect(f.reviews[2]).toMatchObject({ object: null, oldObject: { data: { a: "b", c: "d" } } });
    expect(f.reviews[2]?.["options"]).toEqual({ kind: "DeleteOptions", apiVersion: "meta.k8s.io/v1", gracePeriodSeconds: 3 });
    await f.api.send("DELETE", mapsPath);
    const labels = { app: "d" };
    const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "i" }] } };
    const deployment = {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "d" },
      spec: { selector: { matchLabels: labels }, template },
    };
    await f.api.send("POST", "/apis/apps/v1/namespaces/default/deployments", { ...json, body: deployment });
    const scale = { contentType: "application/merge-patch+json", body: { spec: { replicas: 3 } } };
    await f.api.send("PATCH", "/apis/apps/v1/namespaces/default/deployments/d/scale", scale);
    const applied = { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "d" }, spec: { replicas: 4 } };
    await f.api.send("PATCH", "/apis/apps/v1/namespaces/default/deployments/d/scale?fieldManager=me&force=true", {
      contentType: "application/apply-patch+yaml",
      body: JSON.stringify(applied),
    });
    expect(f.calls).toEqual([
      "v UPDATE configmaps m",
      "v UPDATE configmaps m",
      "v DELETE configmaps m",
      "v DELETE configmaps",
      "v UPDATE deployments/scale d",
      "v UPDATE deployments/scale d",
    ]);
    expect(f.reviews[5]).toMatchObject({ object: { kind: "Scale", spec: { replicas: 4 } }, oldObject: { spec: { replicas: 3 } } });
    expect(f.reviews[4]).toMatchObject({ object: { kind: "Scale", spec: { replicas: 3 } }, oldObject: { spec: { replicas: 1 } } });
  });

  test("is asked at the same time as others", async () => {
    const f = await setUp();
    await f.configure("Validating", [{ path: "a", failurePolicy: "Ignore", timeoutSeconds: 5 }, { path: "b" }]);
    f.review = (_, path) => (path === "a" ? { hangs: true } : { allowed: false });
    const answer = f.api.send("POST", mapsPath, configMap("m"));
    await expect.poll(() => f.calls.length).toBe(2);
    await f.api.clock.advance(5000);
    expect((await answer).body.message).toContain('"b.example.com" denied');
  });

  test("changes what a connection is made with", async () => {
    const seen: string[] = [];
    const connects: Connects = {
      "/pods/exec": async ({ request }) => {
        seen.push(request.query.toString());
        return { kind: "bytes", status: 200, contentType: "text/plain", bytes: Buffer.from("") };
      },
      "/pods/proxy": async ({ request }) => {
        seen.push(`${request.path}?${request.query}`);
        return { kind: "bytes", status: 200, contentType: "text/plain", bytes: Buffer.from("") };
      },
    };
    const f = await setUp({ connects });
    await f.configure("Mutating", [{ path: "m", rules: rule(["pods/exec", "pods/proxy"], ["CONNECT"]) }]);
    f.review = ({ kind }) => {
      const isExec = (kind as { readonly kind: string }).kind === "PodExecOptions";
      return patchAnswer({ op: "replace", path: isExec ? "/command/0" : "/path", value: isExec ? "id" : "/safe" });
    };
    await f.api.send("POST", "/api/v1/namespaces/default/pods/p/exec?command=sh&command=-c&stdin=true&kind=Other&metadata=x");
    await f.api.send("GET", "/api/v1/namespaces/default/pods/p/proxy/admin?x=y");
    await f.api.send("GET", "/api/v1/namespaces/default/pods/proxy-1/proxy/admin");
    expect(seen).toEqual([
      "command=id&command=-c&stdin=true",
      "/api/v1/namespaces/default/pods/p/proxy/safe?x=y",
      "/api/v1/namespaces/default/pods/proxy-1/proxy/safe?",
    ]);
    expect(f.reviews.slice(1).map(({ object }) => (object as { readonly path?: string }).path)).toEqual(["/admin", "/admin"]);
    expect(f.reviews[0]).toMatchObject({
      operation: "CONNECT",
      subResource: "exec",
      object: { kind: "PodExecOptions", apiVersion: "v1", command: ["sh", "-c"], stdin: true },
      options: null,
    });
  });

  test("is not asked about deletions that change nothing, nor for the pod that an eviction deletes", async () => {
    const f = await setUp();
    const podsPath = "/api/v1/namespaces/default/pods";
    const pod = (name: string, nodeName?: string) => ({
      ...json,
      body: { apiVersion: "v1", kind: "Pod", metadata: { name }, spec: { containers: [{ name: "c", image: "i" }], nodeName } },
    });
    await f.api.send("POST", podsPath, pod("p"));
    await f.api.send("POST", podsPath, pod("running", "node"));
    await f.configure("Validating", [{ path: "v", rules: rule(["pods", "pods/eviction"]) }]);
    const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "p" } };
    expect((await f.api.send("POST", `${podsPath}/p/eviction`, { ...json, body: eviction })).status).toBe(201);
    await f.api.send("DELETE", `${podsPath}/running`);
    f.review = () => ({ allowed: false });
    expect((await f.api.send("DELETE", `${podsPath}/running`)).status).toBe(200);
    expect((await f.api.send("DELETE", `${podsPath}/running?gracePeriodSeconds=1`)).status).toBe(400);
    expect(f.calls).toEqual(["v CREATE pods/eviction p", "v DELETE pods running", "v DELETE pods running"]);
  });

  test("does not see what configures admission", async () => {
    const f = await setUp();
    await f.configure("Validating", [{ path: "v" }]);
    await f.configure("Mutating", [{ path: "m" }]);
    await f.api.send("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hooks");
    await f.api.send("DELETE", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hooks");
    await f.api.send("POST", mapsPath, configMap("m"));
    expect(f.calls).toEqual([]);
  });
});

describe("a webhook that fails", () => {
  const failing = 'Internal error occurred: failed calling webhook "a.example.com": ';

  test("refuses the request, or lets it pass where it says so", async () => {
    const f = await setUp();
    await f.configure("Validating", [{ path: "a", failurePolicy: "Fail" }]);
    f.review = () => ({ raw: "broken", status: 500 });
    const closed = await f.api.send("POST", mapsPath, configMap("m"));
    expect([closed.status, closed.body.message]).toEqual([
      500,
      `${failing}failed to call webhook: an error on the server ("unknown") has prevented the request from succeeding`,
    ]);
    await f.api.send("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hooks");
    await f.configure("Validating", [{ path: "a", failurePolicy: "Ignore" }]);
    expect((await f.api.send("POST", mapsPath, configMap("m"))).status).toBe(201);
    const text = f.metrics.text();
    expect(text).toContain('apiserver_admission_webhook_fail_open_count{name="a.example.com",type="validating"} 1');
    expect(text).toContain(
      'apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error",name="a.example.com",operation="CREATE",rejection_code="500",type="validating"} 1',
    );
    expect(text).toContain(
      'apiserver_admission_webhook_request_total{code="500",name="a.example.com",operation="CREATE",rejected="false",type="validating"} 1',
    );
  });

  test("fails when it takes longer than it may", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "a", timeoutSeconds: 3 }]);
    f.review = () => ({ hangs: true });
    const answer = f.api.send("POST", mapsPath, configMap("m"));
    await expect.poll(() => f.calls.length).toBe(1);
    expect(f.server.paths).toEqual(["/a?timeout=3s"]);
    await f.api.clock.advance(3000);
    expect((await answer).body.message).toBe(
      `${failing}failed to call webhook: Post "${f.server.url("/a?timeout=3s")}": context deadline exceeded`,
    );
  });

  test("is told the time that the request has left, where that is less than its own", async () => {
    const f = await setUp();
    await f.configure("Mutating", [
      { path: "a", timeoutSeconds: 20 },
      { path: "b", timeoutSeconds: 5 },
    ]);
    await f.configure("Validating", [{ path: "c", timeoutSeconds: 20 }]);
    expect((await f.api.send("POST", mapsPath, { ...configMap("m"), timeoutMs: 10_000 })).status).toBe(201);
    expect((await f.api.send("POST", mapsPath, { ...configMap("n"), timeoutMs: 2_500 })).status).toBe(201);
    const told = [...["/a?timeout=10s", "/b?timeout=5s", "/c?timeout=10s"], ...["/a?timeout=3s", "/b?timeout=3s", "/c?timeout=3s"]];
    expect(f.server.paths).toEqual(told);
  });

  test("fails when its answer is not one", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "a" }]);
    const messages: string[] = [];
    for (const raw of [
      {},
      { response: { uid: "other" } },
      { kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1", response: { uid: "U", allowed: true, patch: "W10=" } },
      { response: { uid: "U", allowed: true } },
      {
        kind: "AdmissionReview",
        apiVersion: "admission.k8s.io/v1",
        response: { uid: "U", allowed: true, patch: "e30=", patchType: "JSONPatch" },
      },
    ]) {
      f.review = ({ uid }) => ({ raw: JSON.parse(JSON.stringify(raw).replace('"U"', JSON.stringify(uid))) as unknown });
      messages.push((await f.api.send("POST", mapsPath, configMap("m"))).body.message.slice(failing.length));
    }
    expect(messages).toEqual([
      "received invalid webhook response: webhook response was absent",
      `received invalid webhook response: expected response.uid=${JSON.stringify(f.reviews[1]?.uid)}, got "other"`,
      "received invalid webhook response: webhook returned response.patch but not response.patchType",
      "received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=",
      "received undecodable patch in webhook response: json: cannot unmarshal object into Go value of type jsonpatch.Patch",
    ]);
  });

  test.each([
    [{ kind: "Status", apiVersion: "v1", status: "Failure" }, "converting (v1.Status) to (v1.AdmissionReview): unknown conversion"],
    [
      { kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1beta1" },
      "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion",
    ],
    [
      { kind: "Foo", apiVersion: "foo.io/v1" },
      'no kind "Foo" is registered for version "foo.io/v1" in scheme "k8s.io/apiserver/pkg/util/webhook/client.go:71"',
    ],
    [
      { response: { allowed: "yes" } },
      "json: cannot unmarshal string into Go struct field AdmissionResponse.response.allowed of type bool",
    ],
    [
      { response: { warnings: [1] } },
      "json: cannot unmarshal number into Go struct field AdmissionResponse.response.warnings of type string",
    ],
    [{ response: { patch: "***" } }, "illegal base64 data at input byte 0"],
    [{ response: { patch: 5 } }, "json: cannot unmarshal number into Go struct field AdmissionResponse.response.patch of type []uint8"],
    [
      { response: { patch: [{ op: "add" }] } },
      "json: cannot unmarshal object into Go struct field AdmissionResponse.response.patch of type uint8",
    ],
    [
      { response: { status: { code: 3e9 } } },
      "json: cannot unmarshal number 3000000000 into Go struct field Status.response.status.code of type int32",
    ],
    [{ request: { uid: 5 } }, "json: cannot unmarshal number into Go struct field AdmissionRequest.request.uid of type types.UID"],
    ["", "0-length response with status code: 200 and content type: application/json"],
    ["{", "couldn't get version/kind; json parse error: unexpected end of JSON input"],
    [
      [],
      'couldn\'t get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }',
    ],
  ])("has failed when its answer cannot be read: %j", async (raw, why) => {
    const f = await setUp();
    await f.configure("Validating", [{ path: "a" }]);
    f.review = () => ({ raw });
    expect((await f.api.send("POST", mapsPath, configMap("m"))).body.message).toBe(`${failing}failed to call webhook: ${why}`);
  });

  test("does not take dry runs when it has side effects", async () => {
    const f = await setUp();
    const store = f.api.stores.find("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
    await f.configure("Validating", [{ path: "a" }]);
    // Configurations from before v1 may still say that there are side effects.
    const version = await store?.read("hooks");
    const old = version?.object as { readonly webhooks: readonly object[] } & NonNullable<typeof version>["object"];
    await store?.commit("hooks", { ...old, webhooks: old.webhooks.map((w) => ({ ...w, sideEffects: "Some" })) } as typeof old, version);
    const { status, body } = await f.api.send("POST", `${mapsPath}?dryRun=All`, configMap("m"));
    expect([status, body.message]).toEqual([400, 'admission webhook "a.example.com" does not support dry run']);
    expect(f.calls).toEqual([]);
  });
});

describe("which requests a webhook is called for", () => {
  test("rules name operations, groups, resources with subresources, and scopes", async () => {
    const f = await setUp();
    await f.configure("Validating", [
      { path: "all", rules: rule(["*/*"]) },
      { path: "plain", rules: rule(["*"]) },
      { path: "subs", rules: rule(["configmaps/*"]) },
      { path: "delete", rules: rule(["configmaps"], ["DELETE"]) },
      { path: "apps", rules: rule(["*"], ["*"], ["apps"]) },
      { path: "cluster", rules: [{ ...rule(["*"])[0], scope: "Cluster" }] },
      { path: "namespaced", rules: [{ ...rule(["*"])[0], scope: "Namespaced" }] },
    ]);
    const called = (): string[] => f.calls.splice(0).map((call) => call.split(" ")[0] ?? "");
    await f.api.send("POST", mapsPath, configMap("m"));
    expect(called().sort()).toEqual(["all", "namespaced", "plain", "subs"]);
    await f.api.send("POST", "/api/v1/namespaces", { ...json, body: { apiVersion: "v1", kind: "Namespace", metadata: { name: "n" } } });
    expect(called().sort()).toEqual(["all", "cluster", "plain"]);
    expect(f.reviews.at(-1)).toMatchObject({ name: "n", namespace: "n" });
  });

  test("other versions of the same objects count, and are what the webhook sees", async () => {
    const f = await setUp();
    const rules = [{ operations: ["*"], apiGroups: ["autoscaling"], apiVersions: ["v1"], resources: ["horizontalpodautoscalers"] }];
    await f.configure("Mutating", [
      { path: "a", rules },
      { path: "b", rules, matchPolicy: "Exact" },
    ]);
    f.review = () => patchAnswer({ op: "replace", path: "/spec/targetCPUUtilizationPercentage", value: 70 });
    const target = { type: "Utilization", averageUtilization: 50 };
    const spec = {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" },
      maxReplicas: 3,
      metrics: [{ type: "Resource", resource: { name: "cpu", target } }],
    };
    const body = { apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler", metadata: { name: "h" }, spec };
    const answer = await f.api.send("POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", { ...json, body });
    expect(f.calls).toEqual(["a CREATE horizontalpodautoscalers h"]);
    expect(f.reviews[0]).toMatchObject({
      kind: { group: "autoscaling", version: "v1", kind: "HorizontalPodAutoscaler" },
      resource: { version: "v1" },
      requestResource: { version: "v2" },
      object: { apiVersion: "autoscaling/v1", spec: { targetCPUUtilizationPercentage: 50 } },
    });
    expect(answer.body).toMatchObject({
      apiVersion: "autoscaling/v2",
      spec: { metrics: [{ resource: { target: { averageUtilization: 70 } } }] },
    });
  });

  test("selectors look at the namespace's labels, and at the old and the new object", async () => {
    const f = await setUp();
    const namespace = (name: string, labels: object) => ({
      ...json,
      body: { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } },
    });
    await f.api.send("POST", "/api/v1/namespaces", namespace("in", { team: "x" }));
    await f.api.send("POST", "/api/v1/namespaces", namespace("out", {}));
    await f.configure("Validating", [
      { path: "ns", rules: rule(["*"]), namespaceSelector: { matchLabels: { team: "x" } } },
      { path: "obj", rules: rule(["configmaps"]), objectSelector: { matchLabels: { app: "y" } } },
    ]);
    await f.api.send("POST", "/api/v1/namespaces/in/configmaps", configMap("m", { labels: { app: "y" } }));
    await f.api.send("POST", "/api/v1/namespaces/out/configmaps", configMap("n"));
    expect(f.calls.splice(0).sort()).toEqual(["ns CREATE configmaps m", "obj CREATE configmaps m"]);
    await f.api.send("PUT", "/api/v1/namespaces/in/configmaps/m", configMap("m"));
    expect(f.calls.splice(0).sort()).toEqual(["ns UPDATE configmaps m", "obj UPDATE configmaps m"]);
    await f.api.send("POST", "/api/v1/namespaces", namespace("in2", { team: "x" }));
    await f.api.send("POST", "/api/v1/namespaces", namespace("out2", {}));
    await f.api.send("POST", "/api/v1/nodes", { ...json, body: { apiVersion: "v1", kind: "Node", metadata: { name: "node" } } });
    expect(f.calls).toEqual(["ns CREATE namespaces in2", "ns CREATE nodes node"]);
  });
});

describe("match conditions", () => {
  test("keep requests away; what cannot be evaluated is up to the failure policy", async () => {
    const compile: CompileMatchConditions = ([condition]) => ({
      evaluate: ({ object }) => (condition?.expression === "broken" ? { problem: "broken" } : { matches: object?.metadata.name === "m" }),
    });
    const f = await setUp({ compile });
    const store = f.api.stores.find("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
    const conditional = async (expression: string, failurePolicy: string): Promise<void> => {
      await f.configure("Validating", [{ path: "a", failurePolicy }]);
      const version = await store?.read("hooks");
      const stored = version?.object as { readonly webhooks: readonly object[] } & NonNullable<typeof version>["object"];
      const webhooks = stored.webhooks.map((w) => ({ ...w, matchConditions: [{ name: "c", expression }] }));
      await store?.commit("hooks", { ...stored, webhooks } as typeof stored, version);
    };
    const drop = () => f.api.send("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hooks");
    await conditional("named", "Fail");
    await f.api.send("POST", mapsPath, configMap("m"));
    await f.api.send("POST", mapsPath, configMap("n"));
    expect(f.calls).toEqual(["a CREATE configmaps m"]);
    await drop();
    await conditional("broken", "Fail");
    const { status, body } = await f.api.send("POST", mapsPath, configMap("o"));
    expect([status, body.message]).toEqual([403, 'configmaps "o" is forbidden: broken']);
    await drop();
    await conditional("broken", "Ignore");
    expect((await f.api.send("POST", mapsPath, configMap("o"))).status).toBe(201);
    expect(f.calls).toHaveLength(1);
    const counted = 'kind="webhook",name="a.example.com",operation="CREATE",type=';
    expect(f.metrics.text()).toContain(`apiserver_admission_match_condition_exclusions_total{${counted}"validate"} 1`);
    expect(f.metrics.text()).toContain(`apiserver_admission_match_condition_evaluation_errors_total{${counted}"validating"} 2`);
  });
});

describe("a configuration", () => {
  test("counts from the moment it is written, and no longer than that", async () => {
    const f = await setUp();
    await f.api.send("POST", mapsPath, configMap("m0"));
    await f.configure("Validating", [{ path: "a" }]);
    await f.api.send("POST", mapsPath, configMap("m1"));
    await f.api.send("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hooks");
    await f.api.send("POST", mapsPath, configMap("m2"));
    expect(f.calls).toEqual(["a CREATE configmaps m1"]);
  });

  test("of v1beta1 webhooks is sent reviews of that version, and their answers need less", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "a", admissionReviewVersions: ["v2", "v1beta1", "v1"] }]);
    const { patch } = patchAnswer({ op: "add", path: "/data/x", value: "y" });
    f.review = () => ({ raw: { response: { allowed: true, patch } } });
    expect((await f.api.send("POST", mapsPath, configMap("m"))).body["data"]).toEqual({ a: "b", x: "y" });
    expect(f.server.bodies[0]).toMatchObject({ apiVersion: "admission.k8s.io/v1beta1" });
  });
});
