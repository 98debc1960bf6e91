import { expect, test } from "vitest";
import type { ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec } from "../types/admissionregistration-v1.ts";
import { builtInType } from "./built-in-type.ts";
import { checkPolicyTypes, type KnownKinds } from "./type-check.ts";

const kinds: KnownKinds = {
  kindsOf: ({ group, version, resource }) => {
    const kind = { deployments: "Deployment", pods: "Pod" }[resource];
    return kind ? [{ group, version, kind }] : [];
  },
  typeOf: builtInType,
};

const rule = (apiGroups: readonly string[], resources: readonly string[]) => ({
  apiGroups,
  apiVersions: ["v1"],
  operations: ["CREATE"],
  resources,
});

const check = (spec: ValidatingAdmissionPolicySpec) =>
  checkPolicyTypes({ spec } as ValidatingAdmissionPolicy, kinds).map(({ fieldRef, warning }) => [fieldRef, warning]);

test("checkPolicyTypes() tells of fields that the kinds have not, for each kind", () => {
  const matchConstraints = { resourceRules: [rule(["apps"], ["deployments"]), rule([""], ["pods", "pods/status"])] };
  const validations = [
    { expression: "object.spec.replicas > 1" },
    { expression: "object.metadata.name != ''", messageExpression: "object.foo" },
  ];
  expect(check({ matchConstraints, validations })).toEqual([
    [
      "spec.validations[0].expression",
      "/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'replicas'\n | object.spec.replicas > 1\n | ...........^\n",
    ],
    [
      "spec.validations[1].messageExpression",
      "/v1, Kind=Pod: ERROR: <input>:1:7: undefined field 'foo'\n | object.foo\n | ......^\n\napps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'foo'\n | object.foo\n | ......^\n",
    ],
  ]);
});

test("checkPolicyTypes() knows the types of parameters and variables, and leaves out wildcards", () => {
  const matchConstraints = { resourceRules: [rule(["apps"], ["deployments"])] };
  const spec = {
    paramKind: { apiVersion: "v1", kind: "ConfigMap" },
    variables: [{ name: "n", expression: "object.spec.replicas" }],
    validations: [{ expression: "variables.n > int(params.data.max)" }, { expression: "variables.n == 'x'" }],
  };
  expect(check({ ...spec, matchConstraints })).toEqual([
    ["spec.validations[1].expression", expect.stringContaining("found no matching overload for '_==_' applied to '(int, string)'")],
  ]);
  expect(check({ ...spec, matchConstraints: { resourceRules: [rule(["*"], ["deployments"])] } })).toEqual([]);
});

test("checkPolicyTypes() does not look up all that the lists of a rule multiply to", () => {
  const many = (name: string): string[] => Array.from({ length: 5000 }, (_, index) => `${name}${index}`);
  const rules = { ...rule(many("g"), many("r")), apiVersions: many("v") };
  let lookedUp = 0;
  const counting: KnownKinds = {
    ...kinds,
    kindsOf: () => {
      lookedUp++;
      return [];
    },
  };
  const spec = { matchConstraints: { resourceRules: [rules] }, validations: [{ expression: "true" }] };
  expect(checkPolicyTypes({ spec } as unknown as ValidatingAdmissionPolicy, counting)).toEqual([]);
  expect(lookedUp).toBe(10_000);
});
