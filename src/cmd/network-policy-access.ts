// What nodes may read so that they can enforce network policies: policies, pods and namespaces of the whole cluster. Upstream's
// network plugins have the same from the service accounts of their daemon sets, whose tokens are on every node as well.
import { isStatus } from "../api/meta/status-error.ts";
import { clusterrolebindings, clusterroles } from "../api/resources.generated.ts";
import type { Client } from "../client/client.ts";

const name = "coracle:network-policy";
const group = "rbac.authorization.k8s.io";
const verbs = ["get", "list", "watch"];

const role = {
  metadata: { name },
  rules: [
    { apiGroups: [""], resources: ["pods", "namespaces"], verbs },
    { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs },
  ],
};

const binding = {
  metadata: { name },
  roleRef: { apiGroup: group, kind: "ClusterRole", name },
  subjects: [{ kind: "Group", apiGroup: group, name: "system:nodes" }],
};

/** Makes the role and its binding; those that are there stay as they are. `client` speaks as an administrator. */
export async function letNodesReadPolicies(client: Client): Promise<void> {
  const ignoreExisting = (error: unknown): void => {
    if (!isStatus(error, "AlreadyExists")) throw error;
  };
  await client.create(clusterroles, role).catch(ignoreExisting);
  await client.create(clusterrolebindings, binding).catch(ignoreExisting);
}
