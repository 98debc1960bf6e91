import { beforeEach, describe, expect, it } from "vitest";
import {
  clusterrolebindings,
  clusterroles,
  persistentvolumes,
  pods,
  rolebindings,
  roles,
  volumeattachments,
} from "../../api/resources.generated.ts";
import type { PolicyRule, Subject } from "../../api/types/rbac-v1.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { answerOk, fakeContext } from "../authn/request-fixture.ts";
import type { UserInfo } from "../authn/user.ts";
import { authorizationStage } from "./authorization-stage.ts";
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from "./authorizer.ts";
import { createAuthorizer } from "./create-authorizer.ts";

const rbac = "rbac.authorization.k8s.io";
const jane: UserInfo = { name: "jane", groups: ["devs", "system:authenticated"] };
const node1: UserInfo = { name: "system:node:n1", groups: ["system:nodes", "system:authenticated"] };
let reader: MemoryReader;
let authorizer: Authorizer;

beforeEach(() => {
  reader = new MemoryReader();
  authorizer = createAuthorizer({ reader });
});

function clusterGrant(name: string, rules: readonly PolicyRule[], ...subjects: readonly Subject[]): void {
  reader.put(clusterroles, { metadata: { name }, rules });
  reader.put(clusterrolebindings, { metadata: { name }, roleRef: { apiGroup: rbac, kind: "ClusterRole", name }, subjects });
}

function grant(namespace: string, name: string, rules: readonly PolicyRule[], ...subjects: readonly Subject[]): void {
  reader.put(roles, { metadata: { namespace, name }, rules });
  reader.put(rolebindings, { metadata: { namespace, name }, roleRef: { apiGroup: rbac, kind: "Role", name }, subjects });
}

const user = (name: string): Subject => ({ kind: "User", apiGroup: rbac, name });

async function may(
  who: UserInfo,
  verb: string,
  resource: string,
  more: Partial<AuthorizationAttributes> = {},
): Promise<AuthorizationDecision> {
  const [name = "", subresource = ""] = resource.split("/");
  return authorizer.authorize({
    user: who,
    verb,
    isResourceRequest: true,
    path: "",
    apiGroup: "",
    apiVersion: "v1",
    resource: name,
    subresource,
    namespace: "",
    name: "",
    ...more,
  });
}

const allowed = async (...args: Parameters<typeof may>): Promise<boolean> => (await may(...args)).decision === "allow";

describe("RBAC", () => {
  it("allows what a cluster role binding grants, everywhere, and says by which", async () => {
    clusterGrant("reader", [{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }], { kind: "Group", apiGroup: rbac, name: "devs" });
    expect(await may(jane, "list", "pods", { namespace: "any" })).toEqual({
      decision: "allow",
      reason: 'RBAC: allowed by ClusterRoleBinding "reader" of ClusterRole "reader" to Group "devs"',
    });
    expect(await allowed(jane, "delete", "pods")).toBe(false);
    expect(await allowed({ name: "bob", groups: [] }, "list", "pods")).toBe(false);
  });

  it("keeps role bindings to their namespace", async () => {
    grant("ns", "r", [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }], user("jane"));
    expect((await may(jane, "get", "pods", { namespace: "ns" })).reason).toBe(
      'RBAC: allowed by RoleBinding "r/ns" of Role "r" to User "jane"',
    );
    expect(await allowed(jane, "get", "pods", { namespace: "other" })).toBe(false);
    expect(await allowed(jane, "get", "pods")).toBe(false);
  });

  it("knows service accounts with and without a namespace in the subject", async () => {
    const account = (namespace: string): UserInfo => ({ name: `system:serviceaccount:${namespace}:a`, groups: [] });
    grant("ns", "own", [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }], { kind: "ServiceAccount", name: "a" });
    grant("ns", "far", [{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }], {
      kind: "ServiceAccount",
      name: "a",
      namespace: "far",
    });
    expect(await allowed(account("ns"), "get", "pods", { namespace: "ns" })).toBe(true);
    expect(await allowed(account("far"), "get", "pods", { namespace: "ns" })).toBe(false);
    expect((await may(account("far"), "list", "pods", { namespace: "ns" })).reason).toContain('to ServiceAccount "a/far"');
  });

  it("matches names, subresources and paths", async () => {
    clusterGrant(
      "mixed",
      [
        { apiGroups: [""], resources: ["configmaps"], verbs: ["get"], resourceNames: ["m"] },
        { apiGroups: ["*"], resources: ["*/scale"], verbs: ["update"] },
        { nonResourceURLs: ["/metrics", "/logs/*"], verbs: ["get"] },
      ],
      user("jane"),
    );
    expect(await allowed(jane, "get", "configmaps", { name: "m" })).toBe(true);
    expect(await allowed(jane, "get", "configmaps", { name: "n" })).toBe(false);
    expect(await allowed(jane, "get", "configmaps")).toBe(false);
    expect(await allowed(jane, "update", "deployments/scale", { apiGroup: "apps" })).toBe(true);
    expect(await allowed(jane, "update", "deployments", { apiGroup: "apps" })).toBe(false);
    for (const [path, expected] of [
      ["/metrics", true],
      ["/metrics/slis", false],
      ["/logs/a/b", true],
    ] as const)
      expect(await allowed(jane, "get", "", { isResourceRequest: false, path })).toBe(expected);
  });

  it("tells of bindings whose role is missing only when nothing else allows", async () => {
    reader.put(clusterrolebindings, {
      metadata: { name: "b" },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: "gone" },
      subjects: [user("jane")],
    });
    expect((await may(jane, "get", "pods")).reason).toBe('RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found');
  });

  it("follows changes of roles and bindings", async () => {
    grant("ns", "r", [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }], user("jane"));
    reader.put(roles, { metadata: { namespace: "ns", name: "r" }, rules: [] });
    expect(await allowed(jane, "get", "pods", { namespace: "ns" })).toBe(false);
  });

  it("lists the rules of a user", async () => {
    clusterGrant("all", [{ nonResourceURLs: ["/x"], verbs: ["get"] }], user("jane"));
    grant("ns", "r", [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }], user("jane"));
    expect(await authorizer.rulesFor?.(jane, "ns")).toEqual({
      resourceRules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }],
      nonResourceRules: [{ nonResourceURLs: ["/x"], verbs: ["get"] }],
      incomplete: false,
    });
  });
});

describe("createAuthorizer()", () => {
  it("lets members of system:masters do everything before there are roles", async () => {
    expect(await may({ name: "root", groups: ["system:masters"] }, "delete", "nodes")).toEqual({ decision: "allow", reason: "" });
  });

  it("offers modes that allow or deny everything", async () => {
    expect((await createAuthorizer({ reader, modes: ["AlwaysAllow"] }).authorize({ ...(await attributes()) })).decision).toBe("allow");
    expect(await createAuthorizer({ reader, modes: ["AlwaysDeny"] }).authorize({ ...(await attributes()) })).toEqual({
      decision: "no-opinion",
      reason: "Everything is forbidden.",
    });
  });

  it("a denial stands alone, whatever failed before it; where nobody decides, each failure is told once", async () => {
    const failing = (error: string): Authorizer => ({ authorize: () => ({ decision: "no-opinion", reason: "", error }) });
    const denying: Authorizer = { authorize: async () => ({ decision: "deny", reason: "never" }) };
    const decide = async (...modes: Authorizer[]): Promise<AuthorizationDecision> =>
      createAuthorizer({ reader, modes }).authorize(await attributes());
    expect(await decide(failing("broken"), denying)).toEqual({ decision: "deny", reason: "never" });
    expect(await decide(failing("broken"), failing("other"), failing("broken"))).toEqual({
      decision: "no-opinion",
      reason: "",
      error: "[broken, other]",
    });
    const unknown: Authorizer = {
      ...denying,
      rulesFor: async () => ({ resourceRules: [], nonResourceRules: [], incomplete: true, evaluationError: "unknown" }),
    };
    const { evaluationError } = (await createAuthorizer({ reader, modes: [unknown, unknown] }).rulesFor?.(jane, "ns")) ?? {};
    expect(evaluationError).toBe("unknown");
  });

  const attributes = async (): Promise<AuthorizationAttributes> => ({
    user: jane,
    verb: "get",
    isResourceRequest: false,
    path: "/",
    apiGroup: "",
    apiVersion: "",
    resource: "",
    subresource: "",
    namespace: "",
    name: "",
  });
});

describe("authorizationStage()", () => {
  const refusal = async (info: Parameters<typeof fakeContext>[0]) => {
    const answer = await authorizationStage(authorizer)(fakeContext(info), answerOk);
    expect(answer).toMatchObject({ status: 403, headers: { "X-Content-Type-Options": "nosniff" } });
    return answer.kind === "object" ? answer.object : undefined;
  };

  it("refuses with who, what and where", async () => {
    const info = { verb: "list", resource: "configmaps", namespace: "ns" };
    expect(await refusal({ user: jane, info })).toMatchObject({
      code: 403,
      reason: "Forbidden",
      details: { kind: "configmaps" },
      message: 'configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "ns"',
    });
    const scale = { verb: "get", apiGroup: "apps", resource: "deployments", subresource: "scale", name: "d", namespace: "ns" };
    expect(await refusal({ user: jane, info: scale })).toMatchObject({
      details: { group: "apps", kind: "deployments", name: "d" },
      message:
        'deployments.apps "d" is forbidden: User "jane" cannot get resource "deployments/scale" in API group "apps" in the namespace "ns"',
    });
  });

  it("refuses paths without details, and does not repeat HTML", async () => {
    expect(await refusal({ user: jane, info: { isResourceRequest: false, verb: "get", path: "/<b>" } })).toMatchObject({
      details: {},
      message: 'forbidden: User "jane" cannot get path "/&lt;b&gt;"',
    });
    const zeroWidth: UserInfo = { name: "ja\u200bne", groups: [] };
    expect(await refusal({ user: zeroWidth, info: { isResourceRequest: false, verb: "get", path: "/" } })).toMatchObject({
      message: 'forbidden: User "ja\\u200bne" cannot get path "/"',
    });
  });
});

describe("the Node authorizer", () => {
  beforeEach(() => {
    reader.put(pods, {
      metadata: { namespace: "ns", name: "p" },
      spec: {
        nodeName: "n1",
        serviceAccountName: "sa",
        containers: [{ name: "c", image: "x", envFrom: [{ secretRef: { name: "env" } }] }],
        volumes: [
          { name: "a", secret: { secretName: "s" } },
          { name: "b", configMap: { name: "m" } },
          { name: "c", persistentVolumeClaim: { claimName: "pvc" } },
        ],
      },
    });
    reader.put(persistentvolumes, {
      metadata: { name: "pv" },
      spec: {
        claimRef: { namespace: "ns", name: "pvc" },
        csi: { driver: "d", volumeHandle: "h", nodePublishSecretRef: { name: "csi", namespace: "vault" } },
      },
    });
  });
  const inNs = (name: string) => ({ namespace: "ns", name });

  it.each([
    ["secrets", inNs("s")],
    ["secrets", inNs("env")],
    ["secrets", { namespace: "vault", name: "csi" }],
    ["configmaps", inNs("m")],
    ["persistentvolumeclaims", inNs("pvc")],
    ["persistentvolumes", { name: "pv" }],
    ["serviceaccounts", inNs("sa")],
    ["pods", inNs("p")],
  ])("lets a node get %s %j of its pods, and no other node", async (resource, at) => {
    expect(await allowed(node1, "get", resource, at)).toBe(true);
    expect(await allowed({ ...node1, name: "system:node:n2" }, "get", resource, at)).toBe(false);
  });

  it("refuses what no pod of the node refers to, and lists of everything", async () => {
    expect((await may(node1, "get", "secrets", inNs("other"))).reason).toBe("no relationship found between node 'n1' and this object");
    expect((await may(node1, "list", "secrets", { namespace: "ns" })).reason).toBe("No Object name found");
    expect((await may(node1, "list", "pods")).reason).toBe("can only list/watch pods with spec.nodeName field selector");
    expect((await may(node1, "list", "nodes")).reason).toBe("node 'n1' cannot read all nodes, only its own Node object");
    expect(await allowed(node1, "delete", "nodes", { name: "n1" })).toBe(false);
  });

  it("lets a node list its pods, issue tokens of its pods' accounts and keep its lease", async () => {
    expect(await allowed(node1, "watch", "pods", { fieldSelector: "spec.nodeName=n1" })).toBe(true);
    expect(await allowed(node1, "watch", "pods", { fieldSelector: "spec.nodeName=n2" })).toBe(false);
    expect(await allowed(node1, "create", "serviceaccounts/token", inNs("sa"))).toBe(true);
    expect(await allowed(node1, "create", "serviceaccounts/token", inNs("default"))).toBe(false);
    const lease = { apiGroup: "coordination.k8s.io", namespace: "kube-node-lease" };
    expect(await allowed(node1, "update", "leases", { ...lease, name: "n1" })).toBe(true);
    expect(await allowed(node1, "update", "leases", { ...lease, name: "n2" })).toBe(false);
  });

  it("gives nothing for mirror pods, and forgets pods that have gone", async () => {
    reader.put(pods, {
      metadata: { namespace: "ns", name: "mirror", annotations: { "kubernetes.io/config.mirror": "x" } },
      spec: { nodeName: "n1", containers: [], volumes: [{ name: "a", secret: { secretName: "stolen" } }] },
    });
    expect(await allowed(node1, "get", "secrets", inNs("stolen"))).toBe(false);
    reader.remove(pods, "ns/p");
    expect(await allowed(node1, "get", "secrets", inNs("s"))).toBe(false);
  });

  it("knows attachments, and evaluates the static rules for everything else", async () => {
    reader.put(volumeattachments, { metadata: { name: "va" }, spec: { attacher: "a", nodeName: "n1", source: {} } });
    expect(await allowed(node1, "get", "volumeattachments", { apiGroup: "storage.k8s.io", name: "va" })).toBe(true);
    expect(await allowed(node1, "watch", "services")).toBe(true);
    expect(await allowed(node1, "delete", "services")).toBe(false);
    expect(await allowed({ name: "system:node:n1", groups: [] }, "watch", "services")).toBe(false);
  });
});
