import { describe, expect, it } from "vitest";
import { descriptionsOf } from "./descriptions.ts";
import { nameParameter, namespaceParameter, parameters } from "./parameters.ts";
import { SharedParameters } from "./shared-parameters.ts";

const descriptions = descriptionsOf({ "parameters.list": ["", { limit: "At most so many." }] });

describe("SharedParameters", () => {
  it("refers to what is the same at many paths, by a name with a hash", () => {
    const shared = new SharedParameters(descriptions);
    expect(shared.model(namespaceParameter)).toEqual({ $ref: "#/parameters/namespace-vgWSWtn3" });
    expect(shared.body("#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", false)).toEqual({
      $ref: "#/parameters/body-2Y1dVQaQ",
    });
    expect(shared.body("#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch", true)).toEqual({ $ref: "#/parameters/body-78PwaGsr" });
    expect(shared.shared["namespace-vgWSWtn3"]).toEqual({
      uniqueItems: true,
      type: "string",
      description: "object name and auth scope, such as for teams and projects",
      name: "namespace",
      in: "path",
      required: true,
    });
  });

  it("leaves in place what clients look for there, and what names a kind", () => {
    const shared = new SharedParameters(descriptions);
    expect(shared.model(parameters.create[0])).toMatchObject({ name: "dryRun", in: "query" });
    expect(shared.model(parameters.create[2])).toMatchObject({ name: "fieldValidation" });
    expect(shared.model(nameParameter("Pod"))).toMatchObject({ name: "name", description: "name of the Pod" });
    expect(shared.body("#/definitions/io.k8s.api.core.v1.Pod", true)).toMatchObject({ name: "body", required: true });
    expect(shared.shared).toEqual({});
  });

  it("describes parameters by their operation", () => {
    const shared = new SharedParameters(descriptions);
    for (const parameter of parameters.list) shared.model(parameter);
    const limit = Object.entries(shared.shared).find(([name]) => name.startsWith("limit-"))?.[1];
    expect(limit).toMatchObject({ type: "integer", description: "At most so many." });
  });
});
