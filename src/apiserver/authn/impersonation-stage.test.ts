import { describe, expect, it } from "vitest";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import { impersonationStage } from "./impersonation-stage.ts";
import { answerOk, fakeContext, type RequestFixture } from "./request-fixture.ts";
import type { UserInfo } from "./user.ts";

const admin: UserInfo = { name: "admin", groups: ["system:masters"] };

async function impersonate(headers: NonNullable<RequestFixture["headers"]>, allows: (a: AuthorizationAttributes) => boolean = () => true) {
  const context = fakeContext({ headers, user: admin });
  const authorizer: Authorizer = { authorize: (a) => ({ decision: allows(a) ? "allow" : "no-opinion", reason: "" }) };
  await impersonationStage(authorizer)(context, answerOk);
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
  ])("asks for each part: %j", async (headers, message) => {
    await expect(impersonate(headers, (a) => a.resource === "users" && a.name === "bob")).rejects.toMatchObject({ code: 403, message });
  });

  it("refuses parts without a user", async () => {
    await expect(impersonate({ "impersonate-group": "devs" })).rejects.toMatchObject({ code: 400 });
  });
});
