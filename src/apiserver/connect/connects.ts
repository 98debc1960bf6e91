// All subresources that connect a client to a node: the map the resource handler dispatches by.
import { endpointslices, nodes, pods, services } from "../../api/resources.generated.ts";
import type { ClientTls } from "../../rpc/upgrade.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { Connects } from "../registry/handler-types.ts";
import { podLogConnects } from "./pod-log.ts";
import { podStreamConnects } from "./pod-streams.ts";
import { proxyConnects } from "./proxy.ts";

/** `kubeletTls`: the client certificate that kubelets accept, and the CA of their serving certificates. */
export function createConnects(reader: AdmissionReader, kubeletTls: ClientTls): Connects {
  const deps = {
    kubeletTls,
    pods: reader.informer(pods),
    nodes: reader.informer(nodes),
    services: reader.informer(services),
    endpointSlices: reader.informer(endpointslices),
  };
  return { ...podStreamConnects(deps), ...podLogConnects(deps), ...proxyConnects(deps) };
}
