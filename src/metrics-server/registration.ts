// How the cluster learns of its metrics server: the APIService, a service without a selector whose only endpoint is this process,
// and the roles that metrics-server's manifests have. An APIService that leads to somebody else's service is left alone, so a
// metrics-server that a user installs takes over, and this one steps back in when that one is removed.
import type { KubernetesObject, New } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { apiservices, clusterrolebindings, clusterroles, endpointslices, rolebindings, services } from "../api/resources.generated.ts";
import type { APIService } from "../api/types/apiregistration-v1.ts";
import type { Service } from "../api/types/core-v1.ts";
import type { ClusterRole, ClusterRoleBinding, RoleBinding } from "../api/types/rbac-v1.ts";
import type { Client } from "../client/client.ts";

/** Where the API server reaches this process. */
export interface Endpoint {
  /** No loopback address: endpoints may not be one. */
  readonly address: string;
  readonly port: number;
}

export const apiServiceName = "v1beta1.metrics.k8s.io";
const namespace = "kube-system";
/** Not "metrics-server": that name is for the one a user may install. */
export const serviceName = "coracle-metrics-server";
const account = { kind: "ServiceAccount", name: "metrics-server", namespace };
const labels = { "k8s-app": serviceName };
const rbacGroup = "rbac.authorization.k8s.io";
const call = { timeoutMs: 10_000 };

/** The user whose rights the roles give: the service account of metrics-server's manifests. */
export const metricsServerUser = {
  name: `system:serviceaccount:${namespace}:${account.name}`,
  groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`],
};

export function isOurs(apiService: APIService): boolean {
  const { service } = apiService.spec;
  return service?.namespace === namespace && service.name === serviceName;
}

/** Makes the roles that are missing, for clients and for the metrics server itself. */
export async function registerRoles(client: Client): Promise<void> {
  await Promise.all([
    ensure(client, clusterroles, aggregatedReader),
    ensure(client, clusterroles, serverRole),
    ensure(client, clusterrolebindings, serverBinding),
    ensure(client, rolebindings, authenticationReader),
  ]);
}

/** Makes what is missing. Whether the API is this process's: false where the APIService is somebody else's. */
export async function register(client: Client, endpoint: Endpoint): Promise<boolean> {
  await Promise.all([ensure(client, services, service), publish(client, endpoint)]);
  return isOurs(await ensure(client, apiservices, apiService));
}

/** For a cluster without a metrics server: an APIService without a server would hinder whoever asks what is served. */
export async function unregister(client: Client): Promise<void> {
  const found = await client.get(apiservices, { name: apiServiceName }, call).catch(orUndefined);
  if (!found || !isOurs(found)) return;
  await client.delete(apiservices, { name: apiServiceName }, call).catch(orUndefined);
  await client.delete(endpointslices, { namespace, name: serviceName }, call).catch(orUndefined);
  await client.delete(services, { namespace, name: serviceName }, call).catch(orUndefined);
}

function orUndefined(error: unknown): undefined {
  if (isStatus(error, "NotFound")) return undefined;
  throw error;
}

async function ensure<T extends KubernetesObject>(client: Client, type: ResourceType<T>, wanted: New<T>): Promise<T> {
  const { name = "", namespace: within } = wanted.metadata as { name?: string; namespace?: string };
  const at = { name, ...(within === undefined ? {} : { namespace: within }) };
  const known = await client.get(type, at, call).catch(orUndefined);
  if (known) return known;
  try {
    return await client.create(type, wanted, call);
  } catch (error) {
    if (isStatus(error, "AlreadyExists")) return client.get(type, at, call);
    throw error;
  }
}

/** The endpoint is another one at every start. */
async function publish(client: Client, { address, port }: Endpoint): Promise<void> {
  const at = { namespace, name: serviceName };
  const addressType = address.includes(":") ? "IPv6" : "IPv4";
  const endpoints = [{ addresses: [address], conditions: { ready: true } }];
  const ports = [{ name: "https", protocol: "TCP" as const, port }];
  const known = await client.get(endpointslices, at, call).catch(orUndefined);
  // The family of a slice's addresses cannot be changed.
  if (known && known.addressType !== addressType) await client.delete(endpointslices, at, call).catch(orUndefined);
  else if (known) {
    await client.update(endpointslices, { ...known, endpoints, ports }, call);
    return;
  }
  await client.create(endpointslices, { metadata: sliceMetadata, addressType, endpoints, ports }, call);
}

const sliceMetadata = {
  name: serviceName,
  namespace,
  labels: {
    ...labels,
    "kubernetes.io/service-name": serviceName,
    "endpointslice.kubernetes.io/managed-by": serviceName,
  },
};

const apiService: New<APIService> = {
  metadata: { name: apiServiceName, labels },
  spec: {
    group: "metrics.k8s.io",
    version: "v1beta1",
    groupPriorityMinimum: 100,
    versionPriority: 100,
    // As in metrics-server's manifests. With a bundle those could not be applied over it: both together are refused.
    insecureSkipTLSVerify: true,
    service: { namespace, name: serviceName },
  },
};

const service: New<Service> = {
  metadata: { name: serviceName, namespace, labels },
  spec: { ports: [{ name: "https", port: 443, protocol: "TCP" }] } as Service["spec"], // the rest has defaults
};

const aggregatedReader: New<ClusterRole> = {
  metadata: {
    name: "system:aggregated-metrics-reader",
    labels: {
      ...labels,
      [`${rbacGroup}/aggregate-to-admin`]: "true",
      [`${rbacGroup}/aggregate-to-edit`]: "true",
      [`${rbacGroup}/aggregate-to-view`]: "true",
    },
  },
  rules: [{ apiGroups: ["metrics.k8s.io"], resources: ["pods", "nodes"], verbs: ["get", "list", "watch"] }],
};

const serverRole: New<ClusterRole> = {
  metadata: { name: "system:metrics-server", labels },
  rules: [
    { apiGroups: [""], resources: ["nodes/metrics"], verbs: ["get"] },
    { apiGroups: [""], resources: ["pods", "nodes"], verbs: ["get", "list", "watch"] },
  ],
};

const serverBinding: New<ClusterRoleBinding> = {
  metadata: { name: "system:metrics-server", labels },
  roleRef: { apiGroup: rbacGroup, kind: "ClusterRole", name: "system:metrics-server" },
  subjects: [account],
};

const authenticationReader: New<RoleBinding> = {
  metadata: { name: "metrics-server-auth-reader", namespace, labels },
  roleRef: { apiGroup: rbacGroup, kind: "Role", name: "extension-apiserver-authentication-reader" },
  subjects: [account],
};
