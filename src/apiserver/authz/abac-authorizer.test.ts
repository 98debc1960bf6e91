// Which lines of a policy file are policies.
import { describe, expect, it } from "vitest";
import { createAbacAuthorizer } from "./abac-authorizer.ts";
import type { AuthorizationAttributes } from "./authorizer.ts";

const request = (user: string): AuthorizationAttributes => ({
  user: { name: user, groups: ["system:authenticated"] },
  verb: "get",
  isResourceRequest: true,
  path: "",
  apiGroup: "",
  apiVersion: "v1",
  resource: "pods",
  subresource: "",
  namespace: "default",
  name: "",
});

describe("createAbacAuthorizer()", () => {
  it("takes a line without a version for one of the older form, in which what is not said matches everything", () => {
    const authorizer = createAbacAuthorizer('{"kind":"Policy","user":"a"}', "f");
    expect(authorizer.authorize(request("a"))).toMatchObject({ decision: "allow" });
    expect(authorizer.authorize(request("b"))).toMatchObject({ decision: "no-opinion" });
  });

  it("matches paths by what stands before the stars at the end, and compares in time that is proportional to the pattern", () => {
    const line = (nonResourcePath: string): string =>
      JSON.stringify({ apiVersion: "abac.authorization.kubernetes.io/v1beta1", kind: "Policy", spec: { user: "a", nonResourcePath } });
    const decide = (pattern: string, path: string): unknown =>
      createAbacAuthorizer(line(pattern), "f").authorize({ ...request("a"), isResourceRequest: false, resource: "", namespace: "", path });
    expect(decide("/x/**", "/x/y")).toMatchObject({ decision: "allow" });
    expect(decide("/x/**", "/y/x")).toMatchObject({ decision: "no-opinion" });
    expect(decide(`/${"*".repeat(300_000)}x*`, "/y")).toMatchObject({ decision: "no-opinion" });
  });

  it("refuses lines of other versions and kinds, instead of letting everybody do everything", () => {
    const create = (line: string) => () => createAbacAuthorizer(`# policies\n${line}`, "f");
    expect(create('{"apiVersion":"x/v1","kind":"Policy"}')).toThrow(
      'error reading policy file f, line 2: {"apiVersion":"x/v1","kind":"Policy"}: no kind "Policy" is registered for version "x/v1"',
    );
    expect(create('{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Foo"}')).toThrow('no kind "Foo" is registered');
    expect(create('{"kind":"Foo","user":"a"}')).toThrow('no kind "Foo" is registered');
  });
});
