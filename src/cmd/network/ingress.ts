// `coracle ingress`: serves Ingress objects as a process of its own, against any API server: in a pod of the host's network, or on
// a machine that reaches pods. Of several copies each serves, and one writes the status.
import { realClock } from "../../base/clock.ts";
import { boolean, durationMs, flag, integer, list, optionalText } from "../../base/flags.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { createLogger } from "../../base/log.ts";
import { logFlags, logOptionsOf } from "../../base/log-flags.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerProcessMetrics } from "../../base/process-metrics.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { startIngressController } from "../../ingress/ingress-controller.ts";
import { startIngressStatusServer } from "../../ingress/status-server.ts";
import { hostAddresses } from "../../linux/system-info.ts";
import { parseCommand, untilSignal } from "../command-flags.ts";
import { electionFlags } from "../component/component-flags.ts";
import { connectToCluster } from "../component/connect.ts";
import { runElected } from "../component/run-elected.ts";

const port = integer({ min: 0, max: 65_535 });
const bytes = integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

const flags = {
  kubeconfig: flag(
    optionalText,
    undefined,
    "how to reach the API server; default $KUBECONFIG, ~/.kube/config, in a pod its service account",
  ),
  "bind-address": flag(optionalText, undefined, "address to listen on; default all of this machine"),
  "http-port": flag(port, 80, "port for HTTP"),
  "https-port": flag(port, 443, "port for HTTPS"),
  "status-port": flag(port, 10_254, "port of /healthz and /metrics, on this machine's loopback address"),
  "publish-address": flag(list, [], "addresses or names for the status of Ingress objects; default those of this machine's node"),
  "max-connections": flag(integer({ min: 1, max: 1_000_000 }), 4096, "connections of clients on each port"),
  "max-header-bytes": flag(integer({ min: 1024, max: 1024 * 1024 }), 32 * 1024, "largest head of a request"),
  "max-body-bytes": flag(bytes, 0, "largest body of a request; 0 is without limit"),
  "connect-timeout": flag(durationMs, 3_000, "how long a pod may take to accept a connection"),
  "backend-timeout": flag(durationMs, 300_000, "how long a pod may be silent during a request"),
  "drain-timeout": flag(durationMs, 20_000, "how long requests may take to end when this process does"),
  "access-log": flag(boolean, false, "log every request"),
  ...electionFlags("coracle-ingress", "ingress controllers"),
  ...logFlags,
};

type IngressFlags = NonNullable<ReturnType<typeof parse>>;

const parse = (args: readonly string[]) =>
  parseCommand({ name: "ingress", summary: "Serves the Ingress objects of class coracle." }, flags, args)?.values;

export async function run(args: readonly string[]): Promise<number> {
  const values = parse(args);
  if (!values) return 0;
  const clock = realClock;
  const logger = createLogger("ingress", logOptionsOf(values));
  const stack = new StopStack();
  try {
    const cluster = await connectToCluster({ kubeconfig: values.kubeconfig, clock, userAgent: "coracle-ingress" });
    stack.defer(() => cluster.close());
    const { client } = cluster;
    const metrics = new MetricsRegistry();
    registerProcessMetrics(metrics, clock);
    const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "ingress-controller" }));
    const informers = stack.add(createInformerFactory(client, { clock, logger }));
    const machineAddresses = async () => (await hostAddresses()).map(({ address }) => address);
    const deps = { client, informers, clock, logger, recorder, metrics, machineAddresses };
    const election = {
      ...{ client, clock, logger, lease: values["leader-elect-resource-name"], elect: values["leader-elect"] },
      namespace: values["leader-elect-resource-namespace"],
      leaseDurationMs: values["leader-elect-lease-duration"],
      renewDeadlineMs: values["leader-elect-renew-deadline"],
      retryPeriodMs: values["leader-elect-retry-period"],
    };
    stack.add(startIngressController(deps, { ...optionsOf(values), whileLeading: (start) => runElected({ ...election, start }) }));
    const status = stack.add(await startIngressStatusServer({ metrics, logger }, values["status-port"]));
    await untilSignal(`Ingress objects of ${cluster.server} are served once there are any (status: 127.0.0.1:${status.port})\n`);
  } finally {
    await stack.stop();
  }
  return 0;
}

function optionsOf(values: IngressFlags) {
  return {
    address: values["bind-address"],
    httpPort: values["http-port"],
    httpsPort: values["https-port"],
    publishAddresses: values["publish-address"],
    maxConnections: values["max-connections"],
    maxHeaderBytes: values["max-header-bytes"],
    maxBodyBytes: values["max-body-bytes"],
    connectTimeoutMs: values["connect-timeout"],
    backendTimeoutMs: values["backend-timeout"],
    drainMs: values["drain-timeout"],
    accessLog: values["access-log"],
  };
}
