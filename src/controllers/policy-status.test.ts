import { describe, expect, it } from "vitest";
import { customresourcedefinitions, validatingadmissionpolicies } from "../api/resources.generated.ts";
import type { ValidatingAdmissionPolicySpec } from "../api/types/admissionregistration-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { policyStatusController } from "./policy-status.ts";

function specFor(apiGroups: readonly string[], resource: string, expression: string): ValidatingAdmissionPolicySpec {
  const rule = { apiGroups, apiVersions: ["v1"], operations: ["CREATE"], resources: [resource] };
  return { matchConstraints: { resourceRules: [rule] }, validations: [{ expression }] };
}

const make = ({ client }: ControllerFixture, spec: ValidatingAdmissionPolicySpec) =>
  client.create(validatingadmissionpolicies, { metadata: { name: "p" }, spec });

const statusOf = async ({ client }: ControllerFixture) => (await client.get(validatingadmissionpolicies, { name: "p" })).status;

const warningsOf = async (fixture: ControllerFixture) => (await statusOf(fixture))?.typeChecking?.expressionWarnings;

/** The engine is loaded with the first policy, which takes real time. */
async function settled(fixture: ControllerFixture, generation: number): Promise<void> {
  const observed = async () => {
    await fixture.settle();
    return (await statusOf(fixture))?.observedGeneration;
  };
  await expect.poll(observed, { timeout: 20_000 }).toBe(generation);
}

describe("policyStatusController", () => {
  it("warns of what the types do not have, once for each generation", async () => {
    await using fixture = createControllerFixture();
    fixture.start(policyStatusController);
    const policy = await make(fixture, specFor(["apps"], "deployments", "object.spec.replica > 1"));
    await settled(fixture, 1);
    expect(await warningsOf(fixture)).toEqual([
      {
        fieldRef: "spec.validations[0].expression",
        warning: expect.stringMatching(/^apps\/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replica'\n/),
      },
    ]);
    let writes = 0;
    fixture.api.intercept = ({ method }) => void (method === "PATCH" && writes++);
    const current = await fixture.client.get(validatingadmissionpolicies, { name: policy.metadata.name });
    await fixture.client.update(validatingadmissionpolicies, { ...current, metadata: { ...current.metadata, labels: { a: "b" } } });
    await fixture.settle();
    expect(writes).toBe(0);
    const changed = await fixture.client.get(validatingadmissionpolicies, { name: "p" });
    await fixture.client.update(validatingadmissionpolicies, { ...changed, spec: specFor(["apps"], "deployments", "object.spec.nothing") });
    await settled(fixture, 2);
    expect(await warningsOf(fixture)).toMatchObject([{ warning: expect.stringContaining("undefined field 'nothing'") }]);
  });

  it("takes no group for any group, as upstream's mapping of resources does", async () => {
    await using fixture = createControllerFixture();
    fixture.start(policyStatusController);
    await make(fixture, specFor([""], "deployment", "object.spec.nothing"));
    await settled(fixture, 1);
    expect(await warningsOf(fixture)).toMatchObject([{ warning: expect.stringMatching(/^apps\/v1, Kind=Deployment: ERROR: .*'nothing'/) }]);
  });

  it("knows the schemas of custom resources, and says nothing of kinds that are not there", async () => {
    await using fixture = createControllerFixture();
    const openAPIV3Schema = { type: "object", properties: { spec: { type: "object", properties: { size: { type: "integer" } } } } };
    await fixture.client.create(customresourcedefinitions, {
      metadata: { name: "things.x.io" },
      spec: {
        group: "x.io",
        scope: "Namespaced",
        names: { plural: "things", kind: "Thing" },
        versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema } }],
      },
    });
    fixture.start(policyStatusController);
    await make(fixture, specFor(["x.io"], "things", "object.spec.size == 'big' && object.metadata.labels.a == 'b'"));
    await settled(fixture, 1);
    expect(await warningsOf(fixture)).toMatchObject([
      { warning: expect.stringMatching(/^x.io\/v1, Kind=Thing: ERROR: <input>:1:18: found no matching overload for '_==_'[^E]*$/) },
    ]);
    await using other = createControllerFixture();
    other.start(policyStatusController);
    await make(other, specFor(["y.io"], "others", "object.spec.size == 'big'"));
    await settled(other, 1);
    expect(await warningsOf(other)).toBeUndefined();
  });
});
