import { writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startWebhookServer, type WebhookServer } from "../../apiserver/webhook/webhook-server-fixture.ts";
import { ApiServerFixture, type CallOptions, call, type Reply } from "./apiserver-fixture.ts";
import type { RunningApiServer } from "./start-apiserver.ts";

let fixture: ApiServerFixture;
let tokens = "";
const webhooks: WebhookServer[] = [];
beforeEach(async () => {
  fixture = await ApiServerFixture.create();
  tokens = `--token-auth-file=${await fixture.file("tokens.csv", 'jane,jane,7,"devs"\nadmin,admin,1,"system:masters"\n')}`;
});
afterEach(async () => {
  await fixture[Symbol.asyncDispose]();
  for (const webhook of webhooks.splice(0)) await webhook[Symbol.asyncDispose]();
});

interface Asked {
  readonly spec: {
    readonly user?: string;
    readonly resourceAttributes?: Readonly<Record<string, unknown>>;
    readonly nonResourceAttributes?: { readonly path: string };
  };
}

async function startWebhook(answer: (asked: Asked) => object | number): Promise<WebhookServer> {
  const webhook = await startWebhookServer((body) => {
    const answered = answer(body as Asked);
    return typeof answered === "number"
      ? { status: answered, headers: { "content-type": "text/plain" }, body: "broken" }
      : { body: { status: answered } };
  });
  webhooks.push(webhook);
  return webhook;
}

const asJane = (server: RunningApiServer, path: string, options: CallOptions = {}): Promise<Reply> =>
  call(server, path, { token: "jane", ...options });

describe("--authorization-mode", () => {
  it("ABAC allows what a line of the policy file allows", async () => {
    const policies = [
      {
        apiVersion: "abac.authorization.kubernetes.io/v1beta1",
        kind: "Policy",
        spec: { group: "devs", namespace: "default", resource: "configmaps", apiGroup: "", readonly: true },
      },
      { apiVersion: "abac.authorization.kubernetes.io/v1beta1", kind: "Policy", spec: { user: "*", nonResourcePath: "/version*" } },
      { user: "jane", namespace: "kube-public" },
    ];
    const file = await fixture.file("abac.jsonl", `# policies\n\n${policies.map((p) => JSON.stringify(p)).join("\n")}\n`);
    const server = await fixture.start(tokens, "--authorization-mode=ABAC", `--authorization-policy-file=${file}`);
    expect((await asJane(server, "/api/v1/namespaces/default/configmaps")).status).toBe(200);
    expect((await asJane(server, "/version")).status).toBe(200);
    expect((await call(server, "/version")).status).toBe(403);
    expect((await asJane(server, "/api/v1/namespaces/kube-public/secrets")).status).toBe(200);
    const refused = await asJane(server, "/api/v1/namespaces/default/secrets");
    expect(JSON.parse(refused.text).message).toMatch(/cannot list resource "secrets" .*: No policy matched\.$/);
    const body = { metadata: { name: "x" } };
    expect((await asJane(server, "/api/v1/namespaces/default/configmaps", { method: "POST", body })).status).toBe(403);
  });

  it("Webhook asks a webhook, in order with the others, and remembers its answers", async () => {
    const webhook = await startWebhook(({ spec }) => {
      const { resource } = spec.resourceAttributes ?? {};
      if (resource === "secrets") return { allowed: false, denied: true, reason: "never" };
      return { allowed: resource === "configmaps", reason: "because" };
    });
    const server = await fixture.start(
      tokens,
      "--authorization-mode=Webhook,RBAC",
      `--authorization-webhook-config-file=${await fixture.kubeconfig("authz", webhook.url("/authorize"), webhook.caPem)}`,
    );
    const path = "/api/v1/namespaces/default/configmaps?labelSelector=a%20in%20(x,y),!b&fieldSelector=metadata.name!%3Dz";
    expect((await asJane(server, path)).status).toBe(200);
    expect((await asJane(server, path)).status).toBe(200);
    const asked = (webhook.bodies as Asked[]).filter(({ spec }) => spec.user === "jane");
    expect(asked).toEqual([
      {
        apiVersion: "authorization.k8s.io/v1beta1",
        kind: "SubjectAccessReview",
        metadata: {},
        spec: {
          resourceAttributes: {
            namespace: "default",
            verb: "list",
            version: "v1",
            resource: "configmaps",
            fieldSelector: { requirements: [{ key: "metadata.name", operator: "NotIn", values: ["z"] }] },
            labelSelector: {
              requirements: [
                { key: "a", operator: "In", values: ["x", "y"] },
                { key: "b", operator: "DoesNotExist" },
              ],
            },
          },
          user: "jane",
          group: ["devs", "system:authenticated"],
          uid: "7",
        },
        status: { allowed: false },
      },
    ]);
    expect(JSON.parse((await asJane(server, "/api/v1/secrets")).text).message).toMatch(/at the cluster scope: never$/);
    // The webhook has no opinion, roles allow it.
    expect((await asJane(server, "/version")).status).toBe(200);
  });

  it("fails a request that nobody allows when the webhook cannot be asked", async () => {
    const webhook = await startWebhook(() => 403);
    const server = await fixture.start(
      tokens,
      "--authorization-mode=Webhook,RBAC",
      `--authorization-webhook-config-file=${await fixture.kubeconfig("authz", webhook.url("/"), webhook.caPem)}`,
    );
    expect((await asJane(server, "/version")).status).toBe(200);
    const failed = await asJane(server, "/api/v1/nodes?limit=1&labelSelector=a%20in%20(b)");
    expect(failed.status).toBe(500);
    expect(failed.text).toBe('Internal Server Error: "/api/v1/nodes?limit=1&amp;labelSelector=a%20in%20(b)": broken\n');
    expect(server.metrics.text()).toContain('apiserver_authorization_webhook_evaluations_fail_open_total{name="default",result="error"} ');
    expect(server.metrics.text()).toContain('authorization_attempts_total{result="error"} 1\n');
    const body = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: { verb: "list", resource: "nodes" } },
    };
    const review = await asJane(server, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { method: "POST", body });
    expect(JSON.parse(review.text).status).toEqual({ allowed: false, evaluationError: "broken" });
  });

  it("AlwaysAllow lets nobody in who is nobody", async () => {
    const server = await fixture.start(tokens, "--authorization-mode=AlwaysAllow");
    expect((await asJane(server, "/api/v1/secrets")).status).toBe(200);
    expect((await call(server, "/version")).status).toBe(401);
  });

  it("with flags that do not go together is refused", async () => {
    const problem = (...args: string[]): Promise<string> => fixture.problem(...args);
    expect(await problem("--authorization-mode=Rbac")).toMatch(/for --authorization-mode: expected some of Node, RBAC, ABAC, Webhook/);
    expect(await problem("--authorization-mode=RBAC,RBAC")).toMatch(/expected RBAC once/);
    expect(await problem("--authorization-mode=ABAC")).toMatch(/^--authorization-mode ABAC: expected --authorization-policy-file/);
    expect(await problem("--authorization-policy-file=x")).toMatch(/^--authorization-policy-file: expected ABAC in --authorization-mode/);
    expect(await problem("--authorization-mode=Webhook")).toMatch(/expected --authorization-webhook-config-file/);
    expect(await problem("--authorization-mode=Webhook", "--authorization-webhook-config-file=/none")).toMatch(
      /^--authorization-webhook-config-file: /,
    );
    const bad = await fixture.file("abac.jsonl", '{"user":"a"}\n{"user":1}\n');
    expect(await problem("--authorization-mode=ABAC", `--authorization-policy-file=${bad}`)).toBe(
      `--authorization-policy-file: error reading policy file ${bad}, line 2: {"user":1}: user: expected a string`,
    );
    expect(await problem("--authorization-config=x", "--authorization-webhook-version=v1")).toMatch(
      /^--authorization-config can not be specified when --authorization-mode or --authorization-webhook-\* flags are defined/,
    );
    expect(await problem("--authorization-config=/none")).toMatch(/^--authorization-config: ENOENT/);
  });
});

describe("--authorization-config", () => {
  const config = (authorizers: readonly object[]): string =>
    JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthorizationConfiguration", authorizers });
  const webhookConfig = (name: string, kubeConfigFile: string, more: object = {}): object => ({
    type: "Webhook",
    name,
    webhook: {
      timeout: "3s",
      subjectAccessReviewVersion: "v1",
      failurePolicy: "Deny",
      cacheAuthorizedRequests: false,
      connectionInfo: { type: "KubeConfigFile", kubeConfigFile },
      ...more,
    },
  });
  const rbac = { type: "RBAC", name: "rbac" };

  it("chains several webhooks, and is followed as it changes", async () => {
    const first = await startWebhook(({ spec }) => ({ allowed: spec.resourceAttributes?.resource === "configmaps" }));
    const second = await startWebhook(({ spec }) => ({ allowed: spec.resourceAttributes?.resource === "secrets" }));
    const [one, two] = [
      await fixture.kubeconfig("one", first.url(), first.caPem),
      await fixture.kubeconfig("two", second.url(), second.caPem),
    ];
    const path = await fixture.file("authz.yaml", config([webhookConfig("one", one), webhookConfig("two", two), rbac]));
    const server = await fixture.start(tokens, `--authorization-config=${path}`);
    const statusOf = async (resource: string): Promise<number> => (await asJane(server, `/api/v1/namespaces/default/${resource}`)).status;
    expect([await statusOf("configmaps"), await statusOf("secrets"), await statusOf("pods")]).toEqual([200, 200, 403]);
    const before = first.bodies.length;
    await statusOf("configmaps");
    expect(first.bodies.length).toBe(before + 1);
    expect(first.bodies.at(-1)).toMatchObject({
      apiVersion: "authorization.k8s.io/v1",
      spec: { groups: ["devs", "system:authenticated"] },
    });
    // What the server was started with may not be left out.
    await writeFile(path, config([webhookConfig("one", one)]));
    await vi.waitFor(
      () =>
        expect(server.metrics.text()).toMatch(
          /authorization_config_controller_automatic_reloads_total\{apiserver_id_hash="[^"]*",status="failure"\} 1/,
        ),
      60_000,
    );
    expect(await statusOf("secrets")).toBe(200);
    // Nor may be added what it was not started with.
    await writeFile(path, config([webhookConfig("one", one), rbac, { type: "Node", name: "node" }]));
    await vi.waitFor(() => expect(server.metrics.text()).toMatch(/reloads_total\{apiserver_id_hash="[^"]*",status="failure"\} 2/), 60_000);
    await writeFile(path, config([webhookConfig("one", one), rbac]));
    await vi.waitFor(async () => expect(await statusOf("secrets")).toBe(403), 10_000);
    expect(server.metrics.text()).toMatch(/reloads_total\{apiserver_id_hash="[^"]*",status="success"\} 1/);
    expect(await statusOf("configmaps")).toBe(200);
  }, 20_000);

  it("asks webhooks about what their conditions match", async () => {
    const webhook = await startWebhook(() => ({ allowed: true }));
    const kubeconfig = await fixture.kubeconfig("one", webhook.url(), webhook.caPem);
    const conditions = {
      matchConditionSubjectAccessReviewVersion: "v1",
      matchConditions: [
        { expression: "has(request.resourceAttributes)" },
        { expression: "request.resourceAttributes.namespace == 'kube-public' && 'devs' in request.groups" },
      ],
    };
    const path = await fixture.file("authz.yaml", config([webhookConfig("one", kubeconfig, conditions), rbac]));
    const server = await fixture.start(tokens, `--authorization-config=${path}`);
    expect((await asJane(server, "/api/v1/namespaces/kube-public/secrets")).status).toBe(200);
    expect((await asJane(server, "/api/v1/namespaces/default/secrets")).status).toBe(403);
    expect((await asJane(server, "/version")).status).toBe(200);
    expect((webhook.bodies as Asked[]).map(({ spec }) => spec.resourceAttributes?.namespace)).toEqual(["kube-public"]);
    // It is told how long it has.
    expect(webhook.paths).toEqual(["/?timeout=3s"]);
    const figures = server.metrics.text();
    const of = '{name="one",type="Webhook"}';
    expect(figures).toContain(`apiserver_authorization_match_condition_exclusions_total${of} 2\n`);
    expect(figures).toContain(`apiserver_authorization_match_condition_evaluation_seconds_count${of} 3\n`);
    expect(figures).toContain('apiserver_authorization_decisions_total{decision="allowed",name="one",type="Webhook"} 1\n');
    expect(figures).toContain('apiserver_authorization_decisions_total{decision="allowed",name="rbac",type="RBAC"} 1\n');
  });

  it("shows conditions the requirements of a review as they were asked, and counts conditions that fail", async () => {
    const webhook = await startWebhook(() => ({ allowed: false, denied: true }));
    const kubeconfig = await fixture.kubeconfig("one", webhook.url(), webhook.caPem);
    const conditions = {
      matchConditionSubjectAccessReviewVersion: "v1",
      matchConditions: [
        { expression: "request.extra['k'][0] == 'v'" },
        { expression: "request.resourceAttributes.labelSelector.requirements[1].values == []" },
      ],
    };
    const authorizers = [webhookConfig("one", kubeconfig, { ...conditions, failurePolicy: "NoOpinion" })];
    const server = await fixture.start(tokens, `--authorization-config=${await fixture.file("authz.yaml", config(authorizers))}`);
    const requirements = [
      { key: "z", operator: "In", values: ["y", "x"] },
      { key: "a", operator: "Exists" },
    ];
    const review = (extra: object, labelSelector: object): Promise<Reply> => {
      const spec = { user: "jane", extra, resourceAttributes: { verb: "list", resource: "pods", labelSelector } };
      const body = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
      return call(server, "/apis/authorization.k8s.io/v1/subjectaccessreviews", { token: "admin", method: "POST", body });
    };
    expect(JSON.parse((await review({ k: ["v"] }, { requirements })).text).status).toEqual({ allowed: false, denied: true });
    expect((webhook.bodies as Asked[])[0]?.spec.resourceAttributes).toMatchObject({ labelSelector: { requirements } });
    const why = "cel evaluation error: expression 'request.extra['k'][0] == 'v'' resulted in error: no such key: k";
    expect(JSON.parse((await review({}, { requirements })).text).status).toEqual({ allowed: false, evaluationError: why });
    await review({}, { requirements: [...requirements].reverse() });
    const of = '{name="one",type="Webhook"}';
    expect(server.metrics.text()).toContain(`apiserver_authorization_match_condition_evaluation_errors_total${of} 2\n`);
    expect(server.metrics.text()).toContain(`apiserver_authorization_match_condition_exclusions_total${of} 1\n`);
  });

  it("denies where a webhook that must be asked does not answer", async () => {
    const webhook = await startWebhook(() => 400);
    const path = await fixture.file(
      "authz.yaml",
      config([webhookConfig("one", await fixture.kubeconfig("one", webhook.url(), webhook.caPem)), rbac]),
    );
    const server = await fixture.start(tokens, `--authorization-config=${path}`);
    expect((await asJane(server, "/version")).status).toBe(500);
    expect((await call(server, "/api/v1/nodes", { token: "admin" })).status).toBe(200);
  });

  it.each([
    [[], "authorizers: Required value: at least one authorization mode must be defined"],
    [
      [{ type: "rbac", name: "x" }],
      'authorizers[0].type: Unsupported value: "rbac": supported values: "ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"',
    ],
    [[{ type: "RBAC", name: "x" }], "expected name rbac for authorizer RBAC instead of x"],
    [[rbac, rbac], 'authorizers[1].type: Duplicate value: "RBAC"'],
    [
      [{ type: "RBAC", name: "rbac", webhook: {} }],
      'authorizers[0].webhook: Invalid value: "non-null": may only be specified when type=Webhook',
    ],
    [[{ type: "Webhook", name: "x" }], "authorizers[0].webhook: Required value: required when type=Webhook"],
    [
      [{ type: "Webhook", name: "X", webhook: { timeout: "31s", connectionInfo: { type: "KubeConfigFile", kubeConfigFile: "rel" } } }],
      /^\[authorizers\[0\]\.name: Invalid value: "X": authorizer name is invalid: .*, authorizers\[0\]\.timeout: Invalid value: "31s": must be > 0s and <= 30s, authorizers\[0\]\.subjectAccessReviewVersion: Required value, authorizers\[0\]\.failurePolicy: Required value, authorizers\[0\]\.connectionInfo\.kubeConfigFile: Invalid value: "rel": must be an absolute path\]$/,
    ],
    [
      [webhookConfig("x", "/none/such", { matchConditions: [{ expression: "" }] })],
      "[authorizers[0].matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are specified, " +
        'authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "/none/such": error loading file: stat /none/such: no such file or directory, ' +
        "authorizers[0].matchConditions[0].expression: Required value]",
    ],
    [
      [
        webhookConfig("x", "/dev/null", {
          matchConditionSubjectAccessReviewVersion: "v1",
          matchConditions: [{ expression: "request.user" }],
        }),
      ],
      /authorizers\[0\]\.matchConditions\[0\]\.expression: Invalid value: "request\.user": must evaluate to bool/,
    ],
    [[{ type: "Webhook", name: "x", webhook: { time: 1 } }], "authorizers[0].webhook.time: unknown field"],
  ])("is refused with the fields that are wrong: %j", async (authorizers, message) => {
    const path = await fixture.file("authz.yaml", config(authorizers));
    const text = (await fixture.problem(`--authorization-config=${path}`)).replace(/^--authorization-config: /, "");
    if (typeof message === "string") expect(text).toBe(message);
    else expect(text).toMatch(message);
  });
});
