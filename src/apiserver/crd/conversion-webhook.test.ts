import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { realClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { createWebhookClient } from "../webhook/create-webhook-client.ts";
import type { WebhookClient } from "../webhook/webhook-client.ts";
import { startWebhookServer, type WebhookServer } from "../webhook/webhook-server-fixture.ts";
import { type CustomFixture, createCustomFixture } from "./custom-fixture.ts";

const inV1 = "/apis/example.com/v1/namespaces/default/widgets";
const inV2 = inV1.replace("/v1/", "/v2/");

interface Sent {
  readonly apiVersion: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: Readonly<Record<string, unknown>>;
}

interface Review {
  readonly apiVersion: string;
  readonly request: { readonly uid: string; readonly desiredAPIVersion: string; readonly objects: readonly Sent[] };
}

/** v1 has spec.colour, v2 spec.paint, and a label that tells it. */
function convert(object: Sent, apiVersion: string): unknown {
  const value = object.spec?.["colour"] ?? object.spec?.["paint"];
  const labels = { ...object.metadata.labels, paint: String(value) };
  const spec = apiVersion.endsWith("v2") ? { paint: value, odd: true } : { colour: value };
  return { ...object, apiVersion, metadata: { ...object.metadata, labels, finalizers: ["example.com/ignored"] }, spec };
}

const success = ({ apiVersion, request: { uid, desiredAPIVersion, objects } }: Review): { body: object } => {
  const convertedObjects = objects.map((object) => convert(object, desiredAPIVersion));
  return { body: { apiVersion, kind: "ConversionReview", response: { uid, result: { status: "Success" }, convertedObjects } } };
};

const schemaOf = (field: string): object => ({
  openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties: { [field]: { type: "string" } } } } },
});

describe("a definition with a conversion webhook", () => {
  let webhook: WebhookServer;
  let client: WebhookClient;
  let fixture: CustomFixture;
  let metrics: MetricsRegistry;

  beforeEach(async () => {
    webhook = await startWebhookServer((review) => success(review as Review));
    client = createWebhookClient({ clock: realClock });
    metrics = new MetricsRegistry();
    fixture = createCustomFixture(async () => client, metrics);
    await fixture.define({
      metadata: { name: "widgets.example.com" },
      spec: {
        group: "example.com",
        scope: "Namespaced",
        names: { plural: "widgets", kind: "Widget" },
        versions: [
          { name: "v1", served: true, storage: true, schema: schemaOf("colour") },
          { name: "v2", served: true, storage: false, schema: schemaOf("paint"), selectableFields: [{ jsonPath: ".spec.paint" }] },
        ],
        conversion: {
          strategy: "Webhook",
          webhook: {
            conversionReviewVersions: ["v3", "v1", "v1beta1"],
            clientConfig: { url: webhook.url("/convert"), caBundle: webhook.caBundle },
          },
        },
      },
    });
  });

  afterEach(async () => {
    await fixture.stop();
    await client.stop();
    await webhook[Symbol.asyncDispose]();
  });

  const create = (name: string, colour: string): ReturnType<CustomFixture["send"]> =>
    fixture.send("POST", inV1, { body: { kind: "Widget", metadata: { name }, spec: { colour } } });
  const storedAs = async (name: string): Promise<unknown> => {
    const kv = await fixture.store.get(`/registry/example.com/widgets/default/${name}`);
    return JSON.parse(Buffer.from(kv?.value ?? "").toString());
  };
  const calls = (): readonly Review[] => webhook.bodies as Review[];

  it("converts what is read, keeps metadata but for labels and annotations, and drops what the version does not know", async () => {
    await create("w", "red");
    expect(calls()).toHaveLength(0);
    const { body } = await fixture.send("GET", `${inV2}/w`);
    expect(body).toMatchObject({ apiVersion: "example.com/v2", kind: "Widget", metadata: { name: "w", labels: { paint: "red" } } });
    expect(body["spec"]).toEqual({ paint: "red" });
    expect(body.metadata.finalizers).toBeUndefined();
    const [call] = calls();
    expect(call).toMatchObject({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "ConversionReview",
      request: { desiredAPIVersion: "example.com/v2", objects: [{ apiVersion: "example.com/v1", spec: { colour: "red" } }] },
    });
  });

  it("has its calls counted by how they ended", async () => {
    await create("a", "red");
    await fixture.send("GET", `${inV2}/a`);
    webhook.answer = () => ({ body: {} });
    await fixture.send("GET", `${inV2}/a`);
    const counted = metrics.text();
    expect(counted).toMatch(/^apiserver_conversion_webhook_request_total\{failure_type="",result="success"\} [1-9]/m);
    expect(counted).toContain(
      'apiserver_conversion_webhook_request_total{failure_type="conversion_webhook_malformed_response_failure",result="failure"} 1',
    );
    for (const succeeded of ["true", "false"])
      expect(counted).toMatch(
        new RegExp(
          `^apiserver_crd_conversion_webhook_duration_seconds_count\\{.*from_version="v1",succeeded="${succeeded}",to_version="v2"\\} [1-9]`,
          "m",
        ),
      );
  });

  it("converts a list in one call, and nothing twice", async () => {
    for (const name of ["a", "b", "c"]) await create(name, "red");
    const list = await fixture.send("GET", inV2);
    expect(list.body.items.map((item) => item.apiVersion)).toEqual(Array(3).fill("example.com/v2"));
    expect(calls().map(({ request }) => request.objects.length)).toEqual([3]);
    await fixture.send("GET", inV2);
    expect(calls()).toHaveLength(1);
  });

  it("selects by what the served version has", async () => {
    await create("a", "red");
    await create("b", "blue");
    for (const query of ["fieldSelector=spec.paint%3Dblue", "labelSelector=paint%3Dblue"]) {
      const { body } = await fixture.send("GET", `${inV2}?${query}`);
      expect(body.items.map((item) => item.metadata.name)).toEqual(["b"]);
    }
    const page = await fixture.send("GET", `${inV2}?labelSelector=paint&limit=1`);
    expect(page.body.items.map((item) => item.metadata.name)).toEqual(["a"]);
    const token = (page.body.metadata as { readonly continue?: string }).continue ?? "";
    const rest = await fixture.send("GET", `${inV2}?labelSelector=paint&limit=1&continue=${encodeURIComponent(token)}`);
    expect(rest.body.items.map((item) => item.metadata.name)).toEqual(["b"]);
  });

  it("stores what is written in the storage version", async () => {
    const created = await fixture.send("POST", inV2, { body: { kind: "Widget", metadata: { name: "w" }, spec: { paint: "red" } } });
    expect(created.status).toBe(201);
    expect(await storedAs("w")).toMatchObject({ apiVersion: "example.com/v1", spec: { colour: "red" } });
    const merged = await fixture.merge(`${inV2}/w`, { spec: { paint: "blue" } });
    expect(merged.body["spec"]).toEqual({ paint: "blue" });
    expect(await storedAs("w")).toMatchObject({ apiVersion: "example.com/v1", spec: { colour: "blue" } });
  });

  it("writes an object that is stored in an older version when it is written without a change", async () => {
    await create("w", "red");
    await fixture.redefine("widgets.example.com", [
      { op: "replace", path: "/spec/versions/0/storage", value: false },
      { op: "replace", path: "/spec/versions/1/storage", value: true },
    ]);
    const { body } = await fixture.send("GET", `${inV2}/w`);
    const same = await fixture.send("PUT", `${inV2}/w`, { body });
    expect(same.status).toBe(200);
    expect(await storedAs("w")).toMatchObject({ apiVersion: "example.com/v2", spec: { paint: "red" } });
    const again = await fixture.send("PUT", `${inV2}/w`, { body: same.body });
    expect(again.body.metadata.resourceVersion).toBe(same.body.metadata.resourceVersion);
  });

  it("converts the events of a watch, and sees objects come and go by what the served version says", async () => {
    await create("a", "red");
    const all = await fixture.watch(`${inV2}?watch=true`);
    const blue = await fixture.watch(`${inV2}?watch=true&fieldSelector=spec.paint%3Dblue`);
    await fixture.merge(`${inV1}/a`, { spec: { colour: "blue" } });
    await fixture.merge(`${inV1}/a`, { spec: { colour: "green" } });
    await fixture.send("DELETE", `${inV1}/a`);
    await vi.waitFor(() => expect(all.events).toHaveLength(4), 60_000);
    expect(all.events.map(({ type, object }) => [type, object["spec"]])).toEqual([
      ["ADDED", { paint: "red" }],
      ["MODIFIED", { paint: "blue" }],
      ["MODIFIED", { paint: "green" }],
      ["DELETED", { paint: "green" }],
    ]);
    await vi.waitFor(() => expect(blue.events).toHaveLength(2), 60_000);
    expect(blue.events.map(({ type, object }) => [type, object["spec"]])).toEqual([
      ["ADDED", { paint: "blue" }],
      ["DELETED", { paint: "blue" }],
    ]);
    all.stream.close();
    blue.stream.close();
  });

  it("fails reads, writes and watches when the webhook does, and never shows the stored version instead", async () => {
    await create("w", "red");
    webhook.answer = () => ({ status: 500, body: "broken" });
    const message =
      'conversion webhook for example.com/v1, Kind=Widget failed: an error on the server ("unknown") has prevented the request from succeeding';
    for (const path of [`${inV2}/w`, inV2]) {
      const { status, body } = await fixture.send("GET", path);
      expect([status, body.message]).toEqual([500, message]);
    }
    const refused = await fixture.send("POST", inV2, { body: { kind: "Widget", metadata: { name: "x" }, spec: { paint: "red" } } });
    expect(refused.body.message).toContain("conversion webhook for example.com/v2, Kind=Widget failed");
    const watch = await fixture.watch(`${inV2}?watch=true`);
    await watch.ended;
    expect(watch.events).toMatchObject([{ type: "ERROR", object: { kind: "Status", message } }]);
    expect((await fixture.send("GET", `${inV1}/w`)).status).toBe(200);
  });

  it("is sent no revisions, and fails when it answers with no review or no object", async () => {
    await create("w", "red");
    const sent: unknown[] = [];
    const messageOf = async (answer: (request: { uid: string }) => object): Promise<string> => {
      webhook.answer = (body) => {
        const { request } = body as { request: { uid: string; objects: { metadata: object }[] } };
        sent.push(...request.objects.map(({ metadata }) => "resourceVersion" in metadata));
        return { body: answer(request) };
      };
      return (await fixture.send("GET", `${inV2}/w`)).body.message as string;
    };
    const review = { apiVersion: "apiextensions.k8s.io/v1", kind: "ConversionReview" };
    const result = { status: "Success" };
    expect(await messageOf(() => ({ apiVersion: "v1", kind: "Status" }))).toMatch(
      /failed: converting \(v1\.Status\) to \(v1\.ConversionReview\): unknown conversion$/,
    );
    expect(await messageOf(({ uid }) => ({ ...review, response: { uid, result, convertedObjects: [null] } }))).toBe(
      "unexpected end of JSON input",
    );
    expect(await messageOf(({ uid }) => ({ ...review, response: { uid, result, convertedObjects: [{}] } }))).toBe(
      "Object 'Kind' is missing in '{}'",
    );
    expect(sent).toEqual([false, false, false]);
  });

  it("ends with its definition though the webhook is gone", async () => {
    await create("w", "red");
    webhook.answer = () => ({ status: 500, body: "broken" });
    await fixture.send("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com");
    await fixture.settle();
    expect((await fixture.send("GET", `${inV1}/w`)).status).toBe(404);
    expect(await fixture.store.get("/registry/example.com/widgets/default/w")).toBeUndefined();
  });

  const answering = (change: (object: Record<string, unknown>) => unknown, response: object = {}) => {
    webhook.answer = (review) => {
      const { apiVersion, request } = review as Review;
      const convertedObjects = request.objects.map((object) =>
        change(convert(object, request.desiredAPIVersion) as Record<string, unknown>),
      );
      const answered = { uid: request.uid, result: { status: "Success" }, convertedObjects, ...response };
      return { body: { apiVersion, kind: "ConversionReview", response: answered } };
    };
  };
  const subject = "conversion webhook for example.com/v1, Kind=Widget";

  it.each<readonly [string, (object: Record<string, unknown>) => unknown, object, string]>([
    [
      "another version",
      (object) => ({ ...object, apiVersion: "example.com/v3" }),
      {},
      `${subject} returned invalid object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v3)`,
    ],
    [
      "another kind",
      (object) => ({ ...object, kind: "Gadget" }),
      {},
      `${subject} returned invalid object at index 0: invalid kind (expected Widget, received Gadget)`,
    ],
    [
      "another name",
      (object) => ({ ...object, metadata: { ...(object["metadata"] as object), name: "x" } }),
      {},
      `${subject} returned invalid object: must have the same name: w != x`,
    ],
    [
      "another uid",
      (object) => ({ ...object, metadata: { ...(object["metadata"] as object), uid: "x" } }),
      {},
      `${subject} returned invalid object: must have the same UID: `,
    ],
    [
      "labels that are none",
      (object) => ({ ...object, metadata: { ...(object["metadata"] as object), labels: { a: 1 } } }),
      {},
      `${subject} returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object`,
    ],
    ["nothing", (object) => object, { convertedObjects: [] }, `${subject} returned 0 objects, expected 1`],
    ["a failure", (object) => object, { result: { status: "Failure", message: "no way" } }, `${subject} failed: no way`],
    ["another request's answer", (object) => object, { uid: "other" }, `${subject} failed: expected response.uid=`],
  ])("refuses %s", async (_, change, response, message) => {
    await create("w", "red");
    answering(change, response);
    const { status, body } = await fixture.send("GET", `${inV2}/w`);
    expect(status).toBe(500);
    expect(body.message.startsWith(message), body.message).toBe(true);
  });
});
