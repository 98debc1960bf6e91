import { describe, expect, it } from "vitest";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import { impersonationStage } from "./impersonation-stage.ts";
import { answerOk, fakeContext, type RequestFixture } from "./request-fixture.ts";
import type { UserInfo } from "./user.ts";

const admin: UserInfo = { name: "admin", groups: ["system:masters"] };

const allowing = (allows: (a: AuthorizationAttributes) => boolean): Authorizer => ({
  authorize: (a) => ({ decision: allows(a) ? "allow" : "no-opinion", reason: "" }),
});

async function impersonate(headers: NonNullable<RequestFixture["headers"]>, allows: (a: AuthorizationAttributes) => boolean = () => true) {
  const context = fakeContext({ headers, user: admin });
  await impersonationStage(allowing(allows))(context, answerOk);
  return context;
}

describe("impersonationStage()", () => {
  it("leaves other requests alone", async () => {
    const context = await impersonate({});
    expect(context.user).toBe(admin);
    expect(context.impersonator).toBeUndefined();
  });

  it("acts as the user asked for and remembers who asked", async () => {
    const context = await impersonate({ "impersonate-user": "jane", "impersonate-group": ["devs", "ops"] });
    expect(context.user).toEqual({ name: "jane", groups: ["devs", "ops", "system:authenticated"] });
    expect(context.impersonator).toBe(admin);
  });

  it("carries uid and extra, whose keys may be percent-encoded", async () => {
    const { user } = await impersonate({
      "impersonate-user": "jane",
      "impersonate-uid": "u-7",
      "impersonate-extra-acme.com%2fproject": "p1",
      "impersonate-extra-scopes": ["view", "edit"],
    });
    expect(user).toEqual({
      name: "jane",
      uid: "u-7",
      groups: ["system:authenticated"],
      extra: { "acme.com/project": ["p1"], scopes: ["view", "edit"] },
    });
  });

  it("takes the first of several users and uids, and any key of an extra for one", async () => {
    const { user } = await impersonate({
      "impersonate-user": ["jane", "eve"],
      "impersonate-uid": ["u-7", "u-8"],
      "impersonate-extra-__proto__": "p1",
    });
    expect(user).toMatchObject({ name: "jane", uid: "u-7" });
    expect(Object.entries(user.extra ?? {})).toEqual([["__proto__", ["p1"]]]);
  });

  it("adds the groups that go with a service account or with anonymous", async () => {
    expect((await impersonate({ "impersonate-user": "system:serviceaccount:ns:a" })).user.groups).toEqual([
      "system:serviceaccounts",
      "system:serviceaccounts:ns",
      "system:authenticated",
    ]);
    expect((await impersonate({ "impersonate-user": "system:anonymous" })).user.groups).toEqual(["system:unauthenticated"]);
  });

  it.each([
    [
      { "impersonate-user": "eve" },
      'users "eve" is forbidden: User "admin" cannot impersonate resource "users" in API group "" at the cluster scope',
    ],
    [
      { "impersonate-user": "bob", "impersonate-group": "devs" },
      'groups "devs" is forbidden: User "admin" cannot impersonate resource "groups" in API group "" at the cluster scope',
    ],
    [
      { "impersonate-user": "bob", "impersonate-uid": "7" },
      'uids.authentication.k8s.io "7" is forbidden: User "admin" cannot impersonate resource "uids" in API group "authentication.k8s.io" at the cluster scope',
    ],
    [
      { "impersonate-user": "bob", "impersonate-extra-scopes": "x" },
      'userextras.authentication.k8s.io "x" is forbidden: User "admin" cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io" at the cluster scope',
    ],
    [
      { "impersonate-user": "system:serviceaccount:kube-system:admin" },
      'serviceaccounts "admin" is forbidden: User "admin" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "kube-system"',
    ],
  ])("asks for each part, once the user is known to impersonate without constraints: %j", async (headers, message) => {
    const stage = impersonationStage(allowing((a) => a.verb === "impersonate" && a.resource === "users" && a.name === "bob"));
    await stage(fakeContext({ headers: { "impersonate-user": "bob" }, user: admin }), answerOk);
    await expect(stage(fakeContext({ headers, user: admin }), answerOk)).rejects.toMatchObject({ code: 403, message });
  });

  it("refuses parts without a user", async () => {
    const context = fakeContext({ headers: { "impersonate-group": "devs" } });
    const refused = await impersonationStage(allowing(() => true))(context, answerOk);
    expect(refused).toMatchObject({ status: 400, headers: { "X-Content-Type-Options": "nosniff" } });
  });
});

describe("constrained impersonation", () => {
  const podsOf = { isResourceRequest: true, resource: "pods", namespace: "ns", verb: "list" };
  const asked = async (
    headers: NonNullable<RequestFixture["headers"]>,
    permissions: readonly string[],
    user: UserInfo = { name: "carol", groups: [] },
  ) => {
    const context = fakeContext({ headers, user, info: podsOf });
    const stage = impersonationStage(allowing((a) => permissions.includes(`${a.verb} ${a.apiGroup}/${a.resource} ${a.name}`)));
    await stage(context, answerOk);
    return context;
  };
  const group = "authentication.k8s.io";

  it("allows a user who may impersonate that user and may do so for this request", async () => {
    const context = await asked({ "impersonate-user": "bob" }, [
      `impersonate:user-info ${group}/users bob`,
      "impersonate-on:user-info:list /pods ",
    ]);
    expect(context.user).toEqual({ name: "bob", groups: ["system:authenticated"] });
    expect(context.impersonationConstraint).toBe("impersonate:user-info");
  });

  it("refuses with what is missing first", async () => {
    await expect(asked({ "impersonate-user": "bob" }, [`impersonate:user-info ${group}/users bob`])).rejects.toMatchObject({
      message: 'pods is forbidden: User "carol" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "ns"',
    });
  });

  it("never allows system:masters", async () => {
    const permissions = [
      `impersonate:user-info ${group}/users bob`,
      `impersonate:user-info ${group}/groups system:masters`,
      "impersonate-on:user-info:list /pods ",
    ];
    await expect(asked({ "impersonate-user": "bob", "impersonate-group": "system:masters" }, permissions)).rejects.toMatchObject({
      code: 403,
      message: expect.stringContaining("impersonating the system:masters group is not allowed"),
    });
  });

  it("asks once for many groups", async () => {
    const permissions = [
      `impersonate:user-info ${group}/users bob`,
      `impersonate:user-info ${group}/groups *`,
      "impersonate-on:user-info:list /pods ",
    ];
    const headers = { "impersonate-user": "bob", "impersonate-group": ["a", "b", "c", "d"] };
    expect((await asked(headers, permissions)).user.groups).toEqual(["a", "b", "c", "d", "system:authenticated"]);
    await expect(asked({ ...headers, "impersonate-group": ["a"] }, permissions)).rejects.toMatchObject({ code: 403 });
  });

  it("lets a service account be the node its token names, and no other", async () => {
    const account: UserInfo = {
      name: "system:serviceaccount:ns:agent",
      groups: [],
      extra: { "authentication.kubernetes.io/node-name": ["n1"] },
    };
    const permissions = [`impersonate:associated-node ${group}/nodes *`, "impersonate-on:associated-node:list /pods "];
    expect((await asked({ "impersonate-user": "system:node:n1" }, permissions, account)).user).toEqual({
      name: "system:node:n1",
      groups: ["system:nodes", "system:authenticated"],
    });
    await expect(asked({ "impersonate-user": "system:node:n2" }, permissions, account)).rejects.toMatchObject({ code: 403 });
  });
});
