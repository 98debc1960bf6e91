import { describe, expect, onTestFinished, test } from "vitest";
import type { AdmissionPlugin, AdmissionRequest } from "../admission.ts";
import { configMap, createPolicyFixture, mapsPath, type PolicyFixture, policiesPath, rulesFor } from "./policy-fixture.ts";

async function setUp(before?: readonly AdmissionPlugin[]): Promise<PolicyFixture> {
  const fixture = await createPolicyFixture(before);
  onTestFinished(() => fixture.stop());
  return fixture;
}

const merge = { contentType: "application/merge-patch+json" };

describe("a validating policy", () => {
  const noBad = { validations: [{ expression: "!has(object.data) || object.data.a != 'bad'", message: "bad is bad" }] };

  test("refuses under its name, with the reason's code", async () => {
    const f = await setUp();
    await f.policy("Validating", "p", { validations: [{ ...noBad.validations[0], reason: "Forbidden" }] });
    expect((await f.post(mapsPath, configMap("good", { a: "good" }))).status).toBe(201);
    const { status, body } = await f.post(mapsPath, configMap("m", { a: "bad" }));
    const message = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: bad is bad";
    expect([status, body.reason, body.message]).toEqual([403, "Forbidden", `configmaps "m" is forbidden: ${message}`]);
    expect(body["details"]).toEqual({ name: "m", kind: "configmaps", causes: [{ message }] });
  });

  test("is nothing without a binding, and follows changes", async () => {
    const f = await setUp();
    await f.policy("Validating", "p", noBad);
    await f.send("DELETE", `${policiesPath}/validatingadmissionpolicybindings/p`);
    expect((await f.post(mapsPath, configMap("a", { a: "bad" }))).status).toBe(201);
    const binding = { metadata: { name: "p" }, spec: { policyName: "p", validationActions: ["Deny"] } };
    await f.post(`${policiesPath}/validatingadmissionpolicybindings`, binding);
    expect((await f.post(mapsPath, configMap("b", { a: "bad" }))).status).toBe(422);
    const body = { spec: { validations: [{ expression: "true" }] } };
    await f.send("PATCH", `${policiesPath}/validatingadmissionpolicies/p`, { ...merge, body });
    expect((await f.post(mapsPath, configMap("b", { a: "bad" }))).status).toBe(201);
  });

  test("warns where its binding says so, and lets pass", async () => {
    const f = await setUp();
    await f.policy("Validating", "p", noBad, { validationActions: ["Warn", "Audit"] });
    const { status, warnings } = await f.post(mapsPath, configMap("m", { a: "bad" }));
    expect([status, warnings]).toEqual([201, ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p': bad is bad"]]);
  });

  test("notes its failures for the audit log, as JSON that is safe in markup", async () => {
    const noted = new Map<string, string>();
    const recorder = {
      name: "Recorder",
      handles: () => true,
      validate(request: AdmissionRequest): void {
        request.annotate = (key, value) => void noted.set(key, value);
      },
    };
    const f = await setUp([recorder]);
    await f.policy("Validating", "p", { validations: [{ expression: "size(object.data) < 1" }] }, { validationActions: ["Audit"] });
    expect((await f.post(mapsPath, configMap("m", { a: "x" }))).status).toBe(201);
    expect(noted.get("validation.policy.admission.k8s.io/validation_failure")).toBe(
      '[{"message":"failed expression: size(object.data) \\u003c 1","policy":"p","binding":"p","expressionIndex":0,"validationActions":["Audit"]}]',
    );
  });

  test("is counted where it fails, with the consequence", async () => {
    const f = await setUp();
    await f.policy("Validating", "p", noBad, { validationActions: ["Warn", "Audit"] });
    await f.policy("Validating", "q", { failurePolicy: "Ignore", validations: [{ expression: "object.data.b == ''" }] });
    await f.post(mapsPath, configMap("m", { a: "bad" }));
    const lines = f.metrics.text().match(/^apiserver_validating_admission_policy_check_total.*/gm);
    const series = (policy: string, action: string): string =>
      `apiserver_validating_admission_policy_check_total{policy="${policy}",policy_binding="${policy}",error_type="invalid_error",enforcement_action="${action}"} 1`;
    expect(lines?.sort()).toEqual([series("p", "audit"), series("p", "warn"), series("q", "allow")]);
  });

  test("is for what its rules and selectors, and those of its binding, take in", async () => {
    const f = await setUp();
    const refuse = { validations: [{ expression: "false" }] };
    const excludeResourceRules = [
      { apiGroups: [""], apiVersions: ["v1"], operations: ["*"], resources: ["configmaps"], resourceNames: ["free"] },
    ];
    const matchConstraints = rulesFor(["configmaps", "namespaces"], { excludeResourceRules, objectSelector: { matchLabels: { x: "1" } } });
    await f.policy(
      "Validating",
      "p",
      { ...refuse, matchConstraints },
      { matchResources: { namespaceSelector: { matchLabels: { env: "test" } } } },
    );
    const labels = { labels: { x: "1" } };
    expect((await f.post(mapsPath, configMap("m"))).status).toBe(201);
    expect((await f.post(mapsPath, configMap("n", {}, labels))).status).toBe(422);
    expect((await f.post(mapsPath, configMap("free", {}, labels))).status).toBe(201);
    expect((await f.post("/api/v1/namespaces", { metadata: { name: "other", ...labels } })).status).toBe(201);
    expect((await f.post("/api/v1/namespaces", { metadata: { name: "third", labels: { x: "1", env: "test" } } })).status).toBe(422);
    expect((await f.post("/api/v1/namespaces/other/configmaps", configMap("n", {}, labels))).status).toBe(201);
  });

  test("sees the version that its rules ask for", async () => {
    const f = await setUp();
    const resourceRules = [
      { apiGroups: ["autoscaling"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["horizontalpodautoscalers"] },
    ];
    const expression = "object.apiVersion == 'autoscaling/v1' && request.kind.version == 'v1' && request.requestKind.version == 'v2'";
    const messageExpression = "string(object.apiVersion)";
    await f.policy("Validating", "p", {
      matchConstraints: { resourceRules },
      validations: [{ expression: `!(${expression})`, messageExpression }],
    });
    const hpa = {
      metadata: { name: "h" },
      spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" } },
    };
    const { status, body } = await f.post("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", hpa);
    expect([status, body.message]).toEqual([422, expect.stringMatching(/denied request: autoscaling\/v1$/)]);
  });

  test("runs for each parameter object that its binding finds", async () => {
    const f = await setUp();
    const spec = {
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      validations: [{ expression: "size(object.data) <= int(params.data.max)", messageExpression: "'at most ' + params.data.max" }],
    };
    const paramRef = { selector: { matchLabels: { limits: "1" } }, parameterNotFoundAction: "Allow" };
    const objectSelector = { matchLabels: { limited: "1" } };
    await f.post(mapsPath, configMap("five", { max: "5" }, { labels: { limits: "1" } }));
    await f.policy("Validating", "p", { ...spec, matchConstraints: rulesFor(["configmaps"], { objectSelector }) }, { paramRef });
    const limited = (name: string): object => configMap(name, { a: "1", b: "2" }, { labels: { limited: "1" } });
    expect((await f.post(mapsPath, limited("a"))).status).toBe(201);
    await f.post(mapsPath, configMap("one", { max: "1" }, { labels: { limits: "1" } }));
    expect((await f.post(mapsPath, limited("b"))).body.message).toMatch(/denied request: at most 1$/);
    await f.send("DELETE", `${mapsPath}/one`);
    await f.send("DELETE", `${mapsPath}/five`);
    expect((await f.post(mapsPath, limited("b"))).status).toBe(201);
    const body = { spec: { paramRef: { parameterNotFoundAction: "Deny" } } };
    await f.send("PATCH", `${policiesPath}/validatingadmissionpolicybindings/p`, { ...merge, body });
    expect((await f.post(mapsPath, limited("c"))).body.message).toMatch(
      /denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction$/,
    );
  });

  test("cannot be used with parameters of an unknown kind", async () => {
    const f = await setUp();
    const spec = { paramKind: { apiVersion: "example.com/v1", kind: "Nope" }, validations: [{ expression: "true" }] };
    await f.policy("Validating", "p", spec, { paramRef: { name: "x", parameterNotFoundAction: "Allow" } });
    expect((await f.post(mapsPath, configMap("m"))).body.message).toBe(
      "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Nope'",
    );
    await f.send("PATCH", `${policiesPath}/validatingadmissionpolicies/p`, { ...merge, body: { spec: { failurePolicy: "Ignore" } } });
    expect((await f.post(mapsPath, configMap("m"))).status).toBe(201);
  });

  test("asks the authorizer, and is not asked about policies itself", async () => {
    const f = await setUp();
    const expression = "authorizer.requestResource.check('get').allowed()";
    await f.policy("Validating", "p", { validations: [{ expression }], matchConstraints: rulesFor(["*"]) });
    expect((await f.post(mapsPath, configMap("m"))).status).toBe(201);
    expect(f.asked).toMatchObject([{ verb: "get", resource: "configmaps", namespace: "default", name: "m", isResourceRequest: true }]);
    await f.policy("Validating", "never", { validations: [{ expression: "false" }], matchConstraints: rulesFor(["*"]) });
    expect((await f.post(mapsPath, configMap("n"))).status).toBe(422);
    expect((await f.send("DELETE", `${policiesPath}/validatingadmissionpolicies/never`)).status).toBe(200);
  });

  test("has to compile to be created", async () => {
    const f = await setUp();
    const spec = { matchConstraints: rulesFor(["pods"]), validations: [{ expression: "object.x ==" }] };
    const { status, body } = await f.post(`${policiesPath}/validatingadmissionpolicies`, { metadata: { name: "p" }, spec });
    expect([status, body.message]).toEqual([
      422,
      expect.stringContaining('Invalid value: "object.x ==": compilation failed: ERROR: <input>:1:12: Syntax error'),
    ]);
  });
});

describe("a mutating policy", () => {
  const apply = (expression: string): object => ({ mutations: [{ patchType: "ApplyConfiguration", applyConfiguration: { expression } }] });
  const patch = (expression: string): object => ({ mutations: [{ patchType: "JSONPatch", jsonPatch: { expression } }] });
  const label = (key: string, value: string): string => `Object{metadata: Object.metadata{labels: {"${key}": ${value}}}}`;

  test("changes the object, after those before it", async () => {
    const f = await setUp();
    await f.policy("Mutating", "a", apply(label("a", "request.operation")));
    await f.policy("Mutating", "b", patch("[JSONPatch{op: 'add', path: '/data/seen', value: object.metadata.labels.a}]"));
    const { body } = await f.post(mapsPath, configMap("m", { x: "y" }));
    expect([body.metadata.labels, body["data"]]).toEqual([{ a: "CREATE" }, { x: "y", seen: "CREATE" }]);
  });

  test("refuses what it cannot change, unless failures are ignored", async () => {
    const f = await setUp();
    await f.policy("Mutating", "p", patch("[JSONPatch{op: 'remove', path: '/data/nope'}]"));
    const { status, body } = await f.post(mapsPath, configMap("m", { x: "y" }));
    const message =
      "policy 'p' with binding 'p' denied request: JSON Patch: error in remove for path: '/data/nope': Unable to remove nonexistent key: nope: missing value";
    expect([status, body.reason, body.message]).toEqual([403, "Invalid", message]);
    await f.send("PATCH", `${policiesPath}/mutatingadmissionpolicies/p`, { ...merge, body: { spec: { failurePolicy: "Ignore" } } });
    expect((await f.post(mapsPath, configMap("m", { x: "y" }))).status).toBe(201);
    await f.policy("Mutating", "q", { ...patch("[JSONPatch{op: 'add', path: '/metadata/foo', value: 1}]"), failurePolicy: "Ignore" });
    expect((await f.post(mapsPath, configMap("n"))).body.message).toBe(
      'Internal error occurred: strict decoding error: unknown field "metadata.foo"',
    );
  });

  test("is asked again when something has changed the object since, where it wants that", async () => {
    const f = await setUp();
    const count =
      "Object{metadata: Object.metadata{annotations: {'n': string(has(object.metadata.annotations) && 'n' in object.metadata.annotations ? int(object.metadata.annotations.n) + 1 : 1)}}}";
    await f.policy("Mutating", "counts", { ...apply(count), reinvocationPolicy: "IfNeeded" });
    await f.policy("Mutating", "labels", { ...apply(label("x", "'1'")), reinvocationPolicy: "Never" });
    const { body } = await f.post(mapsPath, configMap("m"));
    expect([body.metadata.annotations, body.metadata.labels]).toEqual([{ n: "2" }, { x: "1" }]);
  });

  test("is asked again where it wants that once anything was patched, also by itself", async () => {
    const f = await setUp();
    const more = patch("[JSONPatch{op: 'add', path: '/data/n', value: object.data.?n.orValue('') + 'x'}]");
    await f.policy("Mutating", "more", { ...more, reinvocationPolicy: "IfNeeded" });
    expect((await f.post(mapsPath, configMap("m", { a: "1" }))).body.data).toEqual({ a: "1", n: "xx" });
  });

  test("says what it cannot make an object of, and keeps the kind that a patch takes away", async () => {
    const f = await setUp();
    await f.policy("Mutating", "p", apply("Object{binaryData: {'a': '!!'}}"));
    expect((await f.post(mapsPath, configMap("m"))).body.message).toBe(
      "policy 'p' with binding 'p' denied request: unable to convert unstructured object to /v1, Kind=ConfigMap: error decoding from json: illegal base64 data at input byte 0",
    );
    const g = await setUp();
    await g.policy("Mutating", "p", patch("[JSONPatch{op: 'remove', path: '/kind'}]"));
    expect((await g.post(mapsPath, configMap("m"))).status).toBe(201);
  });

  test("lets be what its match conditions exclude, and reads parameters", async () => {
    const f = await setUp();
    await f.post(mapsPath, configMap("params", { team: "blue" }));
    const matchConditions = [{ name: "not-params", expression: "object.metadata.name != 'other'" }];
    const spec = { ...apply(label("team", "params.data.team")), matchConditions, paramKind: { apiVersion: "v1", kind: "ConfigMap" } };
    await f.policy("Mutating", "p", spec, { paramRef: { name: "params", parameterNotFoundAction: "Deny" } });
    expect((await f.post(mapsPath, configMap("m"))).body.metadata.labels).toEqual({ team: "blue" });
    expect((await f.post(mapsPath, configMap("other"))).body.metadata.labels).toBeUndefined();
  });
});
