import { describe, expect, it } from "vitest";
import { encryptionOf, parseEncryptionConfig } from "./encryption-config.ts";

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";
const secret = Buffer.alloc(32, 1).toString("base64");
const parse = (text: string) => parseEncryptionConfig(head + text);

describe("parseEncryptionConfig()", () => {
  it("finds the providers of a resource by the first entry that names it", async () => {
    const config = await parse(`
resources:
- {resources: [secrets, deployments.apps], providers: [{secretbox: {keys: [{name: a, secret: ${secret}}]}}]}
- {resources: ["*.apps"], providers: [{identity: {}}]}
- {resources: ["*."], providers: [{aesgcm: {keys: [{name: b, secret: ${secret}}]}}]}
`);
    const kind = (group: string, resource: string) => encryptionOf(config, group, resource)?.providers[0]?.kind;
    expect(kind("", "secrets")).toBe("secretbox");
    expect(kind("apps", "deployments")).toBe("secretbox");
    expect(kind("apps", "daemonsets")).toBe("identity");
    expect(kind("", "pods")).toBe("aesgcm");
    expect(kind("batch", "jobs")).toBeUndefined();
    const all = await parse('resources: [{resources: ["*.*"], providers: [{identity: {}}]}]');
    expect(encryptionOf(all, "any.example.com", "things")).toBeDefined();
  });

  it("gives a resource that several entries name the providers of all of them", async () => {
    const config = await parse(`
resources:
- {resources: [secrets, pods], providers: [{aescbc: {keys: [{name: "a:b", secret: ${secret}}]}}]}
- {resources: [secrets], providers: [{identity: {}}]}
`);
    const kinds = (resource: string) => encryptionOf(config, "", resource)?.providers.map(({ kind }) => kind);
    expect(kinds("secrets")).toEqual(["aescbc", "identity"]);
    expect(kinds("pods")).toEqual(["aescbc"]);
  });

  it.each([
    ["resources: []", "resources: expected at least one"],
    ["resources: [{resources: [secrets], providers: []}]", "resources[0].providers: expected at least one"],
    ["resources: [{resources: [secrets], providers: [{rot13: {}}]}]", "rot13: unknown field"],
    ["resources: [{resources: [secrets], providers: [{}]}]", "expected exactly one of identity, aescbc"],
    ["resources: [{resources: [secrets], providers: [{aescbc: {keys: []}}]}]", "aescbc.keys: expected at least one"],
    [
      "resources: [{resources: [secrets], providers: [{aescbc: {keys: [{name: a, secret: AAAA}]}}]}]",
      "expected base64 of 16, 24, 32 bytes, found 3",
    ],
    [
      `resources: [{resources: [secrets], providers: [{aesgcm: {keys: [{name: a, secret: "${secret.replace("=", "")}"}]}}]}]`,
      "secrets must be base64 encoded",
    ],
    ["resources: [{resources: [Secrets], providers: [{identity: {}}]}]", '"Secrets": resource name should not contain capital letters'],
    ['resources: [{resources: ["*"], providers: [{identity: {}}]}]', "use '*.' to encrypt all the resources from core API group"],
    ['resources: [{resources: ["secrets.*"], providers: [{identity: {}}]}]', "encrypting the same resource across groups"],
    ["resources: [{resources: [ingresses.extensions], providers: [{identity: {}}]}]", "'extensions' group has been removed"],
    ["resources: [{resources: [serviceipallocations], providers: [{identity: {}}]}]", "do not have REST API/s"],
    ['resources: [{resources: ["*.events.k8s.io"], providers: [{identity: {}}]}]', 'stored as "events"'],
    ['resources: [{resources: ["*.*", pods], providers: [{identity: {}}]}]', "using overlapping resources"],
    ['resources: [{resources: [pods, "*."], providers: [{identity: {}}]}]', "using overlapping resources"],
    ["resources: [{resources: [pods, pods], providers: [{identity: {}}]}]", "the same resource cannot be specified multiple times"],
    [
      'resources: [{resources: ["*.apps"], providers: [{identity: {}}]}, {resources: [deployments.apps], providers: [{identity: {}}]}]',
      'resource "deployments.apps" is masked by earlier rule "*.apps"',
    ],
    [
      'resources: [{resources: ["*.*"], providers: [{identity: {}}]}, {resources: ["*."], providers: [{identity: {}}]}]',
      'resource "*." is masked by earlier rule "*.*"',
    ],
    ["resources: [{resources: [secrets], providers: [{kms: {name: k, endpoint: unix:///k}}]}]", "KMS v1 is deprecated and not served"],
    [
      "resources: [{resources: [secrets], providers: [{kms: {apiVersion: v2, name: k, endpoint: http://k}}]}]",
      "expected unix:///absolute/path",
    ],
    [
      "resources: [{resources: [secrets], providers: [{kms: {apiVersion: v2, name: k, endpoint: unix:///k, cachesize: 5}}]}]",
      "not used with KMS v2",
    ],
  ])("refuses %s", async (text, problem) => {
    await expect(parse(text)).rejects.toThrow(problem);
  });
});
