// The roles and bindings every cluster starts with (upstream v1.36 with its default feature gates), made from the compact
// tables of default-cluster-roles.ts and default-controller-roles.ts. All carry the label that marks them as defaults and
// the annotation by which an administrator can keep one from being repaired at the next start.
import type { New } from "../../api/meta/object.ts";
import { aggregatedRules } from "../../api/semantics/cluster-role-aggregation.ts";
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from "../../api/types/rbac-v1.ts";
import { defaultClusterRoles } from "./default-cluster-roles.ts";
import { defaultControllerRoles } from "./default-controller-roles.ts";
import { type GatedRoles, noGatedRoles } from "./gated-roles.ts";

const apiGroup = "rbac.authorization.k8s.io";
const aggregateTo = (role: string): string => `${apiGroup}/aggregate-to-${role}`;
const labels = { "kubernetes.io/bootstrapping": "rbac-defaults" };
const annotations = { "rbac.authorization.kubernetes.io/autoupdate": "true" };

export interface BootstrapPolicy {
  readonly clusterRoles: readonly New<ClusterRole>[];
  readonly clusterRoleBindings: readonly New<ClusterRoleBinding>[];
  readonly roles: readonly New<Role>[];
  readonly roleBindings: readonly New<RoleBinding>[];
}

/** Everything that has to exist, built anew at each call. */
export function bootstrapPolicy(gated: GatedRoles = noGatedRoles): BootstrapPolicy {
  return {
    clusterRoles: clusterRoles(gated),
    clusterRoleBindings: clusterRoleBindings(gated),
    roles: namespacedRoles.map(([namespace, name, rules]) => ({
      metadata: { name, namespace, labels, annotations },
      rules: rules.map(parseRule),
    })),
    roleBindings: namespacedBindings.map(([namespace, name, role, subjects]) => ({
      metadata: { name, namespace, labels, annotations },
      roleRef: { apiGroup, kind: "Role", name: role },
      subjects,
    })),
  };
}

const verbSets: Readonly<Record<string, readonly string[]>> = {
  read: ["get", "list", "watch"],
  write: ["create", "delete", "deletecollection", "patch", "update"],
};

/** "verbs | resources | groups | names", as the tables explain. Everything but the order of rules is sorted. */
export function parseRule(text: string): PolicyRule {
  const words = (part: string | undefined): string[] => (part ?? "").split(" ").filter((w) => w !== "");
  const [verbPart, resourcePart, groupPart, namePart] = text.split("|").map((p) => p.trim());
  const verbs = words(verbPart)
    .flatMap((v) => verbSets[v] ?? [v])
    .sort();
  const resources = words(resourcePart).map((r) => r.replace(/^url:/, ""));
  if (/^(\/|url:)/.test(resourcePart ?? "")) return { nonResourceURLs: resources.sort(), verbs };
  const groups = groupPart === undefined ? [""] : words(groupPart).map((g) => (g === "core" ? "" : g));
  const resourceNames = words(namePart).sort();
  return { apiGroups: groups.sort(), ...(resourceNames.length > 0 ? { resourceNames } : {}), resources: resources.sort(), verbs };
}

/** The roles for namespaces' users: what each collects, and into which other it goes itself. */
const aggregating: Readonly<Record<string, { readonly into?: string }>> = { admin: {}, edit: { into: "admin" }, view: { into: "edit" } };

function clusterRoles({ nodeRules, clusterRoles: own, controllerRoles }: GatedRoles): readonly New<ClusterRole>[] {
  const gated = Object.entries(own).map(([name, { rules }]) => [name, rules] as const);
  const always = Object.entries(defaultClusterRoles).map(
    ([name, rules]) => [name, name === "system:node" ? [...rules, ...nodeRules] : rules] as const,
  );
  const plain = [...always, ...gated].map(([name, rules]): New<ClusterRole> => {
    const [, into] = /^system:aggregate-to-(.*)$/.exec(name) ?? [];
    return {
      metadata: { name, labels: into ? { ...labels, [aggregateTo(into)]: "true" } : labels, annotations },
      rules: rules.map(parseRule),
    };
  });
  const controllers = Object.entries({ ...defaultControllerRoles, ...controllerRoles }).map(
    ([name, rules]): New<ClusterRole> => ({
      metadata: { name: `system:controller:${name}`, labels, annotations },
      rules: rules.map(parseRule),
    }),
  );
  const collecting = Object.entries(aggregating).map(
    ([name, { into }]): New<ClusterRole> => ({
      metadata: { name, labels: into ? { ...labels, [aggregateTo(into)]: "true" } : labels, annotations },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregateTo(name)]: "true" } }] },
    }),
  );
  return [...plain, ...withAggregatedRules(collecting, plain), ...controllers];
}

/** Fills the collecting roles so that they are effective from the first request on: view, then edit, then admin. */
function withAggregatedRules(collecting: readonly New<ClusterRole>[], plain: readonly New<ClusterRole>[]): readonly New<ClusterRole>[] {
  const filled = new Map<string, New<ClusterRole>>();
  for (const role of [...collecting].reverse()) {
    const sources = [...plain, ...filled.values()] as readonly ClusterRole[]; // only names, labels and rules are looked at
    filled.set(role.metadata.name ?? "", { ...role, rules: aggregatedRules(role as ClusterRole, sources) });
  }
  return collecting.map((role) => filled.get(role.metadata.name ?? "") ?? role);
}

const user = (name: string): Subject => ({ apiGroup, kind: "User", name });
const group = (name: string): Subject => ({ apiGroup, kind: "Group", name });
const serviceAccount = (name: string, namespace = "kube-system"): Subject => ({ kind: "ServiceAccount", name, namespace });

/** Bindings of the same name as their role. */
const boundTo: Readonly<Record<string, readonly Subject[]>> = {
  "cluster-admin": [group("system:masters")],
  "system:monitoring": [group("system:monitoring")],
  "system:discovery": [group("system:authenticated")],
  "system:basic-user": [group("system:authenticated")],
  "system:public-info-viewer": [group("system:authenticated"), group("system:unauthenticated")],
  "system:node-proxier": [user("system:kube-proxy")],
  "system:kube-controller-manager": [user("system:kube-controller-manager")],
  "system:kube-dns": [serviceAccount("kube-dns")],
  "system:kube-scheduler": [user("system:kube-scheduler")],
  "system:volume-scheduler": [user("system:kube-scheduler")],
  // Nodes have their rights by the Node authorizer; the binding remains, without subjects.
  "system:node": [],
  "system:service-account-issuer-discovery": [group("system:serviceaccounts")],
};

function clusterRoleBindings({ clusterRoles: gated, controllerRoles }: GatedRoles): readonly New<ClusterRoleBinding>[] {
  const own = Object.entries(gated).map(([name, { groups }]): [string, readonly Subject[]] => [name, groups.map(group)]);
  const controllers = Object.keys({ ...defaultControllerRoles, ...controllerRoles }).map((name): [string, readonly Subject[]] => [
    `system:controller:${name}`,
    [serviceAccount(name)],
  ]);
  return [...Object.entries(boundTo), ...own, ...controllers].map(([name, subjects]) => ({
    metadata: { name, labels, annotations },
    roleRef: { apiGroup, kind: "ClusterRole", name },
    ...(subjects.length > 0 ? { subjects } : {}),
  }));
}

const leaderLocking: readonly string[] = [
  "create get list update watch | leases | coordination.k8s.io",
  "create get list update watch | leasecandidates | coordination.k8s.io",
];

type NamespacedRole = readonly [namespace: string, name: string, rules: readonly string[]];
const namespacedRoles: readonly NamespacedRole[] = [
  ["kube-system", "extension-apiserver-authentication-reader", ["read | configmaps | core | extension-apiserver-authentication"]],
  ["kube-system", "system:controller:bootstrap-signer", ["read | secrets"]],
  ["kube-system", "system:controller:cloud-provider", ["create get list watch | configmaps"]],
  [
    "kube-system",
    "system:controller:token-cleaner",
    ["delete get list watch | secrets", "create patch update | events | core events.k8s.io"],
  ],
  ["kube-system", "system::leader-locking-kube-controller-manager", leaderLocking],
  ["kube-system", "system::leader-locking-kube-scheduler", leaderLocking],
  [
    "kube-public",
    "system:controller:bootstrap-signer",
    ["read | configmaps", "update | configmaps | core | cluster-info", "create patch update | events | core events.k8s.io"],
  ],
];

type NamespacedBinding = readonly [namespace: string, name: string, role: string, subjects: readonly Subject[]];
const sameName = (namespace: string, name: string, ...subjects: readonly Subject[]): NamespacedBinding => [namespace, name, name, subjects];
const namespacedBindings: readonly NamespacedBinding[] = [
  [
    "kube-system",
    "system::extension-apiserver-authentication-reader",
    "extension-apiserver-authentication-reader",
    [user("system:kube-controller-manager"), user("system:kube-scheduler")],
  ],
  sameName(
    "kube-system",
    "system::leader-locking-kube-controller-manager",
    user("system:kube-controller-manager"),
    serviceAccount("kube-controller-manager"),
  ),
  sameName("kube-system", "system::leader-locking-kube-scheduler", user("system:kube-scheduler"), serviceAccount("kube-scheduler")),
  sameName("kube-system", "system:controller:bootstrap-signer", serviceAccount("bootstrap-signer")),
  sameName("kube-system", "system:controller:cloud-provider", serviceAccount("cloud-provider")),
  sameName("kube-system", "system:controller:token-cleaner", serviceAccount("token-cleaner")),
  sameName("kube-public", "system:controller:bootstrap-signer", serviceAccount("bootstrap-signer")),
];
