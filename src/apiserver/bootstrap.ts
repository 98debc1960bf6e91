// What the API server puts into an empty cluster, and restores when it is missing: the system namespaces, the two system
// priority classes, the range of service addresses, and the service "kubernetes" with the address of this server.

import type { FieldError } from "../api/meta/field-error.ts";
import { formatIP, parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { KubernetesObject, New } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { endpoints, endpointslices, namespaces, priorityclasses, servicecidrs, services } from "../api/resources.generated.ts";
import { checkEndpointIP } from "../api/validation/addresses.ts";
import { formatTime } from "../base/clock.ts";
import type { Client, NamedTarget } from "../client/client.ts";

export const systemNamespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];

const priorityClasses = [
  {
    name: "system-node-critical",
    value: 2_000_001_000,
    description: "Used for system critical pods that must not be moved from their current node.",
  },
  {
    name: "system-cluster-critical",
    value: 2_000_000_000,
    description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
  },
];

export interface BootstrapOptions {
  readonly serviceClusterIpRange: string;
  readonly advertiseAddress: string;
  readonly securePort: number;
}

/** The first address of the (first) service range: that of the service "kubernetes". */
export function firstServiceIp(range: string): string {
  const cidr = parseCIDR(range.split(",")[0] ?? "");
  if (!cidr) throw new Error(`${range} is not a range of addresses`);
  const bytes = [...cidr.network];
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 1;
  return formatIP(bytes);
}

/** Creates the system namespaces: what everything else lies in. */
export async function ensureSystemNamespaces(client: Client): Promise<void> {
  await Promise.all(systemNamespaces.map((name) => createMissing(client, namespaces, { metadata: { name }, spec: {} })));
}

export async function ensurePriorityClasses(client: Client): Promise<void> {
  await Promise.all(
    priorityClasses.map(({ name, value, description }) =>
      createMissing(client, priorityclasses, { metadata: { name }, value, description }),
    ),
  );
}

/** The range (or ranges) of the flag as an object. It stays as it was made, and is not said to be ready, when the flag changes. */
export async function ensureServiceCidr(client: Client, range: string, nowMs: number): Promise<void> {
  const name = "kubernetes";
  const cidrs = range.split(",");
  await createMissing(client, servicecidrs, { metadata: { name }, spec: { cidrs } });
  const found = await client.get(servicecidrs, { name });
  if (found.spec?.cidrs?.join(",") !== range || found.status?.conditions?.some(({ type }) => type === "Ready")) return;
  const ready = { type: "Ready", status: "True", reason: "", message: "Kubernetes default Service CIDR is ready" };
  const condition = { ...ready, lastTransitionTime: formatTime(nowMs) };
  try {
    await client.updateStatus(servicecidrs, { ...found, status: { ...found.status, conditions: [condition] } });
  } catch (error) {
    // Another API server on the same store says the same.
    if (!isStatus(error, "Conflict")) throw error;
  }
}

const kubernetes: NamedTarget = { namespace: "default", name: "kubernetes" };
const serviceLabels = { component: "apiserver", provider: "kubernetes" };

/**
 * The service, its Endpoints and its EndpointSlice; the addresses are brought up to date at every start. There are none on a
 * machine that only reaches itself.
 */
export async function ensureKubernetesService(client: Client, options: BootstrapOptions): Promise<void> {
  const { advertiseAddress, securePort } = options;
  const clusterIP = firstServiceIp(options.serviceClusterIpRange);
  const family = parseIP(clusterIP)?.family === 6 ? "IPv6" : "IPv4";
  await createMissing(client, services, {
    metadata: { ...kubernetes, labels: serviceLabels },
    spec: {
      type: "ClusterIP",
      clusterIP,
      clusterIPs: [clusterIP],
      ipFamilies: [family],
      ipFamilyPolicy: "SingleStack",
      sessionAffinity: "None",
      ports: [{ name: "https", protocol: "TCP", port: 443, targetPort: securePort }],
    },
  });
  const port = { name: "https", port: securePort, protocol: "TCP" } as const;
  const published = isPublishable(advertiseAddress) ? [advertiseAddress] : [];
  await createOrReplace(
    client,
    endpoints,
    {
      metadata: { ...kubernetes, labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
      subsets: published.map((ip) => ({ addresses: [{ ip }], ports: [port] })),
    },
    (found) => found.subsets?.[0]?.addresses?.[0]?.ip === published[0] && found.subsets?.[0]?.ports?.[0]?.port === securePort,
  );
  await createOrReplace(
    client,
    endpointslices,
    {
      metadata: { ...kubernetes, labels: { "kubernetes.io/service-name": "kubernetes" } },
      addressType: parseIP(advertiseAddress)?.family === 6 ? "IPv6" : "IPv4",
      endpoints: published.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
      ports: [port],
    },
    (found) => found.endpoints?.[0]?.addresses[0] === published[0] && found.ports?.[0]?.port === securePort,
  );
}

/** Whether endpoints may carry it. A loopback address leads every pod to itself. */
function isPublishable(address: string): boolean {
  const problems: FieldError[] = [];
  checkEndpointIP(problems, "ip", address);
  return problems.length === 0;
}

async function createMissing<T extends KubernetesObject>(client: Client, type: ResourceType<T>, object: New<T>): Promise<void> {
  if (await find(client, type, targetOf(object))) return;
  try {
    await client.create(type, object);
  } catch (error) {
    // Another API server on the same store may be starting too.
    if (!isStatus(error, "AlreadyExists")) throw error;
  }
}

async function createOrReplace<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  object: New<T>,
  isUpToDate: (found: T) => boolean,
): Promise<void> {
  const found = await find(client, type, targetOf(object));
  if (!found) return createMissing(client, type, object);
  if (isUpToDate(found)) return;
  // The kinds are the same: what was found with the contents it should have.
  await client.update(type, { ...found, ...object, metadata: { ...found.metadata, labels: object.metadata.labels } } as T);
}

async function find<T extends KubernetesObject>(client: Client, type: ResourceType<T>, at: NamedTarget): Promise<T | undefined> {
  try {
    return await client.get(type, at);
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

function targetOf(object: { readonly metadata: { readonly name?: string; readonly namespace?: string } }): NamedTarget {
  const { name = "", namespace } = object.metadata;
  return namespace === undefined ? { name } : { name, namespace };
}
