// What `coracle up` has to do with Ingress objects: its flags, the class it makes, and the controller that serves them, of which
// nothing but a watch runs before there is an Ingress.
import { isStatus } from "../api/meta/status-error.ts";
import { ingressclasses } from "../api/resources.generated.ts";
import { boolean, flag, integer, oneOf } from "../base/flags.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import type { Client } from "../client/client.ts";
import { createEventRecorder } from "../client/event-recorder.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { controllerName, defaultClassAnnotation, ownClassName } from "../ingress/ingress-class.ts";
import type { UpPartDeps } from "./up-load-balancer.ts";

const port = integer({ min: 0, max: 65_535 });

export const upIngressFlags = {
  ingress: flag(
    oneOf("built-in", "none"),
    "built-in",
    "who serves Ingress objects of class coracle, which new ones get: this process, once there is one, or nobody",
  ),
  "ingress-http-port": flag(port, 80, "port on which it serves HTTP"),
  "ingress-https-port": flag(port, 443, "port on which it serves HTTPS"),
  "gateway-api": flag(
    boolean,
    false,
    "installs the Gateway API's definitions and the class coracle; those that are there already are served without it",
  ),
};

export interface UpIngressValues {
  readonly ingress: "built-in" | "none";
  readonly "ingress-http-port": number;
  readonly "ingress-https-port": number;
  readonly "gateway-api": boolean;
}

/** `administrator` makes the class; what serves has only the rights that it needs. */
export async function startIngress(
  values: UpIngressValues,
  { client, clock, logger }: UpPartDeps,
  { administrator, metrics }: { readonly administrator: Client; readonly metrics: MetricsRegistry },
): Promise<Running> {
  const stack = new StopStack();
  if (values.ingress === "none") return stack;
  await makeClass(administrator);
  if (values["gateway-api"]) {
    const { installGatewayApi } = await import("../ingress/gateway/install.ts");
    await installGatewayApi(administrator, clock);
  }
  const { startIngressController } = await import("../ingress/ingress-controller.ts");
  const { hostAddresses } = await import("../linux/system-info.ts");
  const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "ingress-controller" }));
  const informers = stack.add(createInformerFactory(client, { clock, logger }));
  const machineAddresses = async () => (await hostAddresses()).map(({ address }) => address);
  const deps = { client, informers, clock, logger, recorder, metrics, machineAddresses };
  stack.add(startIngressController(deps, { httpPort: values["ingress-http-port"], httpsPort: values["ingress-https-port"] }));
  return stack;
}

/** Once: what somebody has changed about it stays. The default where there is no other default. */
async function makeClass(administrator: Client): Promise<void> {
  const { items } = await administrator.list(ingressclasses);
  if (items.some(({ metadata }) => metadata.name === ownClassName)) return;
  const hasDefault = items.some(({ metadata }) => metadata.annotations?.[defaultClassAnnotation] === "true");
  const annotations = hasDefault ? {} : { annotations: { [defaultClassAnnotation]: "true" } };
  try {
    await administrator.create(ingressclasses, { metadata: { name: ownClassName, ...annotations }, spec: { controller: controllerName } });
  } catch (error) {
    if (!isStatus(error, "AlreadyExists")) throw error;
  }
}
