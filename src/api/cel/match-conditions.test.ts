import { describe, expect, it } from "vitest";
import { KnownAnswers } from "./access.ts";
import type { AdmissionInput } from "./admission-environment.ts";
import { compileIdentityExpression } from "./authentication-expressions.ts";
import { authorizationConditionProblem, compileAuthorizationConditions } from "./authorization-conditions.ts";
import type { AccessAnswer, AccessQuestion } from "./library/authorizer.ts";
import { compileMatchConditions, matchConditionProblems } from "./match-conditions.ts";

const pods = { group: "", version: "v1", resource: "pods" };
const pod = { group: "", version: "v1", kind: "Pod" };

function input(more: Partial<AdmissionInput> = {}): AdmissionInput {
  return {
    object: { metadata: { name: "p", labels: { app: "web" } } },
    request: {
      kind: pod,
      resource: pods,
      requestKind: pod,
      requestResource: pods,
      name: "p",
      namespace: "ns",
      operation: "CREATE",
      userInfo: { username: "jane" },
      dryRun: false,
      options: {},
    },
    user: { name: "jane", groups: ["devs"] },
    access: new KnownAnswers(() => ({ allowed: false, reason: "" })),
    ...more,
  };
}

const evaluate = (expressions: readonly string[], more: Partial<AdmissionInput> = {}, failurePolicy?: "Fail" | "Ignore") =>
  compileMatchConditions(
    expressions.map((expression, i) => ({ name: `c${i}`, expression })),
    { failurePolicy },
  )?.evaluate(input(more));

describe("compileMatchConditions()", () => {
  it("matches where all are true", async () => {
    const conditions = ["object.metadata.name == 'p'", "request.userInfo.username == 'jane'", "oldObject == null"];
    expect(await evaluate(conditions)).toEqual({ kind: "matches" });
    expect(compileMatchConditions([])).toBeUndefined();
  });

  it("excludes by the first that is false, whatever fails", async () => {
    expect(await evaluate(["object.missing == 1", "false", "false"])).toEqual({ kind: "excluded", condition: "c1" });
  });

  it("tells what failed, or ignores it", async () => {
    const failed = "expression 'object.missing == 1' resulted in error: no such key: missing";
    expect(await evaluate(["object.missing == 1", "true"])).toEqual({ kind: "failed", message: failed });
    expect(await evaluate(["object.missing == 1"], {}, "Ignore")).toEqual({ kind: "excluded" });
    const two = await evaluate(["object.a == 1", "object.b == 1"]);
    expect(two).toMatchObject({ kind: "failed", message: expect.stringMatching(/^\[.*, .*\]$/s) });
  });

  it("waits for the authorizer, and asks it each thing once", async () => {
    const asked: AccessQuestion[] = [];
    const decide = async (question: AccessQuestion): Promise<AccessAnswer> => {
      asked.push(question);
      return { allowed: question.verb === "get", reason: "because" };
    };
    const check = "authorizer.group('apps').resource('deployments').subresource('scale').namespace('n').name('d')";
    const more = { access: new KnownAnswers(decide) };
    const conditions = [
      `${check}.check('get').allowed()`,
      `${check}.check('get').reason() == 'because'`,
      `!${check}.check('put').allowed()`,
    ];
    expect(await evaluate(conditions, more)).toEqual({ kind: "matches" });
    expect(asked.map(({ verb }) => verb)).toEqual(["get", "put"]);
    expect(asked[0]).toMatchObject({ apiGroup: "apps", resource: "deployments", subresource: "scale", namespace: "n", name: "d" });
  });

  it("asks for the request's own resource, for paths and for service accounts", async () => {
    const asked: string[] = [];
    const access = new KnownAnswers(({ user, isResourceRequest, path, resource, name, verb }) => {
      asked.push([user.name, verb, isResourceRequest ? `${resource}/${name}` : path].join(" "));
      return { allowed: true, reason: "" };
    });
    const conditions = [
      "authorizer.requestResource.check('delete').allowed()",
      "authorizer.path('/healthz').check('get').allowed()",
      "authorizer.serviceAccount('ns', 'robot').group('').resource('pods').check('list').allowed()",
    ];
    expect(await evaluate(conditions, { access })).toEqual({ kind: "matches" });
    expect(asked).toEqual(["jane delete pods/p", "jane get /healthz", "system:serviceaccount:ns:robot list pods/"]);
  });

  it("fails when its budget ends", async () => {
    const checks = Array.from({ length: 8 }, (_, i) => `authorizer.path('/${i}').check('get').errored() == false`);
    expect(await evaluate(checks)).toEqual({
      kind: "failed",
      message: "validation failed due to running out of cost budget, no further validation rules will be run",
    });
  });
});

describe("matchConditionProblems()", () => {
  const problems = (expression: string): string[] =>
    matchConditionProblems(expression, "f", { params: false }).map(({ message }) => message);

  it("tells what does not compile, or gives something else than true or false", () => {
    expect(problems("object.a == 1")).toEqual([]);
    expect(problems("'x'")).toEqual([`f: Invalid value: "'x'": must evaluate to bool but got string`]);
    expect(problems(" params.a == 1 ")).toEqual([
      "f: Invalid value: \"params.a == 1\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.a == 1\n | ^",
    ]);
  });
});

describe("conditions of authorization webhooks", () => {
  it("are about the review", () => {
    const conditions = compileAuthorizationConditions([
      "has(request.resourceAttributes)",
      "request.resourceAttributes.namespace == 'kube-system'",
      "!('system:masters' in request.groups)",
    ]);
    const review = { user: "jane", groups: ["devs"], resourceAttributes: { namespace: "kube-system", verb: "get" } };
    expect(conditions.matches(review)).toBe(true);
    expect(conditions.matches({ ...review, groups: ["system:masters"] })).toBe(false);
    expect(conditions.matches({ user: "jane", nonResourceAttributes: { path: "/", verb: "get" } })).toBe(false);
    expect(authorizationConditionProblem("request.user").problem).toBe("must evaluate to bool but got string");
    expect(authorizationConditionProblem("'a'.find('(')").problem).toBe("must evaluate to bool but got string");
    expect(authorizationConditionProblem("'a'.find('(') == ''")).toMatchObject({
      problem: "program instantiation failed: error parsing regexp: missing closing ): `(`",
      isInternal: true,
    });
  });
});

describe("compileIdentityExpression()", () => {
  it("makes values of claims, and rules over users", () => {
    const groups = compileIdentityExpression("claims", "claims.roles.split(',').map(r, 'x:' + r)");
    if ("problem" in groups) throw new Error(groups.problem);
    expect(groups.evaluate({ roles: "a,b" })).toEqual(["x:a", "x:b"]);
    // Numbers of claims are floating-point ones.
    const name = compileIdentityExpression("claims", "string(claims.ids[0]) + '/' + string(claims.n)");
    if ("problem" in name) throw new Error(name.problem);
    expect(name.evaluate({ ids: [1234567], n: 5 })).toBe("1.234567e+06/5");
    const rule = compileIdentityExpression("user", "!user.username.startsWith('system:')", { isRule: true });
    if ("problem" in rule) throw new Error(rule.problem);
    expect(rule.evaluate({ username: "system:x" })).toBe(false);
    expect(compileIdentityExpression("claims", "1", { isRule: true })).toEqual({ problem: "must evaluate to bool" });
    expect(compileIdentityExpression("claims", "'a'.find('(')", { isRule: true })).toEqual({ problem: "must evaluate to bool" });
    expect(compileIdentityExpression("claims", "'a'.find('(')")).toMatchObject({ isInternal: true });
    expect(() => groups.evaluate({})).toThrow(/resulted in error: no such key: roles$/);
  });
});
