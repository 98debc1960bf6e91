// What there is while there is something to serve: the proxy, and the objects that it takes besides the routes themselves.
import { keyOf } from "../api/meta/object.ts";
import { endpointslices, nodes, secrets, services } from "../api/resources.generated.ts";
import type { Node, Secret, Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import type { IngressMetrics } from "./ingress-metrics.ts";
import type { IngressProxy, IngressProxyOptions } from "./ingress-proxy.ts";
import { readyEndpoints } from "./ready-endpoints.ts";
import type { Backend } from "./routes.ts";

export interface ServingDeps {
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: IngressMetrics;
  /** Ports, secrets, services or addresses have changed. */
  readonly changed: () => void;
}

export interface Serving extends Running {
  readonly proxy: IngressProxy;
  readonly secrets: Informer<Secret>;
  readonly services: Informer<Service>;
  readonly nodes: Informer<Node>;
}

/** `startBeside` starts what may fail; it is stopped with the rest. */
export async function startServing(
  { informers, clock, logger, metrics, changed }: ServingDeps,
  options: IngressProxyOptions,
  { signal, startBeside }: { readonly signal: AbortSignal; readonly startBeside: (nodes: Informer<Node>) => Promise<Running> },
): Promise<Serving> {
  const serviceInformer = informers.informer(services);
  const slices = informers.informer(endpointslices);
  const tlsSecrets = informers.informer(secrets, { fieldSelector: "type=kubernetes.io/tls" });
  const nodeInformer = informers.informer(nodes);
  slices.addIndex("ingress-service", serviceOfSlice);
  informers.start();
  await Promise.all([serviceInformer, slices, tlsSecrets, nodeInformer].map((informer) => informer.synced(signal)));
  const { IngressProxy } = await import("./ingress-proxy.ts");
  const endpointsOf = ({ namespace, service, port }: Backend) => {
    const found = serviceInformer.get(`${namespace}/${service}`);
    return found ? readyEndpoints(found, port, slices.byIndex("ingress-service", `${namespace}/${service}`)) : [];
  };
  const stack = new StopStack();
  // First, because it may fail: until then there is nothing to stop.
  stack.add(await startBeside(nodeInformer));
  const proxy = stack.add(new IngressProxy({ clock, logger, metrics, endpointsOf, changed }, options));
  followEndpoints(stack, proxy, { services: serviceInformer, slices });
  followReferences(stack, changed, { services: serviceInformer, secrets: tlsSecrets, nodes: nodeInformer });
  return { proxy, secrets: tlsSecrets, services: serviceInformer, nodes: nodeInformer, stop: () => stack.stop() };
}

function followEndpoints(
  stack: StopStack,
  { backends }: IngressProxy,
  of: { readonly services: Informer<Service>; readonly slices: Informer<EndpointSlice> },
): void {
  const ofService = (service: Service): void => backends.changed(keyOf(service));
  const ofSlice = (slice: EndpointSlice): void => {
    for (const key of serviceOfSlice(slice)) backends.changed(key);
  };
  const handlers = [
    of.services.addHandler({ onAdd: ofService, onUpdate: ofService, onDelete: ofService }),
    of.slices.addHandler({ onAdd: ofSlice, onUpdate: ofSlice, onDelete: ofSlice }),
  ];
  for (const handler of handlers) stack.defer(() => handler.remove());
}

function followReferences(
  stack: StopStack,
  changed: () => void,
  of: { readonly services: Informer<Service>; readonly secrets: Informer<Secret>; readonly nodes: Informer<Node> },
): void {
  const differ = (now: unknown, before: unknown): void => void (JSON.stringify(now) === JSON.stringify(before) || changed());
  const handlers = [
    of.secrets.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed }),
    of.services.addHandler({
      onAdd: changed,
      onUpdate: (now, before) => differ(now.spec?.ports, before.spec?.ports),
      onDelete: changed,
    }),
    of.nodes.addHandler({
      onAdd: changed,
      onUpdate: (now, before) => differ(now.status?.addresses, before.status?.addresses),
      onDelete: changed,
    }),
  ];
  for (const handler of handlers) stack.defer(() => handler.remove());
}

/** The key of the service that a slice belongs to. */
function serviceOfSlice({ metadata }: EndpointSlice): readonly string[] {
  const name = metadata.labels?.["kubernetes.io/service-name"];
  return name ? [`${metadata.namespace}/${name}`] : [];
}
