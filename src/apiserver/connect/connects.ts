// All subresources that connect a client to a node: the map the resource handler dispatches by.
import { endpoints, nodes, pods, services } from "../../api/resources.generated.ts";
import type { Dial } from "../../rpc/dial.ts";
import type { ConnectionAgents } from "../../rpc/tunnel.ts";
import type { ClientTls } from "../../rpc/upgrade.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { Connects } from "../registry/handler-types.ts";
import type { RequestContext } from "../request.ts";
import { podLogConnects } from "./pod-log.ts";
import type { PodLogMetrics } from "./pod-log-metrics.ts";
import { podStreamConnects } from "./pod-streams.ts";
import { proxyConnects } from "./proxy.ts";

export interface KubeletAccess {
  /** The client certificate that kubelets accept, and the CA of their serving certificates, as they are now. */
  readonly tls: () => ClientTls;
  /** Order in which a node's addresses are tried; default upstream's. */
  readonly preferredAddressTypes?: readonly string[];
  /** Reaches nodes and pods that are simulated in this process. */
  readonly dial?: Dial | undefined;
  /** Make the connections to nodes, pods and services, where they are not made directly. */
  readonly agents?: ConnectionAgents | undefined;
  /** Whether WebSockets are passed on to kubelets that declare that they take them (the gate ExtendWebSocketsToKubelet). Default true. */
  readonly webSocketsToKubelets?: boolean | undefined;
  /** Where requests for logs are counted. */
  readonly logMetrics?: PodLogMetrics | undefined;
  /** Throws where the user may not open streams into a pod, whatever his method is; absent: nobody is asked. */
  readonly checkStreams?: ((context: RequestContext) => Promise<void>) | undefined;
}

export function createConnects(reader: AdmissionReader, access: KubeletAccess): Connects {
  const { tls, preferredAddressTypes, dial, agents, webSocketsToKubelets, checkStreams, logMetrics } = access;
  const deps = {
    ...{ dial, agents, webSocketsToKubelets, checkStreams, logMetrics },
    ...(preferredAddressTypes ? { preferredAddressTypes } : {}),
    get kubeletTls() {
      return tls();
    },
    pods: reader.informer(pods),
    nodes: reader.informer(nodes),
    services: reader.informer(services),
    endpoints: reader.informer(endpoints),
  };
  return { ...podStreamConnects(deps), ...podLogConnects(deps), ...proxyConnects(deps) };
}
