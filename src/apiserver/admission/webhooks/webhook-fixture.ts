// For tests: a resource handler with the webhook plugins (and others) in front of it, and a real webhook server that answers
// reviews by a function of the request. Timeouts run on the fixture's virtual clock.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { notFound } from "../../../api/meta/status-error.ts";
import { silentLogger } from "../../../base/log.ts";
import { MetricsRegistry } from "../../../base/metrics.ts";
import type { Client } from "../../../client/client.ts";
import { builtInDefinitions } from "../../registry/definitions.ts";
import type { Connects, Creators } from "../../registry/handler-types.ts";
import { createFixture, type Fixture } from "../../registry/request-fixture.ts";
import { describedResources } from "../../registry/resources/all.ts";
import { servedKinds } from "../../registry/served-kinds.ts";
import type { ResourceStores } from "../../registry/stores.ts";
import { createWebhookClient } from "../../webhook/create-webhook-client.ts";
import { createServiceResolver } from "../../webhook/service-resolver.ts";
import { startWebhookServer, type WebhookServer } from "../../webhook/webhook-server-fixture.ts";
import type { AdmissionPlugin } from "../admission.ts";
import { type CompileMatchConditions, withoutExpressions } from "./match-conditions.ts";
import { createMutatingWebhooks } from "./mutating-webhooks.ts";
import { createValidatingWebhooks } from "./validating-webhooks.ts";
import { createWebhookMetrics } from "./webhook-metrics.ts";

/** What a webhook is asked. */
export interface Reviewed {
  readonly uid: string;
  readonly operation: string;
  readonly object: KubernetesObject | null;
  readonly oldObject: KubernetesObject | null;
  readonly name?: string;
  readonly [field: string]: unknown;
}

/** What it answers: fields of the response; the uid is added where there is none. */
export type Reviewer = (request: Reviewed, path: string) => Readonly<Record<string, unknown>>;

export interface WebhookFixture extends AsyncDisposable {
  readonly api: Fixture;
  readonly server: WebhookServer;
  readonly metrics: MetricsRegistry;
  /** Requests of the reviews so far, as "path operation resource/subresource name". */
  readonly calls: string[];
  readonly reviews: Reviewed[];
  review: Reviewer;
  /** Stores a configuration of one or more webhooks; paths tell them apart. */
  configure(kind: "Mutating" | "Validating", webhooks: readonly WebhookSpec[], name?: string): Promise<void>;
}

export interface WebhookSpec {
  /** Path of its URL, and the first part of its name: "a" is "a.example.com". */
  readonly path: string;
  readonly [field: string]: unknown;
}

export interface WebhookFixtureOptions {
  /** Run before the webhooks. */
  readonly before?: readonly AdmissionPlugin[];
  readonly compile?: CompileMatchConditions;
  readonly connects?: Connects;
  readonly creators?: Creators;
}

const everything = [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"] }];

export async function createWebhookFixture(options: WebhookFixtureOptions = {}): Promise<WebhookFixture> {
  const metrics = new MetricsRegistry();
  const calls: string[] = [];
  const reviews: Reviewed[] = [];
  const server = await startWebhookServer((body, request) => {
    const { apiVersion, request: asked } = body as { readonly apiVersion: string; readonly request: Reviewed };
    const path = (request.url ?? "").slice(1).split("?")[0] ?? "";
    const { resource } = asked["resource"] as { readonly resource: string };
    const at = asked["subResource"] === undefined ? resource : `${resource}/${String(asked["subResource"])}`;
    calls.push([path, asked.operation, at, asked.name ?? ""].join(" ").trim());
    reviews.push(asked);
    const response = fixture.review(asked, path);
    if (response["hangs"]) return undefined;
    if (response["raw"] !== undefined) return { body: response["raw"], status: Number(response["status"] ?? 200) };
    return { body: { kind: "AdmissionReview", apiVersion, response: { uid: asked.uid, allowed: true, ...response } } };
  });
  let client: ReturnType<typeof createWebhookClient> | undefined;
  const api = createFixture({
    definitions: builtInDefinitions(describedResources),
    ...(options.connects ? { connects: options.connects } : {}),
    ...(options.creators ? { creators: options.creators } : {}),
    admissionOf: (stores, clock) => {
      client = createWebhookClient({ clock });
      const deps = {
        reader: stores.reader,
        client: readingClient(stores),
        kinds: servedKinds(stores),
        metrics: createWebhookMetrics(metrics),
        resolve: createServiceResolver({ reader: stores.reader, clock }),
        webhooks: client,
        clock,
        logger: silentLogger,
      };
      const { before = [], compile = withoutExpressions } = options;
      return [...before, createMutatingWebhooks(deps, compile), createValidatingWebhooks(deps, compile)];
    },
  });
  const fixture: WebhookFixture = {
    api,
    server,
    metrics,
    calls,
    reviews,
    review: () => ({}),
    async configure(kind, webhooks, name = "hooks") {
      const body = {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: `${kind}WebhookConfiguration`,
        metadata: { name },
        webhooks: webhooks.map(({ path, ...more }) => ({
          name: `${path}.example.com`,
          clientConfig: { url: server.url(`/${path}`), caBundle: server.caBundle },
          rules: everything,
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          ...more,
        })),
      };
      const collection = `/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}webhookconfigurations`;
      const { status, body: answer } = await api.send("POST", collection, { body, contentType: "application/json" });
      if (status !== 201) throw new Error(`configuration refused: ${answer.message}`);
    },
    [Symbol.asyncDispose]: async () => {
      await client?.stop();
      await api.stop();
      await server[Symbol.asyncDispose]();
    },
  };
  return fixture;
}

function readingClient(stores: ResourceStores): Pick<Client, "get"> {
  return {
    get: async (type, at) => {
      const store = stores.forType(type);
      const found = await store.read(store.keyOf(at.namespace ?? "", at.name));
      if (!found) throw notFound(type, at.name);
      return found.object as never; // of the type that was asked for
    },
  };
}

/** A JSON patch as answers carry it. */
export function patchAnswer(...operations: readonly unknown[]): Readonly<Record<string, unknown>> {
  return { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(operations)).toString("base64") };
}
