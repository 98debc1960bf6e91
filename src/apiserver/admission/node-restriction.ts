// NodeRestriction: narrows what kubelets may write to what is theirs. A node changes its own Node object, but neither its
// taints nor the labels that steer workloads; creates only mirror pods bound to itself that refer to nothing; writes the
// status of its own pods; and asks for tokens only of the accounts of its pods, bound to them and for audiences they use.
import { isDeepStrictEqual } from "node:util";
import { notFound } from "../../api/meta/status-error.ts";
import { nodes, pods } from "../../api/resources.generated.ts";
import { podReferences } from "../../api/semantics/pod-references.ts";
import type { CertificateSigningRequest } from "../../api/types/certificates-v1.ts";
import type { Node, PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { ResourceSlice } from "../../api/types/resource-v1.ts";
import { nodeNameOf } from "../authn/node-identity.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { readSigningRequest } from "./certificate-signers.ts";
import { checkPodCertificateRequest } from "./node-pod-certificates.ts";
import { checkNodeToken } from "./node-tokens.ts";
import { refuse } from "./refusal.ts";

const mirrorAnnotation = "kubernetes.io/config.mirror";

export interface NodeRestrictionDependencies {
  readonly reader: AdmissionReader;
  readonly authorizer: Authorizer;
}

type Check = (node: string, request: AdmissionRequest, deps: NodeRestrictionDependencies) => Promise<void> | void;

export function createNodeRestriction(deps: NodeRestrictionDependencies): AdmissionPlugin {
  return {
    name: "NodeRestriction",
    handles: (request) => request.operation !== "CONNECT" && nodeNameOf(request.user) !== undefined,
    async admit(request) {
      const node = nodeNameOf(request.user) ?? "";
      if (node === "") throw refuse(request, `could not determine node from user ${JSON.stringify(request.user.name)}`);
      await checks[`${request.resource.group}/${request.resource.resource}`]?.(node, request, deps);
      return request.object;
    },
  };
}

/** By "group/resource"; other resources are not restricted beyond authorization. */
const checks: Readonly<Record<string, Check>> = {
  "/pods": checkPod,
  "/nodes": checkNode,
  "/persistentvolumeclaims": checkClaim,
  "/serviceaccounts": (node, request, deps) => {
    if (request.operation === "CREATE" && request.subresource === "token") return checkNodeToken(node, request, deps);
  },
  "certificates.k8s.io/podcertificaterequests": checkPodCertificateRequest,
  "coordination.k8s.io/leases": (node, request) => {
    if (request.namespace !== "kube-node-lease") throw refuse(request, 'can only access leases in the "kube-node-lease" system namespace');
    if (objectName(request) !== node) throw refuse(request, "can only access node lease with the same name as the requesting node");
  },
  "storage.k8s.io/csinodes": (node, request) => {
    if (objectName(request) !== node) throw refuse(request, "can only access CSINode with the same name as the requesting node");
  },
  "resource.k8s.io/resourceslices": (node, request) => {
    const slice = (request.operation === "DELETE" ? request.oldObject : request.object) as ResourceSlice | undefined;
    const verb = request.operation === "CREATE" ? "create" : "delete";
    if (request.operation !== "UPDATE" && slice?.spec.nodeName !== node)
      throw refuse(request, `can only ${verb} ResourceSlice with the same NodeName as the requesting node`);
  },
  "certificates.k8s.io/certificatesigningrequests": checkSigningRequest,
};

/** A create has its name in the object only. */
const objectName = ({ operation, name, object }: AdmissionRequest): string =>
  operation === "CREATE" ? (object?.metadata.name ?? "") : name;

const q = JSON.stringify;

function checkPod(node: string, request: AdmissionRequest, { reader }: NodeRestrictionDependencies): void {
  switch (request.subresource) {
    case "":
      if (request.operation === "CREATE") return checkMirrorPod(node, request, reader);
      if (request.operation !== "DELETE")
        throw refuse(request, `unexpected operation ${q(request.operation)}, node ${q(node)} can only create and delete mirror pods`);
      if (existingPod(request, reader).spec?.nodeName !== node)
        throw refuse(request, `node ${q(node)} can only delete pods with spec.nodeName set to itself`);
      return;
    case "status":
      return checkPodStatus(node, request);
    case "eviction":
      if (request.operation !== "CREATE") throw refuse(request, `unexpected operation ${request.operation}`);
      if (existingPod(request, reader).spec?.nodeName !== node)
        throw refuse(request, `node ${node} can only evict pods with spec.nodeName set to itself`);
      return;
    default:
      throw refuse(request, `unexpected pod subresource ${q(request.subresource)}, only 'status' and 'eviction' are allowed`);
  }
}

function existingPod(request: AdmissionRequest, reader: AdmissionReader): Pod {
  const name = request.name || (request.object?.metadata.name ?? "");
  const pod = reader.informer(pods).get(`${request.namespace}/${name}`);
  if (!pod) throw notFound({ group: "", resource: "pod" }, name);
  return pod;
}

function checkMirrorPod(node: string, request: AdmissionRequest, reader: AdmissionReader): void {
  const pod = request.object as Pod;
  const mayOnly = (what: string): Error => refuse(request, `node ${q(node)} can only create pods with ${what}`);
  if (pod.metadata.annotations?.[mirrorAnnotation] === undefined)
    throw refuse(request, `pod does not have ${q(mirrorAnnotation)} annotation, node ${q(node)} can only create mirror pods`);
  if (pod.spec?.nodeName !== node) throw mayOnly("spec.nodeName set to itself");
  const [owner, ...others] = pod.metadata.ownerReferences ?? [];
  if (others.length > 0) throw mayOnly("a single owner reference set to itself");
  if (owner?.apiVersion !== "v1" || owner.kind !== "Node" || owner.name !== node) throw mayOnly("an owner reference set to itself");
  if (owner.controller !== true) throw mayOnly("a controller owner reference set to itself");
  if (owner.blockOwnerDeletion === true) throw refuse(request, `node ${q(node)} must not set blockOwnerDeletion on an owner reference`);
  const own = reader.informer(nodes).get(node);
  if (!own) throw notFound({ group: "", resource: "node" }, node);
  if (owner.uid !== own.metadata.uid) throw refuse(request, `node ${node} UID mismatch: expected ${owner.uid} got ${own.metadata.uid}`);
  const referenced = referencedResource(pod);
  if (referenced !== undefined) throw refuse(request, `node ${q(node)} can not create pods that reference ${referenced}`);
}

/** The first kind of API object the pod refers to. */
function referencedResource(pod: Pod): string | undefined {
  const found = podReferences(pod);
  if (found.serviceAccount !== "") return "serviceaccounts";
  if (found.secrets.size > 0) return "secrets";
  if (found.configMaps.size > 0) return "configmaps";
  if ((pod.spec?.resourceClaims ?? []).length > 0) return "resourceclaims";
  for (const volume of pod.spec?.volumes ?? []) {
    if (volume.persistentVolumeClaim || volume.ephemeral) return "persistentvolumeclaims";
    if (volume.csi) return "csidrivers (via CSI volumes)";
    if (volume.glusterfs) return "endpoints (via glusterFS volumes)";
    if (volume.projected?.sources?.some((s) => s.serviceAccountToken)) return "serviceaccounts (via projected volumes)";
    if (volume.projected?.sources?.some((s) => s.clusterTrustBundle)) return "clustertrustbundles";
    if (volume.projected?.sources?.some((s) => s.podCertificate)) return "podcertificates";
  }
  return undefined;
}

function checkPodStatus(node: string, request: AdmissionRequest): void {
  if (request.operation !== "UPDATE") throw refuse(request, `unexpected operation ${q(request.operation)}`);
  const [pod, old] = [request.object as Pod, request.oldObject as Pod];
  if (old.spec?.nodeName !== node)
    throw refuse(request, `node ${q(node)} can only update pod status for pods with spec.nodeName set to itself`);
  if (!same(old.metadata.labels, pod.metadata.labels)) throw refuse(request, `node ${q(node)} cannot update labels through pod status`);
  if (!same(old.status?.resourceClaimStatuses, pod.status?.resourceClaimStatuses))
    throw refuse(request, `node ${q(node)} cannot update resource claim statues`);
  if (!same(old.status?.extendedResourceClaimStatus, pod.status?.extendedResourceClaimStatus))
    throw refuse(request, `node ${q(node)} cannot update extended resource claim status`);
}

/** Whether two values are equal; what is absent equals what is empty. */
function same(a: unknown, b: unknown): boolean {
  const isEmpty = (v: unknown): boolean => v === undefined || v === null || (typeof v === "object" && Object.keys(v).length === 0);
  return (isEmpty(a) && isEmpty(b)) || isDeepStrictEqual(a, b);
}

function checkNode(node: string, request: AdmissionRequest): void {
  const name = request.name || objectName(request);
  if (name !== node) throw refuse(request, `node ${q(node)} is not allowed to modify node ${q(name)}`);
  const [object, old] = [request.object as Node | undefined, request.oldObject as Node | undefined];
  if (request.operation === "CREATE" && object) {
    if (object.spec?.configSource) throw refuse(request, `node ${q(node)} is not allowed to create pods with a non-nil configSource`);
    const labels = forbiddenLabels(object.metadata.labels, undefined);
    if (labels.length > 0) throw refuse(request, `node ${q(node)} is not allowed to set the following labels: ${labels.join(", ")}`);
  }
  if (request.operation === "UPDATE" && object && old) {
    if (object.spec?.configSource && !same(object.spec.configSource, old.spec?.configSource))
      throw refuse(request, `node ${q(node)} is not allowed to update configSource to a new non-nil configSource`);
    if (!same(object.spec?.taints, old.spec?.taints)) throw refuse(request, `node ${q(node)} is not allowed to modify taints`);
    if (!same(object.metadata.ownerReferences, old.metadata.ownerReferences))
      throw refuse(request, `node ${q(node)} is not allowed to modify ownerReferences`);
    const labels = forbiddenLabels(object.metadata.labels, old.metadata.labels);
    if (labels.length > 0) throw refuse(request, `is not allowed to modify labels: ${labels.join(", ")}`);
  }
}

const kubeletLabels = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
  "node.kubernetes.io/instance-type",
  "beta.kubernetes.io/instance-type",
]);
const kubeletLabelDomains = ["kubelet.kubernetes.io", "node.kubernetes.io"];
const restrictedDomain = "node-restriction.kubernetes.io";

const isWithin = (domain: string, parent: string): boolean => domain === parent || domain.endsWith(`.${parent}`);

type Labels = Readonly<Record<string, string>> | undefined;

/** Labels that differ and that a node may not touch: sorted. */
function forbiddenLabels(labels: Labels, old: Labels): readonly string[] {
  const changed = [...new Set([...Object.keys(labels ?? {}), ...Object.keys(old ?? {})])].filter((k) => labels?.[k] !== old?.[k]);
  return changed
    .filter((key) => {
      const domain = key.includes("/") ? key.slice(0, key.indexOf("/")) : "";
      if (isWithin(domain, restrictedDomain)) return true;
      const isKubernetes = isWithin(domain, "kubernetes.io") || isWithin(domain, "k8s.io");
      return isKubernetes && !kubeletLabels.has(key) && !kubeletLabelDomains.some((d) => isWithin(domain, d));
    })
    .sort();
}

function checkClaim(node: string, request: AdmissionRequest): void {
  if (request.subresource !== "status") throw refuse(request, "may only update PVC status");
  if (request.operation !== "UPDATE") throw refuse(request, `unexpected operation ${q(request.operation)}`);
  const rest = ({ metadata, status, ...others }: PersistentVolumeClaim): unknown => {
    const { resourceVersion: _r, managedFields: _m, ...meta } = metadata;
    const { capacity: _c, conditions: _o, allocatedResources: _a, allocatedResourceStatuses: _s, ...fixed } = status ?? {};
    return { metadata: meta, status: fixed, ...others };
  };
  if (!isDeepStrictEqual(rest(request.object as PersistentVolumeClaim), rest(request.oldObject as PersistentVolumeClaim)))
    throw refuse(request, `node ${q(node)} is not allowed to update fields other than status.quantity and status.conditions`);
}

const kubeletSigners = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

function checkSigningRequest(node: string, request: AdmissionRequest): void {
  if (request.operation !== "CREATE" || !kubeletSigners.includes((request.object as CertificateSigningRequest).spec.signerName)) return;
  const { subject } = readSigningRequest(request, (problem) => `unable to parse csr: ${problem}`);
  if (subject.commonName !== `system:node:${node}`) throw refuse(request, `can only create a node CSR with CN=system:node:${node}`);
}
