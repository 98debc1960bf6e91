// What kubelets may do. A node reads only what belongs to it: its own Node, Lease and CSINode, the pods bound to it, and
// the secrets, config maps, claims, volumes and service accounts these pods refer to. Everything else a kubelet needs is
// the same for all nodes (the rules of system:node). What a node may write is narrowed further by NodeRestriction, which
// sees the objects. Relations are found through indexes over the pods bound to nodes: "<node>|secret|<namespace>/<name>".
import type { KubernetesObject } from "../../api/meta/object.ts";
import { parseFieldSelector, SelectorError } from "../../api/meta/selectors.ts";
import { persistentvolumes, pods, resourceslices, volumeattachments } from "../../api/resources.generated.ts";
import { persistentVolumeSecrets, podReferences } from "../../api/semantics/pod-references.ts";
import type { PersistentVolume, Pod } from "../../api/types/core-v1.ts";
import type { Informer } from "../../client/informer.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import { nodeNameOf } from "../authn/node-identity.ts";
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from "./authorizer.ts";
import { parseRule } from "./bootstrap-policy.ts";
import { defaultClusterRoles } from "./default-cluster-roles.ts";
import { ruleAllows } from "./rules.ts";

const allow: AuthorizationDecision = { decision: "allow", reason: "" };
const no = (reason = ""): AuthorizationDecision => ({ decision: "no-opinion", reason });

type Check = (node: string, request: AuthorizationAttributes) => AuthorizationDecision;

/** `gatedRules`: what system:node has besides while feature gates are on. */
export function createNodeAuthorizer(reader: AdmissionReader, gatedRules: readonly string[] = []): Authorizer {
  const nodeRules = [...(defaultClusterRoles["system:node"] ?? []), ...gatedRules].map(parseRule);
  const relations = new NodeRelations(reader);
  const { [podCertificates]: certificateCheck, ...others } = createChecks(relations);
  // Nodes ask for certificates of pods only where the feature's rules are theirs.
  const checks: Readonly<Record<string, Check | undefined>> = gatedRules.some((rule) => rule.includes("podcertificaterequests"))
    ? { ...others, [podCertificates]: certificateCheck }
    : others;
  return {
    authorize(request) {
      const node = nodeNameOf(request.user);
      if (node === undefined) return no();
      if (node === "") return no(`unknown node for user ${JSON.stringify(request.user.name)}`);
      const check = request.isResourceRequest ? checks[`${request.apiGroup}/${request.resource}`] : undefined;
      // What has not been read yet is no reason to refuse.
      if (check) return relations.known ? check(node, request) : relations.read().then(() => check(node, request));
      return nodeRules.some((rule) => ruleAllows(rule, request)) ? allow : no();
    },
    async rulesFor(user) {
      const isNode = nodeNameOf(user) !== undefined;
      return {
        resourceRules: [],
        nonResourceRules: [],
        incomplete: isNode,
        ...(isNode ? { evaluationError: "node authorizer does not support user rule resolution" } : {}),
      };
    },
  };
}

const podCertificates = "certificates.k8s.io/podcertificaterequests";

type Related = (node: string, namespace: string, name: string) => boolean;

/** Checks by "group/resource", for the resources that nodes do not share. */
function createChecks(relations: NodeRelations): Readonly<Record<string, Check>> {
  const related =
    (isRelated: Related): Check =>
    (node, { namespace, name }) => {
      if (name === "") return no("No Object name found");
      return isRelated(node, namespace, name) ? allow : no(`no relationship found between node '${node}' and this object`);
    };
  const getOnly =
    (isRelated: Related): Check =>
    (node, request) => {
      if (request.verb !== "get") return no("can only get individual resources of this type");
      if (request.subresource !== "") return no("cannot get subresource");
      return related(isRelated)(node, request);
    };
  const read =
    (isRelated: Related): Check =>
    (node, request) => {
      if (!["get", "list", "watch"].includes(request.verb)) return no("can only read resources of this type");
      if (request.subresource !== "") return no("cannot read subresource");
      if (request.namespace === "") return no("can only read namespaced object of this type");
      return related(isRelated)(node, request);
    };
  const claim: Related = (node, namespace, name) => relations.refersTo(node, "claim", namespace, name);
  const account: Related = (node, namespace, name) => relations.refersTo(node, "account", namespace, name);
  return {
    "/secrets": read((node, namespace, name) => relations.mayReadSecret(node, namespace, name)),
    "/configmaps": read((node, namespace, name) => relations.refersTo(node, "configmap", namespace, name)),
    "/persistentvolumeclaims": (node, request) => {
      if (request.subresource !== "status") return getOnly(claim)(node, request);
      return request.verb === "update" || request.verb === "patch"
        ? related(claim)(node, request)
        : no("can only get/update/patch this type");
    },
    "/persistentvolumes": getOnly((node, _namespace, name) => relations.mayReadVolume(node, name)),
    "resource.k8s.io/resourceclaims": getOnly((node, namespace, name) => relations.refersTo(node, "resourceclaim", namespace, name)),
    "storage.k8s.io/volumeattachments": getOnly((node, _namespace, name) => relations.isAttachedTo(node, name)),
    "/serviceaccounts": (node, request) => {
      if (request.verb === "get" && request.subresource === "") return read(account)(node, request);
      if (request.verb !== "create" || request.name === "") return no("can only create tokens for individual service accounts");
      if (request.subresource !== "token") return no("can only create token subresource of serviceaccount");
      return related(account)(node, request);
    },
    [podCertificates]: checkPodCertificateRequest,
    "coordination.k8s.io/leases": checkLease,
    "storage.k8s.io/csinodes": checkCsiNode,
    "resource.k8s.io/resourceslices": (node, request) =>
      checkSlice(
        node,
        request,
        related((n, _ns, name) => relations.ownsSlice(n, name)),
      ),
    "/nodes": checkNode,
    "/pods": (node, request) =>
      checkPod(
        node,
        request,
        related((n, namespace, name) => relations.runs(n, namespace, name)),
      ),
  };
}

const ownObjectVerbs = ["get", "create", "update", "patch", "delete"];

const checkPodCertificateRequest: Check = (node, request) => {
  if (request.subresource !== "") return no("nodes may not access the status subresource of PodCertificateRequests");
  // NodeRestriction sees whom it is for.
  if (request.verb === "create") return allow;
  if (request.verb !== "list" && request.verb !== "watch") return no(`nodes may not ${request.verb} podcertificaterequests`);
  return selectsOnly(request, "spec.nodeName", node)
    ? allow
    : no("can only list/watch podcertificaterequests with nodeName field selector");
};

const checkLease: Check = (node, { verb, namespace, name }) => {
  if (!ownObjectVerbs.includes(verb)) return no("can only get, create, update, patch, or delete a node lease");
  if (namespace !== "kube-node-lease") return no('can only access leases in the "kube-node-lease" system namespace');
  // The name is not known at creation: NodeRestriction checks it then.
  return verb === "create" || name === node ? allow : no("can only access node lease with the same name as the requesting node");
};

const checkCsiNode: Check = (node, { verb, subresource, name }) => {
  if (!ownObjectVerbs.includes(verb)) return no("can only get, create, update, patch, or delete a CSINode");
  if (subresource !== "") return no("cannot authorize CSINode subresources");
  return verb === "create" || name === node ? allow : no("can only access CSINode with the same name as the requesting node");
};

function checkSlice(node: string, request: AuthorizationAttributes, own: Check): AuthorizationDecision {
  if (request.subresource !== "") return no("cannot authorize ResourceSlice subresources");
  switch (request.verb) {
    case "create":
      return allow;
    case "get":
    case "update":
    case "patch":
    case "delete":
      return own(node, request);
    case "watch":
    case "list":
    case "deletecollection":
      return selectsOnly(request, "spec.nodeName", node)
        ? allow
        : no("can only list/watch/deletecollection resourceslices with nodeName field selector");
    default:
      return no(
        "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
      );
  }
}

const checkNode: Check = (node, { verb, subresource, name }) => {
  if (subresource === "status") return verb === "update" || verb === "patch" ? allow : no();
  if (subresource !== "") return no();
  if (["create", "update", "patch"].includes(verb)) return allow;
  if (!["get", "list", "watch"].includes(verb)) return no();
  if (name === node) return allow;
  return no(
    name === ""
      ? `node '${node}' cannot read all nodes, only its own Node object`
      : `node '${node}' cannot read '${name}', only its own Node object`,
  );
};

function checkPod(node: string, request: AuthorizationAttributes, runs: Check): AuthorizationDecision {
  const { verb, subresource } = request;
  if (subresource === "status") return verb === "update" || verb === "patch" ? allow : no();
  if (subresource === "eviction") return verb === "create" ? allow : no();
  if (subresource !== "") return no();
  if (verb === "create" || verb === "delete") return allow;
  if (verb === "get") return runs(node, request);
  if (verb !== "list" && verb !== "watch") return no();
  if (selectsOnly(request, "spec.nodeName", node)) return allow;
  return request.name === "" ? no("can only list/watch pods with spec.nodeName field selector") : runs(node, request);
}

/** A selector that does not parse selects nothing: the request will be refused for it anyway. */
function selectsOnly(request: AuthorizationAttributes, field: string, value: string): boolean {
  try {
    return parseFieldSelector(request.fieldSelector ?? "").exactValue(field) === value;
  } catch (error) {
    if (error instanceof SelectorError) return false;
    throw error;
  }
}

const relationIndex = "node-authorizer";

/** Answers how objects relate to nodes, from indexes over the server's own watch caches. */
class NodeRelations {
  readonly #reader: AdmissionReader;
  #known = false;

  constructor(reader: AdmissionReader) {
    this.#reader = reader;
    reader.informer(pods).addIndex(relationIndex, podRelations);
    reader.informer(persistentvolumes).addIndex(relationIndex, persistentVolumeSecrets);
  }

  /** Whether all that is asked about has been read. */
  get known(): boolean {
    if (!this.#known) this.#known = this.#all().every(({ hasSynced }) => hasSynced);
    return this.#known;
  }

  async read(): Promise<void> {
    await Promise.all(this.#all().map((informer) => informer.hasSynced || informer.synced()));
  }

  #all(): readonly Pick<Informer<KubernetesObject>, "hasSynced" | "synced">[] {
    const reader = this.#reader;
    return [reader.informer(pods), reader.informer(persistentvolumes), reader.informer(resourceslices), reader.informer(volumeattachments)];
  }

  runs(node: string, namespace: string, name: string): boolean {
    return this.#reader.informer(pods).get(`${namespace}/${name}`)?.spec?.nodeName === node;
  }

  /** Whether a pod bound to the node refers to the object. */
  refersTo(node: string, kind: string, namespace: string, name: string): boolean {
    return this.#reader.informer(pods).byIndex(relationIndex, `${node}|${kind}|${namespace}/${name}`).length > 0;
  }

  mayReadVolume(node: string, name: string): boolean {
    return this.#usesClaimOf(node, this.#reader.informer(persistentvolumes).get(name));
  }

  /** Secrets of pods, and of the volumes whose claims pods use. */
  mayReadSecret(node: string, namespace: string, name: string): boolean {
    if (this.refersTo(node, "secret", namespace, name)) return true;
    const volumes = this.#reader.informer(persistentvolumes).byIndex(relationIndex, `${namespace}/${name}`);
    return volumes.some((volume) => this.#usesClaimOf(node, volume));
  }

  isAttachedTo(node: string, attachment: string): boolean {
    return this.#reader.informer(volumeattachments).get(attachment)?.spec.nodeName === node;
  }

  ownsSlice(node: string, slice: string): boolean {
    return this.#reader.informer(resourceslices).get(slice)?.spec.nodeName === node;
  }

  #usesClaimOf(node: string, volume: PersistentVolume | undefined): boolean {
    const claim = volume?.spec?.claimRef;
    return claim !== undefined && this.refersTo(node, "claim", claim.namespace ?? "", claim.name ?? "");
  }
}

function podRelations(pod: Pod): readonly string[] {
  const node = pod.spec?.nodeName;
  // A node must never gain access by a pod it has made itself.
  if (!node || pod.metadata.annotations?.["kubernetes.io/config.mirror"] !== undefined) return [];
  const namespace = pod.metadata.namespace ?? "";
  const found = podReferences(pod);
  const keys: string[] = [];
  for (const name of found.secrets) keys.push(`${node}|secret|${namespace}/${name}`);
  for (const name of found.configMaps) keys.push(`${node}|configmap|${namespace}/${name}`);
  for (const name of found.claims) keys.push(`${node}|claim|${namespace}/${name}`);
  for (const name of found.resourceClaims) keys.push(`${node}|resourceclaim|${namespace}/${name}`);
  if (found.serviceAccount !== "") keys.push(`${node}|account|${namespace}/${found.serviceAccount}`);
  return keys;
}
