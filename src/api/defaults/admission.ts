// Defaults of admission webhooks and policies: what they match, and what a failure means.
import type {
  MatchResources,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  MutatingWebhook,
  MutatingWebhookConfiguration,
  NamedRuleWithOperations,
  RuleWithOperations,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
} from "../types/admissionregistration-v1.ts";
import { change, changeEach, fill } from "./fill.ts";

const httpsPort = 443;

const defaultRule = <R extends RuleWithOperations | NamedRuleWithOperations>(rule: R): R =>
  fill(rule as RuleWithOperations, { scope: "*" }) as R;

function defaultWebhook<W extends ValidatingWebhook | MutatingWebhook>(webhook: W): W {
  let w: ValidatingWebhook = fill(webhook as ValidatingWebhook, {
    failurePolicy: "Fail",
    matchPolicy: "Equivalent",
    namespaceSelector: {},
    objectSelector: {},
    timeoutSeconds: 10,
  });
  w = change(w, "clientConfig", (config) => change(config, "service", (service) => fill(service, { port: httpsPort })));
  return changeEach(w, "rules", defaultRule<RuleWithOperations>) as W;
}

export const defaultValidatingWebhooks = (configuration: ValidatingWebhookConfiguration): ValidatingWebhookConfiguration =>
  changeEach(configuration, "webhooks", defaultWebhook<ValidatingWebhook>);

export const defaultMutatingWebhooks = (configuration: MutatingWebhookConfiguration): MutatingWebhookConfiguration =>
  changeEach(configuration, "webhooks", (webhook) => fill(defaultWebhook(webhook), { reinvocationPolicy: "Never" }));

function defaultMatch(match: MatchResources): MatchResources {
  const filled = fill(match, { matchPolicy: "Equivalent", namespaceSelector: {}, objectSelector: {} });
  const included = changeEach(filled, "resourceRules", defaultRule<NamedRuleWithOperations>);
  return changeEach(included, "excludeResourceRules", defaultRule<NamedRuleWithOperations>);
}

export const defaultValidatingPolicy = (policy: ValidatingAdmissionPolicy): ValidatingAdmissionPolicy =>
  change(policy, "spec", (spec) => change(fill(spec, { failurePolicy: "Fail" }), "matchConstraints", defaultMatch));

export const defaultMutatingPolicy = (policy: MutatingAdmissionPolicy): MutatingAdmissionPolicy =>
  change(policy, "spec", (spec) => change(fill(spec, { failurePolicy: "Fail" }), "matchConstraints", defaultMatch));

export const defaultValidatingPolicyBinding = (binding: ValidatingAdmissionPolicyBinding): ValidatingAdmissionPolicyBinding =>
  change(binding, "spec", (spec) => change(spec, "matchResources", defaultMatch));

export const defaultMutatingPolicyBinding = (binding: MutatingAdmissionPolicyBinding): MutatingAdmissionPolicyBinding =>
  change(binding, "spec", (spec) => change(spec, "matchResources", defaultMatch));
