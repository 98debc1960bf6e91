// For tests: a resource handler with the policy plugins (and others) in front of it, asked as a client would.
import { notFound } from "../../../api/meta/status-error.ts";
import { MetricsRegistry } from "../../../base/metrics.ts";
import type { Client } from "../../../client/client.ts";
import type { AuthorizationAttributes } from "../../authz/authorizer.ts";
import { builtInDefinitions } from "../../registry/definitions.ts";
import { createFixture, type Fixture, type Reply } from "../../registry/request-fixture.ts";
import { describedResources } from "../../registry/resources/all.ts";
import { servedKinds } from "../../registry/served-kinds.ts";
import type { ResourceStores } from "../../registry/stores.ts";
import type { AdmissionPlugin } from "../admission.ts";
import { createMutatingPolicies } from "./mutating-policies.ts";
import type { PoliciesOfFiles } from "./policy-source.ts";
import { createValidatingPolicies } from "./validating-policies.ts";

export interface PolicyFixture extends Fixture {
  /** Questions to the authorizer, which allows only "get". */
  readonly asked: AuthorizationAttributes[];
  readonly metrics: MetricsRegistry;
  post(path: string, object: object): Promise<Reply>;
  /** Creates a policy of the kind and a binding, both named so; throws where one is refused. */
  policy(kind: "Validating" | "Mutating", name: string, spec: object, binding?: object): Promise<void>;
}

export const policiesPath = "/apis/admissionregistration.k8s.io/v1";
export const mapsPath = "/api/v1/namespaces/default/configmaps";

export const configMap = (name: string, data: Readonly<Record<string, string>> = {}, metadata: object = {}): object => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata },
  data,
});

export const rulesFor = (resources: readonly string[], more: object = {}): object => ({
  resourceRules: [{ apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources }],
  ...more,
});

export async function createPolicyFixture(before: readonly AdmissionPlugin[] = [], validating?: PoliciesOfFiles): Promise<PolicyFixture> {
  const asked: AuthorizationAttributes[] = [];
  const metrics = new MetricsRegistry();
  const api = createFixture({
    definitions: builtInDefinitions(describedResources),
    admissionOf: (stores, clock) => {
      const deps = {
        reader: stores.reader,
        client: readingClient(stores),
        kinds: servedKinds(stores),
        clock,
        metrics,
        authorizer: {
          authorize: async (attributes: AuthorizationAttributes) => {
            asked.push(attributes);
            return { decision: attributes.verb === "get" ? ("allow" as const) : ("no-opinion" as const), reason: "only get" };
          },
        },
      };
      return [...before, createMutatingPolicies(deps), createValidatingPolicies(deps, validating)];
    },
  });
  const post = (path: string, object: object): Promise<Reply> => api.send("POST", path, { body: object, contentType: "application/json" });
  const stored = async (path: string, object: object): Promise<void> => {
    const { status, body } = await post(path, object);
    if (status !== 201) throw new Error(`refused: ${body.message}`);
  };
  await stored("/api/v1/namespaces", { metadata: { name: "default", labels: { env: "test" } } });
  return {
    ...api,
    asked,
    metrics,
    post,
    async policy(kind, name, spec, binding = {}) {
      const resource = `${kind.toLowerCase()}admissionpolic`;
      const actions = kind === "Validating" ? { validationActions: ["Deny"] } : {};
      const given =
        kind === "Mutating"
          ? { reinvocationPolicy: "Never", matchConstraints: mutable, ...spec }
          : { matchConstraints: rulesFor(["configmaps"]), ...spec };
      await stored(`${policiesPath}/${resource}ies`, { metadata: { name }, spec: given });
      await stored(`${policiesPath}/${resource}ybindings`, { metadata: { name }, spec: { policyName: name, ...actions, ...binding } });
    },
  };
}

const mutable = { resourceRules: [{ apiGroups: ["*"], apiVersions: ["*"], operations: ["CREATE", "UPDATE"], resources: ["configmaps"] }] };

function readingClient(stores: ResourceStores): Pick<Client, "get"> {
  return {
    get: async (type, at) => {
      const store = stores.forType(type);
      const found = await store.read(store.keyOf(at.namespace ?? "", at.name));
      if (!found) throw notFound(type, at.name);
      return found.object as never; // of the type that was asked for
    },
  };
}
