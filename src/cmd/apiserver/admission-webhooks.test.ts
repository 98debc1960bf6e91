// A whole API server with webhooks in front of what it stores, asked over HTTPS as kubectl asks.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import {
  configmaps,
  customresourcedefinitions,
  mutatingwebhookconfigurations,
  pods,
  serviceaccounts,
  validatingwebhookconfigurations,
} from "../../api/resources.generated.ts";
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import { apiServerFlags, apiServerOptions } from "../../apiserver/options.ts";
import { startWebhookServer, type WebhookServer } from "../../apiserver/webhook/webhook-server-fixture.ts";
import { realClock } from "../../base/clock.ts";
import { parseFlags } from "../../base/flags.ts";
import { silentLogger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { type RunningApiServer, startApiServer } from "./start-apiserver.ts";

let folder: string;
let server: RunningApiServer;
let webhook: WebhookServer;
let client: Client;

interface Review {
  readonly request: { readonly uid: string; readonly operation: string; readonly name?: string; readonly object: KubernetesObject | null };
}

const answerWith = (response: object, { request }: Review) => ({
  body: { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: { uid: request.uid, ...response } },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "webhooks-"));
  const kubeconfig = join(folder, "webhooks.kubeconfig");
  await writeFile(kubeconfig, "apiVersion: v1\nkind: Config\nusers: [{name: '*', user: {token: secret}}]\n", { mode: 0o600 });
  const configuration = join(folder, "admission.yaml");
  await writeFile(
    configuration,
    `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: MutatingAdmissionWebhook
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: ${kubeconfig}}
`,
  );
  webhook = await startWebhookServer((body) => answerWith({ allowed: true }, body as Review));
  const flags = [
    ...["--storage", "memory", "--secure-port", "0", "--bind-address", "127.0.0.1", "--data-dir", join(folder, "data")],
    ...["--admission-control-config-file", configuration, "--enable-admission-plugins", "AlwaysPullImages,DenyServiceExternalIPs"],
  ];
  const { values } = parseFlags(apiServerFlags, flags);
  server = await startApiServer(apiServerOptions(values), { clock: realClock, logger: silentLogger });
  await server.ready;
  client = server.clientFor({ name: "admin", groups: ["system:masters", "system:authenticated"] });
  await client.create(serviceaccounts, { metadata: { namespace: "default", name: "default" } });
});

afterAll(async () => {
  await server.stop();
  await webhook[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const hook = (path: string, more: object = {}) => ({
  name: `${path}.example.com`,
  clientConfig: { url: webhook.url(`/${path}`), caBundle: webhook.caBundle },
  rules: [{ operations: ["CREATE", "UPDATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods", "configmaps"] }],
  sideEffects: "None" as const,
  admissionReviewVersions: ["v1"],
  namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "default" } },
  ...more,
});

describe("webhooks of a running server", () => {
  test("change and refuse what is written, and are told who they are called by", async () => {
    const tokens: unknown[] = [];
    webhook.answer = (body, request) => {
      const review = body as Review;
      if (request.url?.startsWith("/mutate")) {
        tokens.push(request.headers.authorization);
        const patch = [{ op: "add", path: "/metadata/labels", value: { mutated: "yes" } }];
        return answerWith({ allowed: true, patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") }, review);
      }
      const allowed = review.request.object?.metadata.labels?.mutated === "yes" && review.request.name !== "bad";
      return answerWith({ allowed, status: { message: "bad name", code: 403, reason: "Forbidden" }, warnings: ["seen"] }, review);
    };
    await client.create(mutatingwebhookconfigurations, { metadata: { name: "m" }, webhooks: [hook("mutate")] });
    await client.create(validatingwebhookconfigurations, { metadata: { name: "v" }, webhooks: [hook("validate")] });
    const made = await client.create(pods, {
      metadata: { namespace: "default", name: "p" },
      spec: { containers: [{ name: "c", image: "i:1", imagePullPolicy: "Never" }] },
    });
    expect(made.metadata.labels).toEqual({ mutated: "yes" });
    expect(made.spec.containers[0]?.imagePullPolicy).toBe("Always");
    expect(tokens).toEqual(["Bearer secret"]);
    await expect(client.create(configmaps, { metadata: { namespace: "default", name: "bad" } })).rejects.toMatchObject({
      message: 'admission webhook "validate.example.com" denied the request: bad name',
      code: 403,
      reason: "Forbidden",
    });
    // Other namespaces are none of their business.
    await client.create(configmaps, { metadata: { namespace: "kube-system", name: "bad" } });
    await client.delete(mutatingwebhookconfigurations, { name: "m" });
    await client.delete(validatingwebhookconfigurations, { name: "v" });
  });

  test("see custom resources in the version they ask for, and can add only what their schema has", async () => {
    const group = "hooks.example.com";
    const schema = {
      openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties: { colour: { type: "string" } } } } },
    };
    const names = { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" };
    const versions = ["v1", "v2"].map((name) => ({ name, served: true, storage: name === "v1", schema }));
    await client.create(customresourcedefinitions, {
      metadata: { name: `things.${group}` },
      spec: { group, names, scope: "Namespaced", versions } as CustomResourceDefinition["spec"],
    });
    const things: ResourceType<KubernetesObject> = {
      ...names,
      group,
      version: "v2",
      resource: "things",
      namespaced: true,
      verbs: [],
      subresources: [],
    };
    const isServed = (): Promise<boolean> =>
      client
        .list(things, { namespace: "default" })
        .then(() => true)
        .catch(() => false);
    await expect.poll(isServed).toBe(true);
    const asked: unknown[] = [];
    webhook.answer = (body) => {
      asked.push((body as Review).request.object?.apiVersion);
      const patch = [{ op: "add", path: "/spec", value: { colour: "blue", unknown: 1 } }];
      return answerWith(
        { allowed: true, patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") },
        body as Review,
      );
    };
    const rules = [{ operations: ["CREATE"], apiGroups: [group], apiVersions: ["v1"], resources: ["things"] }];
    await client.create(mutatingwebhookconfigurations, { metadata: { name: "things" }, webhooks: [hook("things", { rules })] });
    const made = await client.create(things, { metadata: { namespace: "default", name: "t" } });
    expect([made.apiVersion, (made as unknown as { readonly spec: unknown }).spec]).toEqual([`${group}/v2`, { colour: "blue" }]);
    expect(asked).toEqual([`${group}/v1`]);
    await client.delete(mutatingwebhookconfigurations, { name: "things" });
  });

  test("fail closed or open, and end at their timeout", async () => {
    webhook.answer = () => undefined;
    const hanging = { timeoutSeconds: 1, failurePolicy: "Fail" as const };
    await client.create(validatingwebhookconfigurations, { metadata: { name: "closed" }, webhooks: [hook("hang", hanging)] });
    const startedMs = realClock.monotonic();
    await expect(client.create(configmaps, { metadata: { namespace: "default", name: "a" } })).rejects.toMatchObject({
      message: `Internal error occurred: failed calling webhook "hang.example.com": failed to call webhook: Post "${webhook.url("/hang?timeout=1s")}": context deadline exceeded`,
      code: 500,
    });
    expect(realClock.monotonic() - startedMs).toBeGreaterThanOrEqual(950);
    await client.delete(validatingwebhookconfigurations, { name: "closed" });
    const service = { namespace: "default", name: "nobody" };
    const open = hook("open", { failurePolicy: "Ignore", clientConfig: { service } });
    await client.create(validatingwebhookconfigurations, { metadata: { name: "open" }, webhooks: [open] });
    await client.create(configmaps, { metadata: { namespace: "default", name: "a" } });
    expect(server.metrics.text()).toContain('apiserver_admission_webhook_fail_open_count{name="open.example.com",type="validating"} 1');
    await client.delete(validatingwebhookconfigurations, { name: "open" });
  });

  test("are called where their conditions are true, which are checked when they are configured", async () => {
    const called: unknown[] = [];
    webhook.answer = (body) => {
      called.push((body as Review).request.name);
      return answerWith({ allowed: true }, body as Review);
    };
    const conditional = (expression: string) => ({ webhooks: [hook("a", { matchConditions: [{ name: "c", expression }] })] });
    await expect(
      client.create(validatingwebhookconfigurations, { metadata: { name: "bad" }, ...conditional("object.") }),
    ).rejects.toMatchObject({
      message: expect.stringContaining('webhooks[0].matchConditions[0].expression: Invalid value: "object.": compilation failed'),
    });
    await client.create(validatingwebhookconfigurations, {
      metadata: { name: "conditional" },
      ...conditional("object.metadata.name != 'free' && request.operation == 'CREATE'"),
    });
    await client.create(configmaps, { metadata: { namespace: "default", name: "free" } });
    await client.create(configmaps, { metadata: { namespace: "default", name: "called" } });
    expect(called).toEqual(["called"]);
    await client.delete(validatingwebhookconfigurations, { name: "conditional" });
  });
});

describe("the flags of admission", () => {
  const start = (...more: string[]) => {
    const flags = ["--storage", "memory", "--secure-port", "0", "--data-dir", join(folder, "other"), ...more];
    const { values } = parseFlags(apiServerFlags, flags);
    return startApiServer(apiServerOptions(values), { clock: realClock, logger: silentLogger });
  };

  test("name what is wrong with them", async () => {
    await expect(start("--enable-admission-plugins", "NodeSecurity")).rejects.toThrow(
      '--enable-admission-plugins, --disable-admission-plugins: unknown admission plugin "NodeSecurity"',
    );
    await expect(start("--enable-admission-plugins", "EventRateLimit")).rejects.toThrow("EventRateLimit: limits: must not be empty");
    await expect(start("--admission-control-config-file", join(folder, "none"))).rejects.toThrow("--admission-control-config-file: ENOENT");
  });
});
