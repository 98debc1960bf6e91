// Custom resources on a server in a process of its own: a conversion webhook behind a service, and objects that are served
// again after a restart.
import { join } from "node:path";
import { expect, test } from "vitest";
import type { KubernetesObject } from "../../src/api/meta/object.ts";
import type { ResourceType } from "../../src/api/resource-type.ts";
import { customresourcedefinitions, services } from "../../src/api/resources.generated.ts";
import type { CustomResourceDefinition } from "../../src/api/types/apiextensions-v1.ts";
import type { Service } from "../../src/api/types/core-v1.ts";
import { startWebhookServer } from "../../src/apiserver/webhook/webhook-server-fixture.ts";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import { createHttpsTransport } from "../../src/client/https-transport.ts";
import { loadKubeconfig } from "../../src/client/kubeconfig.ts";
import { startApiServerProcess } from "../support/apiserver-process.ts";
import { temporaryDirectory, until } from "../support/processes.ts";

interface Widget extends KubernetesObject {
  readonly spec?: Readonly<Record<string, string>>;
}

const widgets = (version: string): ResourceType<Widget> => ({
  group: "example.com",
  version,
  resource: "widgets",
  singular: "widget",
  kind: "Widget",
  namespaced: true,
  verbs: ["get", "list", "create"],
  subresources: [],
});

const versionWith = (name: string, field: string, storage: boolean): object => {
  const spec = { type: "object", properties: { [field]: { type: "string" } } };
  return { name, served: true, storage, schema: { openAPIV3Schema: { type: "object", properties: { spec } } } };
};

const definition = (caBundle: string, port: number): CustomResourceDefinition =>
  ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "widgets.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "widgets", kind: "Widget" },
      versions: [versionWith("v1", "colour", true), versionWith("v2", "paint", false)],
      conversion: {
        strategy: "Webhook",
        webhook: {
          conversionReviewVersions: ["v1"],
          clientConfig: { service: { namespace: "default", name: "convert", path: "/widgets", port }, caBundle },
        },
      },
    },
  }) as unknown as CustomResourceDefinition;

interface Review {
  readonly request: { readonly uid: string; readonly desiredAPIVersion: string; readonly objects: readonly Widget[] };
}

const established = (client: Client): Promise<boolean> =>
  until("the definition is established", async () => {
    const { status } = await client.get(customresourcedefinitions, { name: "widgets.example.com" });
    return (status?.conditions ?? []).some(({ type, status: value }) => type === "Established" && value === "True");
  });

test("objects are converted by a webhook behind a service, before and after the server has started again", {
  timeout: 120_000,
}, async () => {
  const directory = await temporaryDirectory("custom");
  await using webhook = await startWebhookServer(
    (body) => {
      const { uid, desiredAPIVersion, objects } = (body as Review).request;
      const convertedObjects = objects.map(({ spec, ...object }) => ({
        ...object,
        apiVersion: desiredAPIVersion,
        spec: { paint: spec?.["colour"] },
      }));
      return {
        body: {
          apiVersion: "apiextensions.k8s.io/v1",
          kind: "ConversionReview",
          response: { uid, result: { status: "Success" }, convertedObjects },
        },
      };
    },
    ["convert.default.svc"],
  );
  const dataDir = join(directory.path, "kept");
  const withServer = async (work: (client: Client) => Promise<void>): Promise<void> => {
    // The last of a flag's values counts.
    const server = await startApiServerProcess(["--storage", "lmdb", "--data-dir", dataDir]);
    const transport = createHttpsTransport(await loadKubeconfig({ path: join(dataDir, "admin.kubeconfig") }));
    try {
      await work(createClient(transport));
    } finally {
      await transport.close();
      await server.stop();
    }
  };
  const inV2 = async (client: Client): Promise<unknown> => (await client.get(widgets("v2"), { namespace: "default", name: "w" })).spec;
  try {
    await withServer(async (client) => {
      const spec = { type: "ExternalName", externalName: "127.0.0.1" };
      await client.create(services, {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "convert", namespace: "default" },
        spec,
      } as unknown as Service);
      await client.create(customresourcedefinitions, definition(webhook.caBundle, webhook.port));
      await established(client);
      await client.create(widgets("v1"), {
        apiVersion: "example.com/v1",
        kind: "Widget",
        metadata: { name: "w", namespace: "default" },
        spec: { colour: "red" },
      } as unknown as Widget);
      expect(await inV2(client)).toEqual({ paint: "red" });
      expect(webhook.paths).toEqual(["/widgets?timeout=30s"]);
    });
    await withServer(async (client) => {
      expect(await inV2(client)).toEqual({ paint: "red" });
      expect(webhook.paths).toEqual(["/widgets?timeout=30s", "/widgets?timeout=30s"]);
    });
  } finally {
    await directory.remove();
  }
});
