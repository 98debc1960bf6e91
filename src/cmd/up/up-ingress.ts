// What `coracle up` has to do with Ingress objects and gateways: its flags, the classes it makes, and the thread that serves them,
// of which nothing but a watch is there before there is something to serve.
import { isStatus } from "../../api/meta/status-error.ts";
import { ingressclasses } from "../../api/resources.generated.ts";
import { boolean, flag, integer, oneOf } from "../../base/flags.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Client } from "../../client/client.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { controllerName, defaultClassAnnotation, ownClassName } from "../../ingress/ingress-class.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";
import type { UpPartDeps } from "./up-load-balancer.ts";

const port = integer({ min: 0, max: 65_535 });

export const upIngressFlags = {
  ingress: flag(
    oneOf("built-in", "none"),
    "built-in",
    "who serves Ingress objects of class coracle, which new ones get: a thread of this process, once there is one, or nobody",
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

export interface UpIngressServer {
  readonly administrator: Client;
  readonly server: RunningApiServer;
  /** Of the log. */
  readonly verbosity: number;
}

/** `administrator` makes the class; what serves has only the rights that it needs. */
export async function startIngress(
  values: UpIngressValues,
  { client, clock, logger }: UpPartDeps,
  { administrator, server, verbosity }: UpIngressServer,
): Promise<Running> {
  const stack = new StopStack();
  if (values.ingress === "none") return stack;
  await makeClass(administrator);
  if (values["gateway-api"]) {
    const { installGatewayApi } = await import("../../ingress/gateway/install.ts");
    await installGatewayApi(administrator, clock);
  }
  const { startIngressController } = await import("../../ingress/ingress-controller.ts");
  const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "ingress-controller" }));
  const informers = stack.add(createInformerFactory(client, { clock, logger }));
  const { metrics } = server;
  const deps = { client, informers, clock, logger, recorder, metrics, machineAddresses: async () => [] };
  const ports = { httpPort: values["ingress-http-port"], httpsPort: values["ingress-https-port"] };
  const { superviseIngress } = await import("../network/supervised-ingress.ts");
  let figures = "";
  metrics.include(() => figures);
  const measured = (text: string): void => void (figures = text);
  const dataOf = async () => ({ ...ports, server: server.url, caPem: server.caPem, credentials: await credentialsOf(server), verbosity });
  const serveElsewhere = (): Running => superviseIngress({ clock, logger, measured }, dataOf);
  stack.add(startIngressController(deps, { ...ports, serveElsewhere }));
  return stack;
}

/** The identity of the controller in its thread: that of the client it is watched with. */
const credentialsOf = ({ pki }: RunningApiServer) => pki.leaf("ingress", { commonName: "system:coracle:ingress", usages: ["clientAuth"] });

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
