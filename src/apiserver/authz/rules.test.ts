// What rules cover of each other, and that comparing them ends soon whatever they list.
import { describe, expect, it } from "vitest";
import type { PolicyRule } from "../../api/types/rbac-v1.ts";
import { compactRules, ruleAllowsSome, TooManyPermissions, uncoveredRules } from "./rules.ts";

const listed = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe("uncoveredRules()", () => {
  const pods: PolicyRule = { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] };

  it("finds single permissions that several rules cover together", () => {
    const held: PolicyRule[] = [pods, { apiGroups: ["*"], resources: ["*/log"], verbs: ["get"] }];
    expect(uncoveredRules(held, [{ apiGroups: [""], resources: ["pods", "pods/log"], verbs: ["get"] }])).toEqual([]);
    expect(uncoveredRules(held, [{ apiGroups: [""], resources: ["pods/log"], verbs: ["get", "watch", "watch"] }])).toEqual([
      { apiGroups: [""], resources: ["pods/log"], verbs: ["watch"] },
    ]);
  });

  it("takes a rule for some names for these alone", () => {
    const named: PolicyRule = { ...pods, resourceNames: ["a", "b"] };
    expect(uncoveredRules([pods], [named])).toEqual([]);
    expect(uncoveredRules([named], [pods])).toHaveLength(2);
    expect(uncoveredRules([named], [{ ...pods, verbs: ["get"], resourceNames: ["b", "c"] }])).toEqual([
      { apiGroups: [""], resources: ["pods"], verbs: ["get"], resourceNames: ["c"] },
    ]);
  });

  it("compares paths, and stars at their end", () => {
    const held: PolicyRule[] = [{ nonResourceURLs: ["/healthz*"], verbs: ["get"] }];
    expect(uncoveredRules(held, [{ nonResourceURLs: ["/healthz/ping", "/metrics"], verbs: ["get"] }])).toEqual([
      { nonResourceURLs: ["/metrics"], verbs: ["get"] },
    ]);
  });

  it("refuses to look at what a few lists multiply to, unless a single rule covers it all", () => {
    const huge: PolicyRule = { apiGroups: listed("g", 1000), resources: listed("r", 1000), verbs: listed("v", 1000) };
    expect(() => uncoveredRules([pods], [huge])).toThrow(TooManyPermissions);
    expect(uncoveredRules([{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }], [huge])).toEqual([]);
    // Many rules count together.
    const large: PolicyRule = { apiGroups: listed("g", 20), resources: listed("r", 20), verbs: listed("v", 20) };
    expect(() => uncoveredRules([pods], Array<PolicyRule>(4).fill(large))).toThrow(TooManyPermissions);
    expect(() => uncoveredRules([pods], [{ nonResourceURLs: listed("/", 1000), verbs: listed("v", 1000) }])).toThrow(TooManyPermissions);
  });

  it("says of as many permissions as it looks at in little time what is missing", () => {
    const missing = uncoveredRules(Array<PolicyRule>(50).fill(pods), [
      { apiGroups: [""], resources: ["pods"], verbs: listed("v", 15_000) },
    ]);
    expect(missing).toHaveLength(15_000);
    const beganMs = performance.now();
    expect(compactRules(missing)).toHaveLength(1);
    expect(performance.now() - beganMs).toBeLessThan(1000);
  });
});

describe("ruleAllowsSome()", () => {
  it("looks at a path with many stars once", () => {
    const url = `/${"*".repeat(200_000)}a*`;
    const request = { user: { name: "u", groups: [] }, verb: "get", isResourceRequest: false, path: "/x" };
    const rest = { apiGroup: "", apiVersion: "", resource: "", subresource: "", namespace: "", name: "" };
    const beganMs = performance.now();
    expect(ruleAllowsSome({ nonResourceURLs: [url], verbs: ["get"] }, { ...request, ...rest })).toBe(false);
    expect(performance.now() - beganMs).toBeLessThan(1000);
  });
});
