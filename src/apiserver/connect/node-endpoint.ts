// Where the kubelet of a pod's node listens: the node's address and the port it reports, as kube-apiserver chooses them.
import { badRequest, internalError, notFound } from "../../api/meta/status-error.ts";
import { nodes, pods } from "../../api/resources.generated.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { Lister } from "../../client/informer.ts";
import type { Dial } from "../../rpc/dial.ts";
import type { ConnectionAgents } from "../../rpc/tunnel.ts";
import type { ClientTls } from "../../rpc/upgrade.ts";
import type { RequestContext } from "../request.ts";
import type { PodLogMetrics } from "./pod-log-metrics.ts";

/** What the connect handlers work with. */
export interface ConnectDependencies {
  readonly pods: Pick<Lister<Pod>, "get">;
  readonly nodes: Pick<Lister<Node>, "get">;
  /** Client certificate that kubelets accept, and the CA of their serving certificates. */
  readonly kubeletTls: ClientTls;
  /** Order in which a node's addresses are tried; default upstream's. */
  readonly preferredAddressTypes?: readonly string[];
  /** Reaches nodes and pods that are simulated in this process. */
  readonly dial?: Dial | undefined;
  /** Make the connections, where they are not made directly. */
  readonly agents?: ConnectionAgents | undefined;
  /** Whether WebSockets are passed on to kubelets that declare that they take them (the gate ExtendWebSocketsToKubelet). Default true. */
  readonly webSocketsToKubelets?: boolean | undefined;
  /** Where requests for logs are counted. */
  readonly logMetrics?: PodLogMetrics | undefined;
  /** Throws where the user may not open streams into a pod, whatever his method is; absent: nobody is asked. */
  readonly checkStreams?: ((context: RequestContext) => Promise<void>) | undefined;
}

const defaultAddressTypes = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"];
const defaultKubeletPort = 10250;

export function podOf(deps: ConnectDependencies, namespace: string, name: string): Pod {
  const pod = deps.pods.get(`${namespace}/${name}`);
  if (!pod) throw notFound(pods, name);
  return pod;
}

/** "https://10.0.0.1:10250". Throws when the pod has no node yet, or the node no address. */
export function kubeletUrlOf(deps: ConnectDependencies, pod: Pod): string {
  const nodeName = pod.spec.nodeName;
  if (!nodeName) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  // Upstream names what the request is about, with the name of what it has not found.
  if (!deps.nodes.get(nodeName)) throw notFound(pods, nodeName);
  return kubeletUrlOfNode(deps, nodeName);
}

export function kubeletUrlOfNode(deps: ConnectDependencies, nodeName: string): string {
  const { host, port } = kubeletPlace(deps, nodeName);
  return `https://${host}:${port}`;
}

/** The host as it stands in a URL. */
export function kubeletPlace(deps: ConnectDependencies, nodeName: string): { readonly host: string; readonly port: number } {
  const node = deps.nodes.get(nodeName);
  if (!node) throw notFound(nodes, nodeName);
  const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? defaultKubeletPort;
  for (const type of deps.preferredAddressTypes ?? defaultAddressTypes) {
    // A host name that is no address would need a resolver that knows it; addresses are tried where there are any.
    const address = node.status?.addresses?.find((a) => a.type === type && (type.endsWith("IP") || !hasIp(node)))?.address;
    if (address) return { host: address.includes(":") ? `[${address}]` : address, port };
  }
  throw internalError(new Error(`no preferred addresses found; known addresses: ${JSON.stringify(node.status?.addresses ?? [])}`));
}

function hasIp(node: Node): boolean {
  return node.status?.addresses?.some((a) => a.type.endsWith("IP")) ?? false;
}

/** The container a request means: the named one, or the only one. Upstream's error texts. */
export function containerOf(pod: Pod, requested: string): string {
  const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers, ...(pod.spec.ephemeralContainers ?? [])].map((c) => c.name);
  if (requested !== "") {
    if (!all.includes(requested)) throw badRequest(`container ${requested} is not valid for pod ${pod.metadata.name}`);
    return requested;
  }
  const [only, ...others] = pod.spec.containers;
  if (only && others.length === 0) return only.name;
  throw badRequest(`a container name must be specified for pod ${pod.metadata.name}, choose one of: [${all.join(" ")}]`);
}
