import { describe, expect, it } from "vitest";
import { shapeOf } from "../patch/managed-fields/shape.ts";
import { builtInSchemas } from "../schema/schema.ts";
import type { MutatingAdmissionPolicySpec, Mutation, ValidatingAdmissionPolicySpec } from "../types/admissionregistration-v1.ts";
import { KnownAnswers } from "./access.ts";
import type { AdmissionInput } from "./admission-environment.ts";
import { compileMutatingPolicy, MutationError } from "./mutating-policy.ts";
import { compileValidatingPolicy, type PolicyOutcome } from "./validating-policy.ts";

const resource = { group: "apps", version: "v1", resource: "deployments" };
const kind = { group: "apps", version: "v1", kind: "Deployment" };
const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "d", namespace: "ns", labels: { a: "1" } },
  spec: { replicas: 3, template: { spec: { containers: [{ name: "c", image: "i" }] } } },
};

const input = (more: Partial<AdmissionInput> = {}): AdmissionInput => ({
  object: deployment,
  request: {
    kind,
    resource,
    requestKind: kind,
    requestResource: resource,
    name: "d",
    namespace: "ns",
    operation: "CREATE",
    userInfo: { username: "jane" },
    dryRun: false,
    options: {},
  },
  namespaceObject: { metadata: { name: "ns", labels: { env: "test" } } },
  user: { name: "jane", groups: [] },
  access: new KnownAnswers(async ({ verb }) => ({ allowed: verb === "get", reason: "" })),
  ...more,
});

const validate = (spec: ValidatingAdmissionPolicySpec, more?: Partial<AdmissionInput>): Promise<PolicyOutcome> =>
  compileValidatingPolicy(spec).validate(input(more));
const refusals = async (spec: ValidatingAdmissionPolicySpec, more?: Partial<AdmissionInput>): Promise<readonly string[]> =>
  (await validate(spec, more)).decisions.filter(({ denies }) => denies).map(({ message }) => message);

describe("compileValidatingPolicy()", () => {
  it("refuses with the message expression, the message, or the expression", async () => {
    const validations = [
      { expression: "object.spec.replicas <= 5" },
      { expression: "object.spec.replicas <= 2", messageExpression: "'at most 2, not ' + string(object.spec.replicas)", message: "many" },
      { expression: "object.spec.replicas <= 2", messageExpression: "object.nothing", message: " many " },
      { expression: " object.spec.replicas <= 2 ", reason: "Forbidden" },
    ];
    const { decisions } = await validate({ validations });
    expect(decisions.map(({ denies, message, reason }) => [denies, message, reason])).toEqual([
      [false, "", ""],
      [true, "at most 2, not 3", "Invalid"],
      [true, "many", "Invalid"],
      [true, "failed expression: object.spec.replicas <= 2", "Forbidden"],
    ]);
  });

  it("computes variables when they are read, once, and from each other", async () => {
    const asked: string[] = [];
    const access = new KnownAnswers(({ path }) => {
      asked.push(path);
      return { allowed: true, reason: "" };
    });
    const variables = [
      { name: "replicas", expression: "object.spec.replicas" },
      { name: "double", expression: "variables.replicas * 2" },
      { name: "unused", expression: "object.not.there" },
      { name: "asks", expression: "authorizer.path('/x').check('get').allowed()" },
    ];
    const validations = [
      { expression: "variables.double == 6 && variables.asks" },
      { expression: "variables.asks && variables.replicas == 3" },
    ];
    expect(await refusals({ variables, validations }, { access })).toEqual([]);
    expect(asked).toEqual(["/x"]);
    expect(await refusals({ variables, validations: [{ expression: "variables.unused" + " == 1" }] })).toEqual([
      "expression 'variables.unused == 1' resulted in error: composited variable \"unused\" fails to evaluate: no such key: not",
    ]);
  });

  it("reads parameters, the namespace and the authorizer", async () => {
    const validations = [
      { expression: "object.spec.replicas <= int(params.data.max)" },
      { expression: "namespaceObject.metadata.labels.env == 'test' && oldObject == null" },
      { expression: "authorizer.requestResource.check('get').allowed() && !authorizer.requestResource.check('put').allowed()" },
    ];
    const spec = { paramKind: { apiVersion: "v1", kind: "ConfigMap" }, validations };
    expect(await refusals(spec, { params: { data: { max: "2" } } })).toEqual([
      "failed expression: object.spec.replicas <= int(params.data.max)",
    ]);
    expect(await refusals(spec, { params: { data: { max: "3" } } })).toEqual([]);
  });

  it("lets pass what its conditions exclude, and what fails where failures are ignored", async () => {
    const validations = [{ expression: "object.missing == 1" }];
    const failed = "expression 'object.missing == 1' resulted in error: no such key: missing";
    expect(await refusals({ validations })).toEqual([failed]);
    expect(await refusals({ validations, failurePolicy: "Ignore" })).toEqual([]);
    const matchConditions = [{ name: "none", expression: "request.operation == 'DELETE'" }];
    expect((await validate({ validations, matchConditions })).decisions).toEqual([]);
    const broken = [{ name: "broken", expression: "object.missing == 1" }];
    expect(await refusals({ validations: [{ expression: "true" }], matchConditions: broken })).toEqual([failed]);
  });

  it("annotates with texts, and with nothing for null", async () => {
    const auditAnnotations = [
      { key: "who", valueExpression: "' ' + request.userInfo.username" },
      { key: "none", valueExpression: "null" },
      { key: "bad", valueExpression: "object.missing == 1 ? 'a' : 'b'" },
    ];
    expect((await validate({ auditAnnotations })).annotations).toEqual([
      { key: "who", value: "jane" },
      { key: "bad", error: expect.stringContaining("no such key: missing") },
    ]);
  });
});

describe("compileMutatingPolicy()", () => {
  const shape = () => shapeOf(builtInSchemas.get("apps-v1.Deployment"));
  const apply = async (mutation: Mutation, spec: MutatingAdmissionPolicySpec = {}, more?: Partial<AdmissionInput>): Promise<unknown> => {
    const [compiled] = compileMutatingPolicy({ mutations: [mutation], ...spec }).mutations;
    return compiled?.apply(deployment, input(more), shape);
  };
  const patch = (expression: string): Mutation => ({ patchType: "JSONPatch", jsonPatch: { expression } });
  const configure = (expression: string): Mutation => ({ patchType: "ApplyConfiguration", applyConfiguration: { expression } });

  it("patches with the operations that the expression lists", async () => {
    const expression = `[
      JSONPatch{op: "test", path: "/spec/replicas", value: 3},
      JSONPatch{op: "replace", path: "/spec/replicas", value: object.spec.replicas + 1},
      JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("example.com/by"), value: request.userInfo.username}
    ]`;
    expect(await apply(patch(expression))).toMatchObject({
      spec: { replicas: 4 },
      metadata: { labels: { a: "1", "example.com/by": "jane" } },
    });
    expect(await apply(patch('[JSONPatch{op: "test", path: "/spec/replicas", value: 9}]'))).toEqual(deployment);
    const template = (type: string): Mutation =>
      patch(`[JSONPatch{op: "add", path: "/spec/template", value: Object.spec.template{metadata: ${type}{labels: {"x": "y"}}}}]`);
    expect(await apply(template("Object.spec.template.metadata"))).toMatchObject({
      spec: { template: { metadata: { labels: { x: "y" } } } },
    });
    expect(await apply(template("Object.metadata")).catch(String)).toContain(
      'type mismatch: unexpected type name "Object.metadata", expected "Object.spec.template.metadata"',
    );
  });

  it("tells why a patch cannot be made", async () => {
    await expect(apply(patch('[JSONPatch{op: "remove", path: "/nope"}]'))).rejects.toThrow(
      new MutationError("JSON Patch: error in remove for path: '/nope': Unable to remove nonexistent key: nope: missing value"),
    );
    await expect(apply(patch("[JSONPatch{op: 'add', path: '/x', value: object.missing}]"))).rejects.toThrow(
      "expression '[JSONPatch{op: 'add', path: '/x', value: object.missing}]' resulted in error: no such key: missing",
    );
    await expect(apply(configure("1"))).rejects.toThrow("must evaluate to Object but got int");
  });

  it("refuses values that no operation can have", async () => {
    const problem = async (value: string): Promise<string> =>
      String(await apply(patch(`[JSONPatch{op: "add", path: "/x", value: ${value}}]`)).catch((error: Error) => error.message));
    const prefix = "JSONPath valueExpression evaluated to a type that could not marshal to JSON:";
    expect(await problem("type(1)")).toBe(`${prefix} type conversion not supported for 'type'`);
    expect(await problem("quantity('1')")).toBe(`${prefix} type conversion error from 'Quantity' to '*structpb.Value'`);
    expect(await problem("{1: 2}")).toBe(`${prefix} unsupported type conversion from 'int' to string`);
  });

  it("refuses values in configurations that are of no type of JSON, in their Go form", async () => {
    const problem = async (fields: string): Promise<string> =>
      String(await apply(configure(`Object{metadata: Object.metadata{${fields}}}`)).catch((error: Error) => error.message));
    const prefix = "error applying patch: failed to convert patch object to typed object: .metadata";
    const unstructured = (value: string): string => `${prefix}.labels.x: expected string, got &value.valueUnstructured{Value:${value}}`;
    expect(await problem("labels: null")).toBe(`${prefix}.labels: expected map, got &{NULL_VALUE}`);
    expect(await problem("labels: {'x': null}")).toBe(unstructured("0"));
    expect(await problem("labels: {'x': b'ab'}")).toBe(unstructured("[]uint8{0x61, 0x62}"));
    expect(await problem("labels: {'x': duration('1s')}")).toBe(unstructured("1000000000"));
    const time = "time.Date(2020, time.March, 4, 5, 6, 7, 0, time.UTC)";
    expect(await problem("labels: {'x': timestamp('2020-03-04T05:06:07Z')}")).toBe(unstructured(time));
    expect(await problem("generation: b'a'")).toBe(`${prefix}.generation: expected numeric (int or float), got []uint8`);
    expect(await problem("labels: {1: 'a'}")).toBe("invalid return type: *dynamic.ObjectVal");
    expect(await apply(configure("Object{metadata: Object.metadata{labels: {'x': type(1)}}}"))).toMatchObject({
      metadata: { labels: { x: "int" } },
    });
  });

  it("merges the configuration that the expression makes", async () => {
    const variables = [{ name: "image", expression: "'sidecar:1'" }];
    const expression = `Object{
      metadata: Object.metadata{labels: {"b": "2"}},
      spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
        containers: [Object.spec.template.spec.containers{name: "s", image: variables.image}]
      }}}
    }`;
    expect(await apply(configure(expression), { variables })).toMatchObject({
      metadata: { labels: { a: "1", b: "2" } },
      spec: {
        replicas: 3,
        template: {
          spec: {
            containers: [
              { name: "c", image: "i" },
              { name: "s", image: "sidecar:1" },
            ],
          },
        },
      },
    });
  });

  it("does not take over what is owned as a whole, nor what is not of its type", async () => {
    const atomic = 'Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {"a": "b"}}}}';
    await expect(apply(configure(atomic))).rejects.toThrow(
      "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector",
    );
    await expect(apply(configure("Object{spec: Object.spec{nope: 1}}"))).rejects.toThrow(
      "error applying patch: failed to convert patch object to typed object: .spec.nope: field not declared in schema",
    );
    await expect(apply(configure("Object{spec: Object.other{}}"))).rejects.toThrow(
      'type mismatch: unexpected type name "Object.other", expected "Object.spec", which matches field name path from root Object type',
    );
  });
});
