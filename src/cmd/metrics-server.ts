// `coracle metrics-server`: the metrics server as a process of its own, against any Kubernetes. It registers itself, so its user
// needs the rights for that; kubelets are asked with the kubeconfig's credentials unless others are given.
import { readFile } from "node:fs/promises";
import { realClock } from "../base/clock.ts";
import { boolean, durationMs, flag, integer, optionalText } from "../base/flags.ts";
import { StopStack } from "../base/lifecycle.ts";
import { createLogger, errorText } from "../base/log.ts";
import { logFlags, logOptionsOf } from "../base/log-flags.ts";
import { hostAddresses } from "../linux/system-info.ts";
import { startMetricsServer } from "../metrics-server/metrics-server.ts";
import type { KubeletAccess } from "../metrics-server/scraper.ts";
import { CommandError } from "./command-error.ts";
import { parseCommand, untilSignal } from "./command-flags.ts";
import { servingPair } from "./component/component-certificate.ts";
import { type ClusterClient, connectToCluster } from "./component/connect.ts";

const flags = {
  kubeconfig: flag(optionalText, undefined, "how to reach the API server; default $KUBECONFIG, ~/.kube/config"),
  "bind-address": flag(optionalText, undefined, "address to serve on, at which the API server reaches it; default this machine's"),
  "secure-port": flag(integer({ min: 0, max: 65_535 }), 10_250, "port to serve on; 0 takes any that is free"),
  "tls-cert-file": flag(optionalText, undefined, "serving certificate; default one that is made at the start"),
  "tls-private-key-file": flag(optionalText, undefined, "key of --tls-cert-file"),
  "metric-resolution": flag(durationMs, 15_000, "how often kubelets are asked"),
  "kubelet-request-timeout": flag(durationMs, 10_000, "how long a kubelet may take"),
  "kubelet-certificate-authority": flag(optionalText, undefined, "what has signed the kubelets' certificates; default the kubeconfig's"),
  "kubelet-insecure-tls": flag(boolean, false, "take any certificate of a kubelet"),
  "kubelet-client-certificate": flag(optionalText, undefined, "certificate to show kubelets; default the kubeconfig's credentials"),
  "kubelet-client-key": flag(optionalText, undefined, "key of --kubelet-client-certificate"),
  ...logFlags,
};

type MetricsServerFlags = NonNullable<ReturnType<typeof parse>>;

const parse = (args: readonly string[]) =>
  parseCommand({ name: "metrics-server", summary: "Serves metrics.k8s.io: what kubectl top and autoscalers ask." }, flags, args)?.values;

export async function run(args: readonly string[]): Promise<number> {
  const values = parse(args);
  if (!values) return 0;
  const clock = realClock;
  const logger = createLogger("metrics-server", logOptionsOf(values));
  const pair = await servingPair(values["tls-cert-file"], values["tls-private-key-file"], clock);
  const address = values["bind-address"] ?? (await hostAddresses())[0]?.address;
  if (address === undefined) throw new CommandError("--bind-address: this machine has only loopback addresses, which endpoints may not be");
  const stack = new StopStack();
  try {
    const cluster = await connectToCluster({ kubeconfig: values.kubeconfig, clock, userAgent: "metrics-server" });
    stack.defer(() => cluster.close());
    const { client } = cluster;
    const kubelets = await kubeletAccess(values, cluster);
    const serving = { ...pair, address, port: values["secure-port"] };
    const options = { serving, resolutionMs: values["metric-resolution"], timeoutMs: values["kubelet-request-timeout"] };
    stack.add(
      await startMetricsServer({ client, registrar: client, clock, logger, kubelets }, options).catch((cause: unknown) => {
        throw new CommandError(errorText(cause), { cause });
      }),
    );
    await untilSignal(`metrics-server runs for ${cluster.server}\n`);
  } finally {
    await stack.stop();
  }
  return 0;
}

async function kubeletAccess(values: MetricsServerFlags, { connection }: ClusterClient): Promise<KubeletAccess> {
  const authority = values["kubelet-certificate-authority"];
  const caPem = authority === undefined ? connection.caPem : await readFlagFile("kubelet-certificate-authority", authority);
  return {
    ...(caPem === undefined ? {} : { caPem }),
    insecureSkipVerify: values["kubelet-insecure-tls"],
    credentials: kubeletCredentials(values) ?? connection.credentials ?? { kind: "none" },
  };
}

function kubeletCredentials(values: MetricsServerFlags): KubeletAccess["credentials"] | undefined {
  const { "kubelet-client-certificate": certFile, "kubelet-client-key": keyFile } = values;
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined)
    throw new CommandError("--kubelet-client-certificate and --kubelet-client-key belong together: give both or neither");
  return { kind: "certificateFiles", certFile, keyFile };
}

async function readFlagFile(name: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new CommandError(`--${name} ${path}`, { cause: error });
  }
}
