// `ingress-thread`: the ingress controller of `coracle up` in a thread of its own, so that what clients send does not slow down the
// API server. Started and ended by the cluster's own thread (supervised-ingress.ts), never by a person; it reaches the API server
// as any client does.
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { realClock } from "../../base/clock.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { createLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { createClient } from "../../client/create-client.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import { createHttpsTransport } from "../../client/https-transport.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { startIngressController } from "../../ingress/ingress-controller.ts";
import { hostAddresses } from "../../linux/system-info.ts";
import { ownName } from "../apiserver/serving-material.ts";
import { CommandError } from "../command-error.ts";
import type { PemPair } from "../credentials/pki.ts";

export interface IngressThreadData {
  /** Of the API server. */
  readonly server: string;
  readonly caPem: string;
  readonly credentials: PemPair;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly verbosity: number;
}

/** What the thread says. */
export type IngressThreadReport = { readonly ready: true } | { readonly metrics: string };

/** How often figures are told, if they have changed. */
const reportMs = 2_000;

export async function run(): Promise<number> {
  const port = parentPort;
  if (isMainThread || !port) throw new CommandError("this command is started by `coracle up`");
  const ended = new Promise<void>((resolve) => port.once("message", () => resolve()));
  const { server, caPem, credentials, httpPort, httpsPort, verbosity } = workerData as IngressThreadData;
  const [clock, logger] = [realClock, createLogger("ingress", { verbosity })];
  const stack = new StopStack();
  try {
    const transport = createHttpsTransport({
      ...{ server, caPem, serverName: ownName, clock, userAgent: "coracle-ingress" },
      credentials: { kind: "certificate", certPem: credentials.certificate, keyPem: credentials.key },
    });
    stack.defer(() => transport.close());
    const client = createClient(transport);
    const metrics = new MetricsRegistry();
    const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "ingress-controller" }));
    const informers = stack.add(createInformerFactory(client, { clock, logger }));
    const machineAddresses = async () => (await hostAddresses()).map(({ address }) => address);
    const deps = { client, informers, clock, logger, recorder, metrics, machineAddresses };
    stack.add(startIngressController(deps, { httpPort, httpsPort }));
    let told = "";
    const tell = (report: IngressThreadReport): void => port.postMessage(report);
    const reporting = clock.every(reportMs, () => {
      const text = metrics.text();
      if (text !== told) tell({ metrics: text });
      told = text;
    });
    stack.defer(() => reporting.cancel());
    tell({ ready: true });
    await ended;
  } finally {
    await stack.stop();
  }
  return 0;
}
