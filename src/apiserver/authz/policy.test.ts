import { beforeEach, describe, expect, it } from "vitest";
import type { KubernetesObject, New } from "../../api/meta/object.ts";
import { alreadyExists } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { clusterrolebindings, clusterroles, rolebindings, roles } from "../../api/resources.generated.ts";
import { aggregatedRules } from "../../api/semantics/cluster-role-aggregation.ts";
import type { ClusterRole, PolicyRule, RoleBinding, Subject } from "../../api/types/rbac-v1.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionRequest } from "../admission/admission.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { admissionRequest } from "../admission/request-fixture.ts";
import { fakeContext } from "../authn/request-fixture.ts";
import type { UserInfo } from "../authn/user.ts";
import { resolveApiServerGates } from "../feature-gates.ts";
import type { CreateRequest } from "../registry/handler-types.ts";
import { accessReviews } from "./access-reviews.ts";
import type { Authorizer } from "./authorizer.ts";
import { bootstrapPolicy, parseRule } from "./bootstrap-policy.ts";
import { createAuthorizer } from "./create-authorizer.ts";
import { escalationCheck } from "./escalation.ts";
import { gatedRoles } from "./gated-roles.ts";
import { reconcileBootstrapPolicy, repairBinding, repairRole } from "./reconcile-bootstrap-policy.ts";

const rbac = "rbac.authorization.k8s.io";
const jane: UserInfo = { name: "jane", groups: ["devs", "system:authenticated"] };

/** A client that writes into a reader and counts. */
class PolicyClient {
  readonly reader = new MemoryReader();
  lists = 0;
  writes = 0;

  async list<T extends KubernetesObject>(type: ResourceType<T>) {
    this.lists++;
    return { metadata: {}, items: [...this.reader.informer(type).list()] };
  }

  async create<T extends KubernetesObject>(type: ResourceType<T>, object: New<T>): Promise<T> {
    this.writes++;
    const { namespace, name = "" } = object.metadata;
    if (this.reader.informer(type).get(namespace ? `${namespace}/${name}` : name)) throw alreadyExists(type, name);
    return this.reader.put(type, object as unknown as T); // New<T> has all that is needed
  }

  async update<T extends KubernetesObject>(type: ResourceType<T>, object: T): Promise<T> {
    this.writes++;
    return this.reader.put(type, object);
  }

  async delete<T extends KubernetesObject>(
    type: ResourceType<T>,
    at: { readonly namespace?: string; readonly name: string },
  ): Promise<void> {
    this.writes++;
    this.reader.remove(type, at.namespace ? `${at.namespace}/${at.name}` : at.name);
  }

  async get<T extends KubernetesObject>(type: ResourceType<T>, at: { readonly namespace?: string; readonly name: string }): Promise<T> {
    const found = this.reader.informer(type).get(at.namespace ? `${at.namespace}/${at.name}` : at.name);
    if (!found) throw new Error(`${at.name} is absent`);
    return found;
  }
}

let client: PolicyClient;
const reconcile = () => reconcileBootstrapPolicy(client as unknown as Client); // the methods it calls
beforeEach(() => {
  client = new PolicyClient();
});

describe("the bootstrap policy", () => {
  it("has every default of upstream", () => {
    const policy = bootstrapPolicy();
    expect(policy.clusterRoles).toHaveLength(31 + 38);
    expect(policy.clusterRoleBindings).toHaveLength(12 + 38);
    expect(policy.roles).toHaveLength(7);
    expect(policy.roleBindings).toHaveLength(7);
    for (const role of policy.clusterRoles)
      expect(role.metadata).toMatchObject({
        labels: { "kubernetes.io/bootstrapping": "rbac-defaults" },
        annotations: { "rbac.authorization.kubernetes.io/autoupdate": "true" },
      });
  });

  it("has a role for the collector of storage versions where they are served, bound to its account", () => {
    const { clusterRoles, clusterRoleBindings } = bootstrapPolicy(gatedRoles(resolveApiServerGates({}), { storageVersions: true }));
    const name = "system:controller:storage-version-garbage-collector";
    const rules = clusterRoles.find(({ metadata }) => metadata.name === name)?.rules;
    expect(rules?.map(({ resources }) => resources)).toEqual([["leases"], ["storageversions"], ["storageversions/status"]]);
    const subject = { kind: "ServiceAccount", name: "storage-version-garbage-collector", namespace: "kube-system" };
    expect(clusterRoleBindings.find(({ metadata }) => metadata.name === name)?.subjects).toEqual([subject]);
    expect(bootstrapPolicy().clusterRoles.map(({ metadata }) => metadata.name)).not.toContain(name);
  });

  it("lets the job controller group pods where jobs have workloads (WorkloadWithJob)", () => {
    const roleIn = ({ clusterRoles }: ReturnType<typeof bootstrapPolicy>) =>
      clusterRoles.find(({ metadata }) => metadata.name === "system:controller:job-controller")?.rules ?? [];
    const [rule, ...usual] = roleIn(bootstrapPolicy(gatedRoles(resolveApiServerGates({ WorkloadWithJob: true })))).toReversed();
    const resources = ["podgroups", "workloads"];
    expect(rule).toEqual({ apiGroups: ["scheduling.k8s.io"], resources, verbs: ["create", "get", "list", "watch"] });
    expect(usual.toReversed()).toEqual(roleIn(bootstrapPolicy()));
  });

  it("has roles for who publishes trust anchors and cleans requests for certificates of pods while their gates are on", () => {
    const gates = resolveApiServerGates({ ClusterTrustBundle: true, PodCertificateRequest: true });
    const { clusterRoles } = bootstrapPolicy(gatedRoles(gates));
    const rulesOf = (name: string): unknown => clusterRoles.find(({ metadata }) => metadata.name === `system:controller:${name}`)?.rules;
    expect(rulesOf("kube-apiserver-serving-clustertrustbundle-publisher")).toContainEqual({
      apiGroups: ["certificates.k8s.io"],
      resources: ["signers"],
      resourceNames: ["kubernetes.io/kube-apiserver-serving"],
      verbs: ["attest"],
    });
    expect(rulesOf("podcertificaterequestcleaner")).toEqual([
      { apiGroups: ["certificates.k8s.io"], resources: ["podcertificaterequests"], verbs: ["delete", "get", "list", "watch"] },
    ]);
  });

  it("has a role for the migrator of storage versions while its gate is on", () => {
    const name = "system:controller:storage-version-migrator-controller";
    const { clusterRoles } = bootstrapPolicy(gatedRoles(resolveApiServerGates({ StorageVersionMigrator: true })));
    const rules = clusterRoles.find(({ metadata }) => metadata.name === name)?.rules;
    expect(rules).toContainEqual({ apiGroups: ["*"], resources: ["*"], verbs: ["create", "list", "patch"] });
    expect(rules).toContainEqual({
      apiGroups: ["apiextensions.k8s.io"],
      resources: ["customresourcedefinitions"],
      verbs: ["get"],
    });
    expect(bootstrapPolicy().clusterRoles.map(({ metadata }) => metadata.name)).not.toContain(name);
  });

  it("writes rules as upstream does, sorted", () => {
    expect(parseRule("read update | pods/log pods | core apps | b a")).toEqual({
      apiGroups: ["", "apps"],
      resourceNames: ["a", "b"],
      resources: ["pods", "pods/log"],
      verbs: ["get", "list", "update", "watch"],
    });
    expect(parseRule("get | /healthz /api")).toEqual({ nonResourceURLs: ["/api", "/healthz"], verbs: ["get"] });
    expect(parseRule("* | url:*")).toEqual({ nonResourceURLs: ["*"], verbs: ["*"] });
  });

  it("fills admin with edit's and view's rules", () => {
    const role = (name: string) => bootstrapPolicy().clusterRoles.find((r) => r.metadata.name === name);
    const has = (name: string, resource: string, verb: string) =>
      role(name)?.rules?.some((r) => r.resources?.includes(resource) && r.verbs.includes(verb)) ?? false;
    expect([has("view", "pods", "list"), has("view", "pods", "create"), has("view", "secrets", "get")]).toEqual([true, false, false]);
    expect([has("edit", "pods", "create"), has("edit", "pods/log", "get"), has("edit", "roles", "create")]).toEqual([true, true, false]);
    expect([has("admin", "roles", "create"), has("admin", "secrets", "get"), has("admin", "pods/log", "get")]).toEqual([true, true, true]);
  });

  it("lets the control plane's users do their work", async () => {
    await reconcile();
    const authorizer = createAuthorizer({ reader: client.reader });
    const ask = async (name: string, verb: string, resource: string, subresource = "") =>
      authorizer.authorize({
        user: { name, groups: ["system:authenticated"] },
        verb,
        isResourceRequest: true,
        path: "",
        apiGroup: "",
        apiVersion: "v1",
        resource,
        subresource,
        namespace: "ns",
        name: "",
      });
    expect((await ask("system:kube-scheduler", "create", "pods", "binding")).reason).toBe(
      'RBAC: allowed by ClusterRoleBinding "system:kube-scheduler" of ClusterRole "system:kube-scheduler" to User "system:kube-scheduler"',
    );
    expect((await ask("system:kube-scheduler", "delete", "nodes")).decision).toBe("no-opinion");
    expect((await ask("system:serviceaccount:kube-system:replicaset-controller", "create", "pods")).reason).toContain(
      'to ServiceAccount "replicaset-controller/kube-system"',
    );
  });
});

describe("reconcileBootstrapPolicy()", () => {
  it("creates everything, and then only looks", async () => {
    await reconcile();
    expect([...client.reader.informer(clusterroles).list()]).toHaveLength(69);
    [client.lists, client.writes] = [0, 0];
    await reconcile();
    expect([client.lists, client.writes]).toEqual([4, 0]);
  });

  it("puts back what has been taken away, keeps what has been added", async () => {
    await reconcile();
    const dns = client.reader.informer(clusterroles).get("system:kube-dns");
    const extra: PolicyRule = { apiGroups: ["x"], resources: ["y"], verbs: ["z"] };
    if (!dns) throw new Error("no role");
    client.reader.put(clusterroles, { ...dns, rules: [extra] });
    await reconcile();
    expect(client.reader.informer(clusterroles).get("system:kube-dns")?.rules).toEqual([
      extra,
      { apiGroups: [""], resources: ["endpoints"], verbs: ["list"] },
      { apiGroups: [""], resources: ["endpoints"], verbs: ["watch"] },
      { apiGroups: [""], resources: ["services"], verbs: ["list"] },
      { apiGroups: [""], resources: ["services"], verbs: ["watch"] },
    ]);
  });

  it("leaves alone what an administrator has protected", async () => {
    await reconcile();
    const dns = client.reader.informer(clusterroles).get("system:kube-dns");
    if (!dns) throw new Error("no role");
    const annotations = { "rbac.authorization.kubernetes.io/autoupdate": "false" };
    client.reader.put(clusterroles, { ...dns, rules: [], metadata: { ...dns.metadata, annotations } });
    await reconcile();
    expect(client.reader.informer(clusterroles).get("system:kube-dns")?.rules).toEqual([]);
  });

  it("makes a binding anew that binds another role, unless it is protected", async () => {
    await reconcile();
    const bindings = client.reader.informer(clusterrolebindings);
    const change = (name: string, annotations: Record<string, string>): void => {
      const binding = bindings.get(name);
      if (!binding) throw new Error("no binding");
      const metadata = { ...binding.metadata, labels: { ...binding.metadata.labels, own: "1" }, annotations };
      client.reader.put(clusterrolebindings, { ...binding, metadata, roleRef: { ...binding.roleRef, name: "cluster-admin" } });
    };
    change("system:basic-user", {});
    change("system:kube-dns", { "rbac.authorization.kubernetes.io/autoupdate": "false" });
    await reconcile();
    expect(bindings.get("system:basic-user")?.roleRef.name).toBe("system:basic-user");
    expect(bindings.get("system:basic-user")?.metadata.labels).toEqual({ "kubernetes.io/bootstrapping": "rbac-defaults" });
    expect(bindings.get("system:kube-dns")?.roleRef.name).toBe("cluster-admin");
  });

  it("makes what is missing of what held it in an older release", async () => {
    await reconcile();
    const discovery = client.reader.informer(clusterrolebindings).get("system:discovery");
    const edit = client.reader.informer(clusterroles).get("edit");
    if (!discovery || !edit) throw new Error("no defaults");
    const extra: Subject = { kind: "User", apiGroup: rbac, name: "extra" };
    client.reader.put(clusterrolebindings, { ...discovery, subjects: [extra] });
    client.reader.remove(clusterrolebindings, "system:public-info-viewer");
    const own: PolicyRule = { apiGroups: ["x"], resources: ["y"], verbs: ["z"] };
    const { aggregationRule: _, ...plain } = edit;
    client.reader.put(clusterroles, { ...plain, rules: [own] });
    client.reader.remove(clusterroles, "system:aggregate-to-edit");
    client.reader.remove(clusterroles, "system:aggregate-to-view");
    await reconcile();
    const subjects = client.reader.informer(clusterrolebindings).get("system:public-info-viewer")?.subjects;
    expect(subjects?.map(({ name }) => name)).toEqual(["extra", "system:authenticated", "system:unauthenticated"]);
    const handedOn = client.reader.informer(clusterroles).get("system:aggregate-to-edit");
    expect(handedOn?.rules?.[0]).toEqual(own);
    expect(handedOn?.metadata.labels).toMatchObject({
      "rbac.authorization.k8s.io/aggregate-to-admin": "true",
      "rbac.authorization.k8s.io/aggregate-to-edit": "true",
    });
    const wanted = bootstrapPolicy().clusterRoles.find((role) => role.metadata.name === "system:aggregate-to-view");
    expect(client.reader.informer(clusterroles).get("system:aggregate-to-view")?.rules).toEqual(wanted?.rules);
  });

  it("repairs subjects and labels one by one", () => {
    const policy = bootstrapPolicy();
    const expected = policy.clusterRoleBindings.find((b) => b.metadata.name === "system:public-info-viewer");
    if (!expected) throw new Error("no binding");
    const existing = client.reader.put(clusterrolebindings, { ...expected, metadata: { name: "x", labels: { own: "1" } }, subjects: [] });
    const repaired = repairBinding(existing, expected);
    expect(repaired.subjects).toEqual(expected.subjects);
    expect(repaired.metadata.labels).toEqual({ own: "1", "kubernetes.io/bootstrapping": "rbac-defaults" });
    expect(repairBinding(repaired, expected)).toBe(repaired);
    const role = policy.clusterRoles.find((r) => r.metadata.name === "view");
    if (!role) throw new Error("no role");
    const stored = client.reader.put(clusterroles, { ...role, aggregationRule: {} });
    expect(repairRole<ClusterRole>(stored, role).aggregationRule).toEqual(role.aggregationRule);
  });
});

describe("aggregatedRules()", () => {
  it("collects the rules of selected roles, by name, each once", () => {
    const rule = (resource: string): PolicyRule => ({ apiGroups: [""], resources: [resource], verbs: ["get"] });
    const put = (name: string, label: string, rules: readonly PolicyRule[]) =>
      client.reader.put(clusterroles, { metadata: { name, labels: { to: label } }, rules });
    put("b", "view", [rule("pods"), rule("secrets")]);
    put("a", "view", [rule("nodes"), rule("pods")]);
    put("c", "edit", [rule("services")]);
    const role = client.reader.put(clusterroles, {
      metadata: { name: "all", labels: { to: "view" } },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: "view" } }] },
      rules: [rule("stale")],
    });
    const all = client.reader.informer(clusterroles).list();
    expect(aggregatedRules(role, all)).toEqual([rule("nodes"), rule("pods"), rule("secrets")]);
  });
});

describe("the escalation check", () => {
  function request<T extends KubernetesObject>(type: ResourceType<T>, object: T, more: Partial<AdmissionRequest> = {}): AdmissionRequest {
    return admissionRequest(type, object, { user: jane, ...more });
  }
  const reader = () => client.reader;
  const hold = (rules: readonly PolicyRule[]): void => {
    reader().put(clusterroles, { metadata: { name: "held" }, rules });
    reader().put(clusterrolebindings, {
      metadata: { name: "held" },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: "held" },
      subjects: [{ kind: "User", apiGroup: rbac, name: "jane" }],
    });
  };
  const check = async (r: AdmissionRequest): Promise<void> => {
    const authorizer: Authorizer = createAuthorizer({ reader: reader() });
    await escalationCheck({ authorizer, reader: reader() }).validate?.(r);
  };
  const role = (rules: readonly PolicyRule[], name = "r") => new MemoryReader().put(roles, { metadata: { namespace: "ns", name }, rules });

  it("refuses a role with permissions that its writer does not hold, and says which", async () => {
    hold([{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }]);
    const wanted = role([
      { apiGroups: [""], resources: ["pods", "secrets"], verbs: ["get", "list"] },
      { apiGroups: [""], resources: ["configmaps"], verbs: ["get"], resourceNames: ["m"] },
    ]);
    await expect(check(request(roles, wanted))).rejects.toMatchObject({
      code: 403,
      message: `roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["devs" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["configmaps"], ResourceNames:["m"], Verbs:["get"]}
{APIGroups:[""], Resources:["pods"], Verbs:["list"]}
{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}`,
    });
  });

  it("names the request's resource for a role that a binding of the writer misses", async () => {
    reader().put(clusterrolebindings, {
      metadata: { name: "dangling" },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: "gone" },
      subjects: [{ kind: "User", apiGroup: rbac, name: "jane" }],
    });
    await expect(check(request(roles, role([{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }])))).rejects.toThrow(
      'resolution errors: [roles.rbac.authorization.k8s.io "gone" not found]',
    );
  });

  it("accepts what the writer holds, wildcards included", async () => {
    hold([{ apiGroups: ["*"], resources: ["*"], verbs: ["get", "list"] }]);
    await check(request(roles, role([{ apiGroups: [""], resources: ["pods", "pods/log"], verbs: ["get"] }])));
    await expect(check(request(roles, role([{ apiGroups: [""], resources: ["pods"], verbs: ["*"] }])))).rejects.toThrow('Verbs:["*"]');
  });

  it("accepts everything from whoever may escalate, and from system:masters", async () => {
    const wanted = request(roles, role([{ apiGroups: [""], resources: ["secrets"], verbs: ["get"] }]));
    await check({ ...wanted, user: { name: "root", groups: ["system:masters"] } });
    hold([{ apiGroups: [rbac], resources: ["roles"], verbs: ["escalate"] }]);
    await check(wanted);
  });

  it("refuses a binding to a role with more than its writer holds, unless it may be bound", async () => {
    reader().put(clusterroles, { metadata: { name: "big" }, rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get"] }] });
    const binding = (name: string): RoleBinding =>
      new MemoryReader().put(rolebindings, {
        metadata: { namespace: "ns", name: "b" },
        roleRef: { apiGroup: rbac, kind: "ClusterRole", name },
        subjects: [],
      });
    await expect(check(request(rolebindings, binding("big")))).rejects.toThrow(
      "is attempting to grant RBAC permissions not currently held",
    );
    await expect(check(request(rolebindings, binding("gone")))).rejects.toMatchObject({
      code: 404,
      message: 'rolebindings.rbac.authorization.k8s.io "gone" not found',
    });
    hold([{ apiGroups: [rbac], resources: ["clusterroles"], resourceNames: ["big"], verbs: ["bind"] }]);
    await check(request(rolebindings, binding("big")));
  });

  it("lets the garbage collector remove owners and finalizers", async () => {
    const old = role([{ apiGroups: [""], resources: ["secrets"], verbs: ["get"] }]);
    const withFinalizer = { ...old, metadata: { ...old.metadata, finalizers: ["f"] } };
    await check(request(roles, old, { operation: "UPDATE", oldObject: withFinalizer }));
    await expect(check(request(roles, old, { operation: "UPDATE", oldObject: old }))).rejects.toMatchObject({ code: 403 });
  });

  it("keeps aggregation rules to cluster admins", async () => {
    const collecting = new MemoryReader().put(clusterroles, { metadata: { name: "c" }, aggregationRule: { clusterRoleSelectors: [{}] } });
    await expect(check(request(clusterroles, collecting))).rejects.toThrow("must have cluster-admin privileges to use the aggregationRule");
  });
});

describe("access reviews", () => {
  const ask = async (resource: string, spec: unknown, more: Partial<CreateRequest> = {}, metadata: object = {}) => {
    const creators = accessReviews(createAuthorizer({ reader: client.reader }));
    const object = { apiVersion: "authorization.k8s.io/v1", kind: "X", metadata, spec } as unknown as CreateRequest["object"];
    const request: CreateRequest = {
      type: clusterroles,
      subresource: "",
      namespace: "",
      name: "",
      object,
      dryRun: false,
      context: fakeContext({ user: jane }),
      ...more,
    };
    return (await creators[`authorization.k8s.io/${resource}`]?.(request)) as unknown as {
      readonly spec: unknown;
      readonly status: unknown;
    };
  };

  it("answer for others and for oneself", async () => {
    await reconcile();
    const api = { nonResourceAttributes: { path: "/api", verb: "get" } };
    expect((await ask("selfsubjectaccessreviews", api)).status).toEqual({
      allowed: true,
      reason: 'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"',
    });
    const nodes = { resourceAttributes: { verb: "delete", resource: "nodes" } };
    expect((await ask("subjectaccessreviews", { user: "x", ...nodes })).status).toEqual({ allowed: false });
    expect((await ask("subjectaccessreviews", { groups: ["system:masters"], ...nodes })).status).toEqual({ allowed: true });
  });

  it("list one's rules", async () => {
    await reconcile();
    const { status, spec } = await ask("selfsubjectrulesreviews", { namespace: "ns" });
    expect(spec).toEqual({});
    expect(status).toMatchObject({
      incomplete: false,
      resourceRules: expect.arrayContaining([
        { apiGroups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"], verbs: ["create"] },
      ]),
    });
    await expect(ask("selfsubjectrulesreviews", {})).rejects.toMatchObject({ code: 400, message: "no namespace on request" });
  });

  const prefix = '.authorization.k8s.io "" is invalid: ';
  it.each([
    ["subjectaccessreviews", { resourceAttributes: {} }, 'spec.user: Invalid value: "": at least one of user or group must be specified'],
    [
      "subjectaccessreviews",
      { user: "x" },
      "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
    ],
    [
      "subjectaccessreviews",
      { user: "x", resourceAttributes: { verb: "get" }, nonResourceAttributes: { path: "/", verb: "get" } },
      'spec.nonResourceAttributes: Invalid value: {"Path":"/","Verb":"get"}: cannot be specified in combination with resourceAttributes',
    ],
    [
      "selfsubjectaccessreviews",
      { resourceAttributes: { fieldSelector: { rawSelector: "a=b", requirements: [{ key: "a", operator: "In", values: ["b"] }] } } },
      'spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements',
    ],
    [
      "localsubjectaccessreviews",
      { user: "x", resourceAttributes: { namespace: "other" } },
      'spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace',
    ],
  ])("%s are validated: %j", async (resource, spec, message) => {
    const local = resource.startsWith("local");
    await expect(ask(resource, spec, { namespace: local ? "ns" : "" }, local ? { namespace: "ns" } : {})).rejects.toMatchObject({
      code: 422,
      message: prefix + message,
      status: { details: { group: "authorization.k8s.io" } },
    });
  });

  it("refuse metadata, and pass over selectors that they do not understand", async () => {
    await expect(ask("selfsubjectaccessreviews", { resourceAttributes: {} }, {}, { name: "n" })).rejects.toThrow("metadata: Invalid value");
    const labelSelector = { requirements: [{ key: "a", operator: "Near", values: ["b"] }] };
    expect((await ask("selfsubjectaccessreviews", { resourceAttributes: { labelSelector } })).status).toMatchObject({
      evaluationError: "spec.resourceAttributes.labelSelector ignored due to parse error",
    });
  });
});
