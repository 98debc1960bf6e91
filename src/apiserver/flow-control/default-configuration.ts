// The flow schemas and priority levels of every cluster, upstream's of v1.36: the mandatory ones, which are always as they
// are here, and the suggested ones, which an administrator may change.
import type { New } from "../../api/meta/object.ts";
import type {
  FlowSchema,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  PriorityLevelConfiguration,
  ResourcePolicyRule,
  Subject,
} from "../../api/types/flowcontrol-v1.ts";

/** "true": the object's spec follows these defaults; "false": it is the administrator's. */
export const autoUpdateAnnotation = "apf.kubernetes.io/autoupdate-spec";

const metadata = (name: string) => ({ name, annotations: { [autoUpdateAnnotation]: "true" } });

interface Shares {
  readonly shares: number;
  readonly lendable: number;
  readonly queues: number;
  readonly handSize: number;
}

function level(name: string, { shares, lendable, queues, handSize }: Shares): New<PriorityLevelConfiguration> {
  const limitResponse = { type: "Queue", queuing: { queues, handSize, queueLengthLimit: 50 } };
  return {
    metadata: metadata(name),
    spec: { type: "Limited", limited: { nominalConcurrencyShares: shares, lendablePercent: lendable, limitResponse } },
  };
}

export const mandatoryPriorityLevels: readonly New<PriorityLevelConfiguration>[] = [
  { metadata: metadata("exempt"), spec: { type: "Exempt", exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } } },
  {
    metadata: metadata("catch-all"),
    spec: { type: "Limited", limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: "Reject" } } },
  },
];

export const suggestedPriorityLevels: readonly New<PriorityLevelConfiguration>[] = [
  level("system", { shares: 30, lendable: 33, queues: 64, handSize: 6 }),
  level("node-high", { shares: 40, lendable: 25, queues: 64, handSize: 6 }),
  level("leader-election", { shares: 10, lendable: 0, queues: 16, handSize: 4 }),
  level("workload-high", { shares: 40, lendable: 50, queues: 128, handSize: 6 }),
  level("workload-low", { shares: 100, lendable: 90, queues: 128, handSize: 6 }),
  level("global-default", { shares: 20, lendable: 50, queues: 128, handSize: 6 }),
];

const user = (name: string): Subject => ({ kind: "User", user: { name } });
const group = (name: string): Subject => ({ kind: "Group", group: { name } });
const everybody = [group("system:unauthenticated"), group("system:authenticated")];
const kubeSystemAccounts: Subject = { kind: "ServiceAccount", serviceAccount: { name: "*", namespace: "kube-system" } };

const anyResource: ResourcePolicyRule = { verbs: ["*"], apiGroups: ["*"], resources: ["*"], clusterScope: true, namespaces: ["*"] };
const anyPath: NonResourcePolicyRule = { verbs: ["*"], nonResourceURLs: ["*"] };
const anything = (...subjects: readonly Subject[]): PolicyRulesWithSubjects => ({
  subjects,
  resourceRules: [anyResource],
  nonResourceRules: [anyPath],
});
const anyLease = { verbs: ["*"], apiGroups: ["coordination.k8s.io"], resources: ["leases"], namespaces: ["*"] };

interface Place {
  readonly precedence: number;
  readonly level: string;
  /** What tells the flows of one schema apart. Absent: all are one. */
  readonly by?: "ByUser" | "ByNamespace";
}

function schema(name: string, place: Place, rules: PolicyRulesWithSubjects): New<FlowSchema> {
  return {
    metadata: metadata(name),
    spec: {
      matchingPrecedence: place.precedence,
      priorityLevelConfiguration: { name: place.level },
      ...(place.by ? { distinguisherMethod: { type: place.by } } : {}),
      rules: [rules],
    },
  };
}

export const mandatoryFlowSchemas: readonly New<FlowSchema>[] = [
  schema("exempt", { precedence: 1, level: "exempt" }, anything(group("system:masters"))),
  schema("catch-all", { precedence: 10_000, level: "catch-all", by: "ByUser" }, anything(...everybody)),
];

export const suggestedFlowSchemas: readonly New<FlowSchema>[] = [
  schema(
    "probes",
    { precedence: 2, level: "exempt" },
    { subjects: everybody, nonResourceRules: [{ verbs: ["get"], nonResourceURLs: ["/healthz", "/readyz", "/livez"] }] },
  ),
  schema(
    "system-leader-election",
    { precedence: 100, level: "leader-election", by: "ByUser" },
    {
      subjects: [user("system:kube-controller-manager"), user("system:kube-scheduler"), kubeSystemAccounts],
      resourceRules: [{ ...anyLease, verbs: ["get", "create", "update"] }],
    },
  ),
  schema(
    "system-node-high",
    { precedence: 400, level: "node-high", by: "ByUser" },
    {
      subjects: [group("system:nodes")],
      resourceRules: [{ ...anyResource, apiGroups: [""], resources: ["nodes", "nodes/status"] }, anyLease],
    },
  ),
  schema("system-nodes", { precedence: 500, level: "system", by: "ByUser" }, anything(group("system:nodes"))),
  ...["kube-controller-manager", "kube-scheduler"].map((name) =>
    schema(name, { precedence: 800, level: "workload-high", by: "ByNamespace" }, anything(user(`system:${name}`))),
  ),
  schema("kube-system-service-accounts", { precedence: 900, level: "workload-high", by: "ByNamespace" }, anything(kubeSystemAccounts)),
  schema("service-accounts", { precedence: 9000, level: "workload-low", by: "ByUser" }, anything(group("system:serviceaccounts"))),
  schema("global-default", { precedence: 9900, level: "global-default", by: "ByUser" }, anything(...everybody)),
];
