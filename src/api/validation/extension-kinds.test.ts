// Webhooks, policy bindings, flow control and API services: a few behaviours each.
import { describe, expect, it } from "vitest";
import type { FieldError } from "../meta/field-error.ts";
import type { ValidatingWebhook, ValidatingWebhookConfiguration } from "../types/admissionregistration-v1.ts";
import type { FlowSchemaSpec, PriorityLevelConfiguration } from "../types/flowcontrol-v1.ts";
import { validateApiService, validateApiServiceName } from "./api-service.ts";
import { validateFlowSchema, validatePriorityLevel } from "./flow-control.ts";
import { validateValidatingPolicyBinding } from "./policy-binding.ts";
import { validateWebhooks } from "./webhook.ts";

const metadata = { name: "a", namespace: "", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const messages = (errors: readonly FieldError[]): string[] => errors.map((error) => error.message);

describe("validateWebhooks()", () => {
  const webhook: ValidatingWebhook = {
    name: "w.example.com",
    clientConfig: { url: "https://x.example/y" },
    sideEffects: "None",
    admissionReviewVersions: ["v1"],
  };
  const webhooks = (...list: readonly ValidatingWebhook[]): ValidatingWebhookConfiguration => ({
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata,
    webhooks: list,
  });

  it("are called over https at one place", () => {
    expect(validateWebhooks(webhooks(webhook))).toEqual([]);
    const service = { name: "s", namespace: "", port: 0, path: "x/B" };
    expect(messages(validateWebhooks(webhooks({ ...webhook, clientConfig: { service } })))).toEqual([
      "webhooks[0].clientConfig.service.name: Required value",
      "webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
      "webhooks[0].clientConfig.service.path: Invalid value: \"x/B\": must start with a '/'",
      'webhooks[0].clientConfig.service.path: Invalid value: "x/B": segment[0] may not be empty',
      expect.stringContaining("segment[1]: a lowercase RFC 1123 subdomain"),
    ]);
    expect(messages(validateWebhooks(webhooks({ ...webhook, clientConfig: { url: "ftp:///y" } })))).toEqual([
      "webhooks[0].clientConfig.url: Invalid value: \"ftp\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
      'webhooks[0].clientConfig.url: Invalid value: "": host must be specified; desired format: https://host[/path]',
    ]);
  });

  it("wildcards cover subresources", () => {
    const rules = [
      { operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods/*", "pods/log", "*/status", "a/status"] },
    ];
    expect(messages(validateWebhooks(webhooks({ ...webhook, rules })))).toEqual([
      "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log",
      "webhooks[0].rules[0].resources[3]: Invalid value: \"a/status\": if '*/status' is present, must not specify a/status",
    ]);
  });

  it("names that were there twice may stay", () => {
    const twice = webhooks(webhook, webhook);
    expect(messages(validateWebhooks(twice, webhooks(webhook)))).toEqual(['webhooks[1].name: Duplicate value: "w.example.com"']);
    expect(validateWebhooks(twice, twice)).toEqual([]);
  });
});

describe("validateValidatingPolicyBinding()", () => {
  it("denying and warning say the same", () => {
    const spec = { policyName: "p", validationActions: ["Deny", "Warn"] };
    const binding = { apiVersion: "admissionregistration.k8s.io/v1", kind: "ValidatingAdmissionPolicyBinding", metadata, spec } as const;
    expect(messages(validateValidatingPolicyBinding(binding))).toEqual([
      expect.stringMatching(/^spec\.validationActions: Invalid value: \["Deny","Warn"\]: must not contain both Deny and Warn/),
    ]);
  });
});

describe("flow control", () => {
  it("subjects are of one kind", () => {
    const spec: FlowSchemaSpec = {
      matchingPrecedence: 1,
      priorityLevelConfiguration: { name: "exempt" },
      rules: [
        {
          subjects: [{ kind: "Group", user: { name: "u" } }],
          nonResourceRules: [{ verbs: ["eat"], nonResourceURLs: ["/a*"] }],
        },
      ],
    };
    const schema = { apiVersion: "flowcontrol.apiserver.k8s.io/v1", kind: "FlowSchema", metadata, spec } as const;
    expect(messages(validateFlowSchema(schema))).toEqual([
      "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
      "spec.rules[0].subjects[0].group: Required value: group is required when subject kind is 'Group'",
      "spec.rules[0].subjects[0].user: Forbidden: user is forbidden when subject kind is not 'User'",
      expect.stringMatching(/^spec\.rules\[0\]\.nonResourceRules\[0\]\.verbs: Unsupported value: \["eat"\]: supported values: "create", /),
      'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "/a*": wildcard can only do suffix matching',
    ]);
  });

  it("hands of queues fit into the hash", () => {
    const limitResponse = { type: "Queue", queuing: { queues: 1024, handSize: 7, queueLengthLimit: 1 } };
    const spec = { type: "Limited", limited: { limitResponse } };
    const level = { apiVersion: "flowcontrol.apiserver.k8s.io/v1", kind: "PriorityLevelConfiguration", metadata, spec } as const;
    expect(messages(validatePriorityLevel(level))).toEqual([
      "spec.limited.limitResponse.queuing.handSize: Invalid value: 7: required entropy bits of deckSize 1024 and handSize 7 should not be greater than 60",
    ]);
  });
});

describe("mandatory flow control", () => {
  const level = (name: string, spec: object) =>
    ({
      apiVersion: "flowcontrol.apiserver.k8s.io/v1",
      kind: "PriorityLevelConfiguration",
      metadata: { ...metadata, name },
      spec,
    }) as PriorityLevelConfiguration;
  const exempt = { type: "Exempt", exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } };
  const limited = { type: "Limited", limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: "Reject" } } };
  const mandatory = {
    schemas: new Map(),
    levels: new Map([
      ["exempt", exempt as PriorityLevelConfiguration["spec"]],
      ["catch-all", limited as PriorityLevelConfiguration["spec"]],
    ]),
  };

  it("stays as it is, but for the shares of what is exempt", () => {
    expect(validatePriorityLevel(level("exempt", { ...exempt, exempt: { nominalConcurrencyShares: 9 } }), mandatory)).toEqual([]);
    expect(validatePriorityLevel(level("catch-all", limited), mandatory)).toEqual([]);
    const changed = { type: "Limited", limited: { ...limited.limited, nominalConcurrencyShares: 6 } };
    expect(messages(validatePriorityLevel(level("catch-all", changed), mandatory))).toEqual([
      expect.stringMatching(
        /^spec: Invalid value: \{"Type":"Limited","Limited":\{"NominalConcurrencyShares":6,.*spec of 'catch-all' must equal the fixed value$/,
      ),
    ]);
  });
});

describe("validateApiService()", () => {
  it("names and priorities", () => {
    const spec = { version: "v1", group: "g.io", groupPriorityMinimum: 0, versionPriority: 1001, insecureSkipTLSVerify: true };
    const service = {
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      metadata: { ...metadata, name: "v1.g.io" },
      spec,
    } as const;
    expect(messages(validateApiService(service))).toEqual([
      "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
      "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
      "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
    ]);
    expect(validateApiServiceName(service)).toEqual([]);
    expect(messages(validateApiServiceName({ ...service, spec: { ...spec, group: "h.io" } }))).toEqual([
      'metadata.name: Invalid value: "v1.g.io": must be `spec.version+"."+spec.group`: "v1.h.io"',
    ]);
  });
});
