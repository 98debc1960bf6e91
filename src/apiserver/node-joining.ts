// What a machine needs to find the cluster and to become a node of it, under kubeadm's names: the public address and authority
// (kube-public/cluster-info, which bootstrap-signer-controller signs with every token), and the rights of those who hold
// a bootstrap token and of the nodes they become.
import { semanticallyEqual } from "../api/meta/equality.ts";
import type { New } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { clusterrolebindings, clusterroles, configmaps, rolebindings, roles } from "../api/resources.generated.ts";
import type { ClusterRoleBinding, PolicyRule, Subject } from "../api/types/rbac-v1.ts";
import type { Client } from "../client/client.ts";
import { createMissing, find } from "./bootstrap.ts";

export interface ClusterInfo {
  /** Under which other machines reach the API server: "https://10.0.0.1:6443". */
  readonly server: string;
  readonly caPem: string;
}

/** Of the tokens that `coracle token create` and kubeadm make. */
const joining: Subject = { kind: "Group", apiGroup: "rbac.authorization.k8s.io", name: "system:bootstrappers:kubeadm:default-node-token" };
const nodes: Subject = { kind: "Group", apiGroup: "rbac.authorization.k8s.io", name: "system:nodes" };
const anybody: Subject = { kind: "User", apiGroup: "rbac.authorization.k8s.io", name: "system:anonymous" };
const approver: Subject = { kind: "ServiceAccount", namespace: "kube-system", name: "kubelet-serving-approver" };
const csr = "system:certificates.k8s.io:certificatesigningrequests";
const approverRole = "coracle:kubelet-serving-approver";

const binding = (name: string, role: string, subject: Subject): New<ClusterRoleBinding> => ({
  metadata: { name },
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
  subjects: [subject],
});

const approverRules: readonly PolicyRule[] = [
  { apiGroups: ["certificates.k8s.io"], resources: ["certificatesigningrequests"], verbs: ["get", "list", "watch"] },
  { apiGroups: ["certificates.k8s.io"], resources: ["certificatesigningrequests/approval"], verbs: ["update"] },
  { apiGroups: ["certificates.k8s.io"], resources: ["signers"], resourceNames: ["kubernetes.io/kubelet-serving"], verbs: ["approve"] },
  { apiGroups: [""], resources: ["nodes"], verbs: ["get", "list", "watch"] },
  { apiGroups: [""], resources: ["configmaps"], resourceNames: ["cluster-info"], verbs: ["get"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list"] },
  { apiGroups: ["networking.k8s.io"], resources: ["servicecidrs"], verbs: ["list"] },
];

/** Makes what is missing; what an administrator has changed stays, but for the address and the authority. */
export async function ensureNodeJoining(client: Client, info: ClusterInfo): Promise<void> {
  const inPublic = { namespace: "kube-public", name: "kubeadm:bootstrap-signer-clusterinfo" };
  await Promise.all([
    publishClusterInfo(client, info),
    createMissing(client, clusterrolebindings, binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", joining)),
    createMissing(client, clusterrolebindings, binding("kubeadm:node-autoapprove-bootstrap", `${csr}:nodeclient`, joining)),
    createMissing(client, clusterrolebindings, binding("kubeadm:node-autoapprove-certificate-rotation", `${csr}:selfnodeclient`, nodes)),
    createMissing(client, clusterroles, {
      metadata: { name: "kubeadm:get-nodes" },
      rules: [{ apiGroups: [""], resources: ["nodes"], verbs: ["get"] }],
    }),
    createMissing(client, clusterrolebindings, binding("kubeadm:get-nodes", "kubeadm:get-nodes", joining)),
    createMissing(client, clusterroles, { metadata: { name: approverRole }, rules: approverRules }),
    createMissing(client, clusterrolebindings, binding(approverRole, approverRole, approver)),
    createMissing(client, roles, {
      metadata: inPublic,
      rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: ["cluster-info"], verbs: ["get"] }],
    }),
    createMissing(client, rolebindings, {
      metadata: inPublic,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: inPublic.name },
      subjects: [anybody],
    }),
  ]);
}

const at = { namespace: "kube-public", name: "cluster-info" };

async function publishClusterInfo(client: Client, info: ClusterInfo): Promise<void> {
  const kubeconfig = clusterInfoText(info);
  const found = await find(client, configmaps, at);
  if (!found) return createMissing(client, configmaps, { metadata: at, data: { kubeconfig } });
  if (semanticallyEqual(found.data?.kubeconfig, kubeconfig)) return;
  try {
    // Signatures of the old text are worth nothing: the signer makes new ones.
    await client.update(configmaps, { ...found, data: { ...found.data, kubeconfig } });
  } catch (error) {
    // Another API server says where it is; the signer has signed.
    if (!isStatus(error, "Conflict")) throw error;
  }
}

/** A kubeconfig of a cluster alone, as kubeadm writes it. */
export function clusterInfoText({ server, caPem }: ClusterInfo): string {
  return `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: ${Buffer.from(caPem).toString("base64")}
    server: ${server}
  name: ""
contexts: null
current-context: ""
kind: Config
preferences: {}
users: null
`;
}
