import { describe, expect, it } from "vitest";
import { parseRequestInfo } from "../http/request-info.ts";
import { type AuditDecision, parseAuditPolicy } from "./audit-policy.ts";

const head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";

async function decide(policy: string, user: string, method: string, path: string, groups: readonly string[] = []): Promise<AuditDecision> {
  return (await parseAuditPolicy(head + policy)).decide({ name: user, groups }, parseRequestInfo(method, path, new URLSearchParams()));
}

const policy = `
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:kube-proxy"]
  verbs: ["watch"]
  resources: [{group: "", resources: ["endpoints", "services/status"]}]
- level: Request
  userGroups: ["auditors"]
  omitStages: [Panic]
  omitManagedFields: true
- level: RequestResponse
  resources:
  - {group: "", resources: ["configmaps"], resourceNames: ["precious"]}
  - {group: "apps"}
  - {group: "batch", resources: ["*/status", "cronjobs/*"]}
- level: Metadata
  namespaces: ["kube-system"]
- level: Metadata
  nonResourceURLs: ["/healthz*", "/version"]
`;

describe("parseAuditPolicy()", () => {
  it.each([
    ["system:kube-proxy", "GET", "/api/v1/watch/endpoints", "None"],
    ["jane", "GET", "/api/v1/namespaces/a/configmaps/precious", "RequestResponse"],
    ["jane", "GET", "/api/v1/namespaces/a/configmaps/other", "None"],
    ["jane", "GET", "/api/v1/namespaces/kube-system/configmaps/other", "Metadata"],
    ["jane", "PUT", "/apis/apps/v1/namespaces/a/deployments/d/scale", "RequestResponse"],
    ["jane", "PUT", "/apis/batch/v1/namespaces/a/jobs/j/status", "RequestResponse"],
    ["jane", "PUT", "/apis/batch/v1/namespaces/a/jobs/j", "None"],
    ["jane", "PUT", "/apis/batch/v1/namespaces/a/cronjobs/j", "RequestResponse"],
    ["jane", "GET", "/healthz/etcd", "Metadata"],
    ["jane", "GET", "/version", "Metadata"],
    ["jane", "GET", "/versions", "None"],
  ])("decides for %s %s %s by the first rule that matches: %s", async (user, method, path, level) => {
    expect((await decide(policy, user, method, path)).level).toBe(level);
  });

  it("joins the stages that policy and rule omit", async () => {
    const decision = await decide(policy, "jane", "GET", "/version", ["auditors"]);
    expect(decision).toEqual({ level: "Request", omitStages: new Set(["RequestReceived", "Panic"]), omitManagedFields: true });
  });

  it.each([
    ["rules: []", "rules: expected at least one"],
    ["rules: [{level: Everything}]", "rules[0].level: expected one of None, Metadata, Request, RequestResponse"],
    ["rules: [{level: None, resources: [{group: apps/v1}]}]", "rules[0].resources[0].group: a lowercase RFC 1123 subdomain"],
    ["rules: [{level: None, nonResourceURLs: [/a], namespaces: [x]}]", "cannot apply to both regular resources and non-resource URLs"],
    ["rules: [{level: None, nonResourceURLs: [/a*b]}]", "must be the final character"],
    ["rules: [{level: None, resources: [{resourceNames: [a]}]}]", "requires at least one resource"],
    ["omitStages: [Never]\nrules: [{level: None}]", "omitStages: expected some of RequestReceived"],
  ])("refuses %s", async (text, problem) => {
    await expect(parseAuditPolicy(head + text)).rejects.toThrow(problem);
  });

  it("matches resources of every group by *", async () => {
    const rules = 'rules: [{level: Request, resources: [{group: "*", resources: [deployments, pods/exec]}]}]';
    expect((await decide(rules, "jane", "GET", "/apis/apps/v1/deployments")).level).toBe("Request");
    expect((await decide(rules, "jane", "GET", "/api/v1/namespaces/a/pods/p/exec")).level).toBe("Request");
    expect((await decide(rules, "jane", "GET", "/api/v1/pods")).level).toBe("None");
  });

  it("tells of fields that are unknown or given twice, and reads on", async () => {
    const problems: string[] = [];
    const policy = await parseAuditPolicy(`${head}rules: [{level: None, user: [x], level: Metadata}]`, (problem) => problems.push(problem));
    expect(problems).toEqual(['line 3: key "level" already set in map: given twice', "rules[0].user: unknown field"]);
    expect(policy.decide(undefined, parseRequestInfo("GET", "/version", new URLSearchParams())).level).toBe("Metadata");
  });

  it("takes a policy that does not say what kind it is", async () => {
    await expect(parseAuditPolicy("apiVersion: audit.k8s.io/v1\nrules: [{level: None}]")).resolves.toBeDefined();
  });

  it("refuses another kind or version", async () => {
    await expect(parseAuditPolicy("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: []")).rejects.toThrow(
      "apiVersion: expected audit.k8s.io/v1",
    );
  });
});
