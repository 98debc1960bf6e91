import { describe, expect, it } from "vitest";
import type { CustomResourceDefinition, CustomResourceDefinitionStatus } from "../../api/types/apiextensions-v1.ts";
import { AcceptedNames } from "./accepted-names.ts";
import { decideStatus } from "./decide-status.ts";

function definition(
  plural: string,
  more: { group?: string; spec?: object; metadata?: object; status?: object } = {},
): CustomResourceDefinition {
  const { group = "example.com" } = more;
  const names = { plural, singular: plural.replace(/s$/, ""), kind: plural.replace(/s$/, ""), listKind: `${plural}List` };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}`, ...more.metadata },
    spec: {
      group,
      scope: "Namespaced",
      names,
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
      ...more.spec,
    },
    status: { storedVersions: ["v1"], ...more.status },
  } as unknown as CustomResourceDefinition;
}

const told = (status: CustomResourceDefinitionStatus | undefined): readonly string[] =>
  (status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);

const besides = (
  definition: CustomResourceDefinition,
  others: readonly CustomResourceDefinition[],
): ReturnType<AcceptedNames["besides"]> => {
  const names = new AcceptedNames();
  for (const other of others) names.put(other);
  return names.besides(definition);
};

const decided = (of: CustomResourceDefinition, others: readonly CustomResourceDefinition[] = []): CustomResourceDefinition => ({
  ...of,
  status: { ...of.status, ...decideStatus(of, besides(of, others), 0) } as CustomResourceDefinitionStatus,
});

describe("decideStatus()", () => {
  it("accepts names that nobody has, and has nothing to say the second time", () => {
    const first = decided(definition("widgets"));
    expect(told(first.status)).toEqual(["NamesAccepted=True NoConflicts", "Established=True InitialNamesAccepted"]);
    expect(first.status?.acceptedNames).toEqual(first.spec.names);
    expect(decideStatus(first, besides(first, [first]), 5000)).toBeUndefined();
  });

  it("does not establish a definition whose webhook's authorities cannot be read, until they can", () => {
    const conversion = (caBundle: string): object => ({
      conversion: { strategy: "Webhook", webhook: { clientConfig: { url: "https://example.com", caBundle } } },
    });
    const unreadable = decided(definition("widgets", { spec: conversion("Cg==") }));
    expect(told(unreadable.status)).toEqual(["NamesAccepted=True NoConflicts", "Established=False InvalidCABundle"]);
    const mended = decided({ ...unreadable, spec: definition("widgets", { spec: conversion("") }).spec });
    expect(told(mended.status)).toContain("Established=True InitialNamesAccepted");
  });

  it("has nothing to say of names in another order of fields", () => {
    const names = { plural: "widgets", singular: "widget", shortNames: ["w"], kind: "Widget", listKind: "WidgetList", categories: ["all"] };
    const of = decided(definition("widgets", { spec: { names } }));
    const reordered = JSON.parse(JSON.stringify(of.status?.acceptedNames, Object.keys(names).sort())) as typeof names;
    const again = { ...of, status: { ...of.status, acceptedNames: { ...reordered, shortNames: ["w"], categories: ["all"] } } };
    expect(decideStatus(again as CustomResourceDefinition, besides(of, [of]), 5000)).toBeUndefined();
  });

  it("refuses names that another definition of the group has", () => {
    const taken = decided(definition("widgets"));
    const names = { plural: "gadgets", singular: "gadget", kind: "Gadget", listKind: "GadgetList", shortNames: ["widget"] };
    const second = decided(definition("gadgets", { spec: { names } }), [taken]);
    expect(told(second.status)).toEqual(["NamesAccepted=False ShortNamesConflict", "Established=False NotAccepted"]);
    expect(second.status?.conditions?.[0]?.message).toBe('"widget" is already in use');
  });

  it("stays established when later names conflict", () => {
    const [a, b] = [decided(definition("widgets")), decided(definition("gadgets"))];
    const changed = { ...b, spec: { ...b.spec, names: { ...b.spec.names, shortNames: ["widgets"] } } };
    expect(told(decideStatus(changed, besides(changed, [a, b]), 0))).toEqual([
      "NamesAccepted=False ShortNamesConflict",
      "Established=True InitialNamesAccepted",
    ]);
  });

  it("tells whether a protected group's definition is approved", () => {
    const of = (annotation?: string): readonly string[] => {
      const metadata = annotation === undefined ? {} : { annotations: { "api-approved.kubernetes.io": annotation } };
      const found = definition("widgets", { group: "x.k8s.io", metadata });
      return told(decideStatus(found, besides(found, []), 0)).slice(2);
    };
    expect(of()).toEqual(["KubernetesAPIApprovalPolicyConformant=False MissingAnnotation"]);
    expect(of("https://github.com/a/b/pull/1")).toEqual(["KubernetesAPIApprovalPolicyConformant=True ApprovedAnnotation"]);
    expect(of("unapproved, a test")).toEqual(["KubernetesAPIApprovalPolicyConformant=False UnapprovedAnnotation"]);
    expect(of("fine")).toEqual(["KubernetesAPIApprovalPolicyConformant=False InvalidAnnotation"]);
  });

  it("tells of schemas that are not structural until they are", () => {
    const old = decided(definition("widgets", { spec: { preserveUnknownFields: true } }));
    const found = old.status?.conditions?.find(({ type }) => type === "NonStructuralSchema");
    expect(found).toMatchObject({
      status: "True",
      reason: "Violations",
      message: "spec.preserveUnknownFields: Invalid value: true: must be false",
    });
    const mended = { ...old, spec: { ...old.spec, preserveUnknownFields: false } };
    expect(told(decideStatus(mended, besides(mended, []), 0))).toEqual([
      "NamesAccepted=True NoConflicts",
      "Established=True InitialNamesAccepted",
    ]);
  });
});
