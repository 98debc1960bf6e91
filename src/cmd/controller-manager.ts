// The controllers as a command (`coracle controller-manager`, against any API server, one of several leading) and as the
// all-in-one starts them.
import { createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Clock, realClock } from "../base/clock.ts";
import { boolean, durationMs, flag, integer, list, optionalText } from "../base/flags.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { certificateFromPem, type KeyedCertificate, keyMatches } from "../base/x509/certificate.ts";
import type { Client } from "../client/client.ts";
import { createEventRecorder } from "../client/event-recorder.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { type StartControllersOptions, startControllers } from "../controllers/start-controllers.ts";
import { CommandError } from "./command-error.ts";
import { parseCommand, untilSignal } from "./command-flags.ts";
import { connectToCluster } from "./connect.ts";
import { runElected } from "./run-elected.ts";

export interface ControllerManagerDeps {
  readonly client: Client;
  /** Clients with the identities of service accounts in kube-system, one for each controller. */
  readonly clientFor?: (serviceAccount: string) => Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Resolves when the controllers run; their informers sync in the background. */
export async function startControllerManager(
  { client, clientFor, clock, logger }: ControllerManagerDeps,
  options: StartControllersOptions = {},
): Promise<Running> {
  const stack = new StopStack();
  const informers = stack.add(createInformerFactory(client, { clock, logger }));
  const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "kube-controller-manager" }));
  try {
    stack.add(startControllers({ client, ...(clientFor ? { clientFor } : {}), informers, clock, recorder, logger }, options));
  } catch (error) {
    await stack.stop();
    throw error;
  }
  return stack;
}

const flags = {
  kubeconfig: flag(
    optionalText,
    undefined,
    "how to reach the API server; default $KUBECONFIG, ~/.kube/config or the pod's service account",
  ),
  "leader-elect": flag(boolean, true, "let one of several managers lead, by the lease kube-system/kube-controller-manager"),
  controllers: flag(list, ["*"], "controllers to run: '*' is all that are on by default, 'foo' adds, '-foo' takes away"),
  "cluster-cidr": flag(list, ["10.244.0.0/16"], "ranges from which nodes get those of their pods, at most one of each family"),
  "node-cidr-mask-size": flag(integer({ min: 1, max: 32 }), 24, "length of a node's IPv4 range"),
  "node-cidr-mask-size-ipv6": flag(integer({ min: 1, max: 128 }), 64, "length of a node's IPv6 range"),
  "node-monitor-grace-period": flag(durationMs, 50_000, "how long a node may be silent before it is unknown"),
  "node-startup-grace-period": flag(durationMs, 60_000, "the same for a node that has never reported"),
  "node-monitor-period": flag(durationMs, 5_000, "how often nodes are looked at"),
  "terminated-pod-gc-threshold": flag(integer({ min: 0 }), 12_500, "ended pods that are kept; 0 keeps all"),
  "root-ca-file": flag(optionalText, undefined, "certificates published in every namespace as kube-root-ca.crt"),
  "cluster-signing-cert-file": flag(optionalText, undefined, "certificate of the authority that signs certificate signing requests"),
  "cluster-signing-key-file": flag(optionalText, undefined, "its key; without the two no request is signed"),
  "cluster-signing-duration": flag(durationMs, 365 * 24 * 3_600_000, "the longest that signed certificates are valid"),
  v: flag(integer({ min: 0, max: 10 }), 0, "verbosity of the log", "v"),
};

export async function run(args: readonly string[]): Promise<number> {
  const input = parseCommand({ name: "controller-manager", summary: "Runs the control loops of the cluster." }, flags, args);
  if (!input) return 0;
  const { kubeconfig, v, "leader-elect": elect, "root-ca-file": rootCaFile, ...values } = input.values;
  const logger = createLogger("controller-manager", { verbosity: v });
  const options: StartControllersOptions = {
    controllers: values.controllers,
    clusterCidrs: values["cluster-cidr"],
    nodeCidrMaskSizeIpv4: values["node-cidr-mask-size"],
    nodeCidrMaskSizeIpv6: values["node-cidr-mask-size-ipv6"],
    nodeMonitorGracePeriodMs: values["node-monitor-grace-period"],
    nodeStartupGracePeriodMs: values["node-startup-grace-period"],
    nodeMonitorPeriodMs: values["node-monitor-period"],
    terminatedPodGcThreshold: values["terminated-pod-gc-threshold"],
    ...(rootCaFile === undefined ? {} : { rootCaPem: await readPem("root-ca-file", rootCaFile) }),
    ...(await readSigningAuthority(values["cluster-signing-cert-file"], values["cluster-signing-key-file"])),
    clusterSigningDurationMs: values["cluster-signing-duration"],
  };
  const cluster = await connectToCluster({ kubeconfig, clock: realClock, userAgent: "kube-controller-manager" });
  const deps = { client: cluster.client, clock: realClock, logger };
  const start = (): Promise<Running> => startControllerManager(deps, options);
  const running = await runElected({ ...deps, lease: "kube-controller-manager", elect, start });
  process.stdout.write(`controller-manager ${elect ? "stands for election" : "runs"} at ${cluster.server}\n`);
  await untilSignal();
  await running.stop();
  await cluster.close();
  return 0;
}

async function readPem(flagName: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new CommandError(`--${flagName}: ${file} cannot be read`, { cause });
  }
}

async function readSigningAuthority(
  certFile: string | undefined,
  keyFile: string | undefined,
): Promise<Pick<StartControllersOptions, "clusterSigning">> {
  if (certFile === undefined && keyFile === undefined) return {};
  if (certFile === undefined || keyFile === undefined)
    throw new CommandError("--cluster-signing-cert-file and --cluster-signing-key-file belong together: give both or neither");
  const certificatePem = await readPem("cluster-signing-cert-file", certFile);
  const keyPem = await readPem("cluster-signing-key-file", keyFile);
  let authority: KeyedCertificate;
  try {
    authority = { certificate: certificateFromPem(certificatePem), key: createPrivateKey(keyPem) };
  } catch (cause) {
    throw new CommandError(
      `--cluster-signing-cert-file ${certFile}, --cluster-signing-key-file ${keyFile}: not a certificate and its key`,
      { cause },
    );
  }
  if (!keyMatches(authority.certificate, authority.key))
    throw new CommandError(`--cluster-signing-key-file: ${keyFile} is not the key of the certificate in ${certFile}`);
  return { clusterSigning: authority };
}
