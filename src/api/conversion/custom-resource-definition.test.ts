import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../meta/object.ts";
import { definitionFromV1beta1 } from "./custom-resource-definition.ts";

const stored = (spec: object): KubernetesObject =>
  ({
    apiVersion: "apiextensions.k8s.io/v1beta1",
    kind: "CustomResourceDefinition",
    metadata: { name: "widgets.example.com" },
    spec: { group: "example.com", names: { plural: "widgets", kind: "Widget" }, scope: "Cluster", preserveUnknownFields: false, ...spec },
  }) as unknown as KubernetesObject;

describe("definitionFromV1beta1()", () => {
  it("gives every version what all of them share", () => {
    const { apiVersion, spec } = definitionFromV1beta1(
      stored({
        version: "v1",
        versions: [
          { name: "v1", served: true, storage: true },
          { name: "v2", served: true, storage: false },
        ],
        validation: { openAPIV3Schema: { type: "object" } },
        subresources: { status: {} },
        additionalPrinterColumns: [{ name: "Size", type: "string", JSONPath: ".spec.size" }],
        selectableFields: [{ jsonPath: ".spec.size" }],
      }),
    );
    expect(apiVersion).toBe("apiextensions.k8s.io/v1");
    const shared = {
      schema: { openAPIV3Schema: { type: "object" } },
      subresources: { status: {} },
      additionalPrinterColumns: [{ name: "Size", type: "string", jsonPath: ".spec.size" }],
      selectableFields: [{ jsonPath: ".spec.size" }],
    };
    expect(spec).toEqual({
      group: "example.com",
      names: { plural: "widgets", kind: "Widget" },
      scope: "Cluster",
      versions: [
        { name: "v1", served: true, storage: true, ...shared },
        { name: "v2", served: true, storage: false, ...shared },
      ],
    });
  });

  it("keeps what versions have of their own", () => {
    const columns = [{ name: "Size", type: "string", JSONPath: ".size" }];
    const versions = [{ name: "v1", served: true, storage: true, schema: {}, additionalPrinterColumns: columns }];
    expect(definitionFromV1beta1(stored({ versions })).spec.versions).toEqual([
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {},
        additionalPrinterColumns: [{ name: "Size", type: "string", jsonPath: ".size" }],
      },
    ]);
  });

  it("has the defaults of its version: one version, namespaced, with unknown fields", () => {
    const { spec } = definitionFromV1beta1(stored({ version: "v1", scope: undefined, preserveUnknownFields: undefined }));
    expect(spec).toMatchObject({
      scope: "Namespaced",
      preserveUnknownFields: true,
      versions: [{ name: "v1", served: true, storage: true }],
    });
  });

  it("gathers what says how a webhook is called", () => {
    const webhookClientConfig = { url: "https://example.com" };
    const of = (conversion: object) => definitionFromV1beta1(stored({ version: "v1", conversion })).spec.conversion;
    expect(of({ strategy: "None" })).toEqual({ strategy: "None" });
    expect(of({ strategy: "Webhook", webhookClientConfig, conversionReviewVersions: ["v1"] })).toEqual({
      strategy: "Webhook",
      webhook: { clientConfig: webhookClientConfig, conversionReviewVersions: ["v1"] },
    });
    expect(of({ strategy: "Webhook", webhookClientConfig })?.webhook?.conversionReviewVersions).toEqual(["v1beta1"]);
  });
});
