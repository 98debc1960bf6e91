// `coracle join`: makes this machine a node of a cluster. It finds out whom to trust with a token (discovery.ts), gets a client
// certificate with it (TLS bootstrap), and from then on is a node under certificates that are rotated: its client's and its
// server's. Started again with the same data directory it needs no token any more.
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { isStatus } from "../../api/meta/status-error.ts";
import { nodes } from "../../api/resources.generated.ts";
import { type Clock, realClock } from "../../base/clock.ts";
import { boolean, durationMs, type FlagType, flag, integer, list, optionalText, text } from "../../base/flags.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { createLogger, errorText, type Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { createClient } from "../../client/create-client.ts";
import { createHttpsTransport } from "../../client/https-transport.ts";
import type { ClusterConnection } from "../../client/kubeconfig.ts";
import { CertificateRefusedError } from "../../kubelet/certificates/signing-request.ts";
import type { KubeletConfiguration } from "../../kubelet/configuration/kubelet-configuration.ts";
import { nodeLabelProblem } from "../../kubelet/configuration/node-labels.ts";
import { nodeHostAddresses } from "../../kubelet/node/node-addresses.ts";
import { findResolverFile } from "../../linux/resolver-file.ts";
import { DirectoryLockedError, lockDirectory } from "../../storage/directory-lock.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand, untilSignal } from "../command-flags.ts";
import { parseToken } from "../credentials/bootstrap-token.ts";
import { discoverAuthority } from "../credentials/discovery.ts";
import { clusterLock, defaultDataDir } from "../data-dir.ts";
import { nodeLabels, nodeTaints } from "../kubelet/kubelet-flags.ts";
import { kubeletCertificates } from "../kubelet/kubelet-serving.ts";
import { bootstrapNode, connectAsNode, type NodeClient } from "../kubelet/node-client.ts";
import {
  announceConfiguration,
  kubeletOptionsOf,
  readNodeConfiguration,
  serverSettingsOf,
  usualPort,
} from "../kubelet/node-configuration.ts";
import { chooseRuntime } from "../kubelet/node-runtime.ts";
import { ociRuntimeFlags, runtimeFlags } from "../kubelet/oci-runtime-flag.ts";
import { cniPluginFlags } from "./cni-plugin-choice.ts";

const hashes: FlagType<readonly string[]> = {
  placeholder: "sha256:hex",
  parse(value, previous) {
    if (!/^sha256:[0-9a-f]{64}$/i.test(value)) throw new Error("expected sha256: and 64 hexadecimal digits");
    return [...(previous ?? []), value];
  },
};

const flags = {
  server: flag(optionalText, undefined, "address of the API server: https://10.0.0.1:6443"),
  token: flag(optionalText, undefined, "token of coracle token create, or kubeadm's"),
  "ca-cert-hash": flag(hashes, [], "hash of the public key of the cluster's authority; may be repeated"),
  "unsafe-skip-ca-verification": flag(boolean, false, "believe whoever knows the token, without --ca-cert-hash"),
  "discovery-timeout": flag(durationMs, 10_000, "how long to wait for a token that has just been made"),
  "node-name": flag(optionalText, undefined, "the node's name; default this machine's"),
  "node-labels": flag(nodeLabels, undefined, "labels to register the node with"),
  "register-with-taints": flag(nodeTaints, undefined, "taints to register the node with"),
  "node-ip": flag(list, [], "addresses of the node, the primary one first; default the machine's"),
  ...runtimeFlags,
  ...cniPluginFlags,
  ...ociRuntimeFlags,
  "data-dir": flag(text, defaultDataDir(), "directory of everything the node keeps"),
  "cluster-cidr": flag(list, ["10.244.0.0/16"], "addresses of all pods of the cluster, where it does not say itself"),
  "kubelet-config": flag(optionalText, undefined, "file with a KubeletConfiguration (kubelet.config.k8s.io/v1beta1)"),
  port: flag(
    integer({ min: 0, max: 65_535 }),
    usualPort,
    `port of the kubelet's server, unless the file names one; where ${usualPort} is taken any that is free, as with 0`,
  ),
  v: flag(integer({ min: 0, max: 10 }), 0, "verbosity of the log", "v"),
};

type JoinFlags = NonNullable<ReturnType<typeof parse>>;

const parse = (args: readonly string[]) =>
  parseCommand({ name: "join", summary: "Makes this machine a node of a cluster, in the foreground." }, flags, args)?.values;

interface Place {
  readonly nodeName: string;
  readonly dataDir: string;
  readonly rootDirectory: string;
  readonly certDirectory: string;
  readonly kubeconfig: string;
}

interface Deps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export async function run(args: readonly string[]): Promise<number> {
  const values = parse(args);
  if (!values) return 0;
  const dataDir = resolve(values["data-dir"]);
  const rootDirectory = join(dataDir, "kubelet");
  const place: Place = {
    nodeName: (values["node-name"] ?? hostname()).trim().toLowerCase(),
    ...{ dataDir, rootDirectory, certDirectory: join(rootDirectory, "pki"), kubeconfig: join(dataDir, "kubelet.kubeconfig") },
  };
  const stack = new StopStack();
  const aborted = new AbortController();
  const ended = untilSignal().then(() => aborted.abort(new CommandError("ended by a signal before the node ran")));
  try {
    stack.defer(claim(dataDir));
    const deps = { clock: realClock, logger: createLogger("join", { verbosity: values.v }), signal: aborted.signal };
    await startJoined(values, place, deps, stack);
    await ended;
    process.stdout.write("\nstopping\n");
  } finally {
    await stack.stop();
  }
  return 0;
}

/** One process for a data directory. */
function claim(dataDir: string): () => void {
  try {
    const lock = lockDirectory(dataDir, clusterLock);
    return () => lock.release();
  } catch (error) {
    if (error instanceof DirectoryLockedError)
      throw new CommandError(`--data-dir ${dataDir}: a cluster or node already runs here (${error.holder})`);
    throw error;
  }
}

async function startJoined(values: JoinFlags, place: Place, deps: Deps, stack: StopStack): Promise<void> {
  const problem = nodeLabelProblem(values["node-labels"] ?? {});
  if (problem !== undefined) throw new CommandError(problem);
  const file = values["kubelet-config"];
  const loaded = await readNodeConfiguration(
    {
      flags: new Map([
        ["rotateCertificates", true],
        ["serverTLSBootstrap", true],
      ]),
      ...(file === undefined ? {} : { file: resolve(file) }),
    },
    "kubelet-config",
  );
  announceConfiguration(loaded, deps.logger);
  if (!loaded.configuration.enableServer) throw new CommandError("--kubelet-config: enableServer: a node that joins serves its logs");
  const runtime = values.runtime ?? (loaded.configuration.containerRuntimeEndpoint || undefined);
  const { choice, why } = runtime === undefined ? await chooseRuntime() : { choice: runtime };
  if (why) process.stdout.write(`no containers: ${why}; pods are simulated\n`);
  await bootstrap(values, place, deps);
  const { nodeName, certDirectory, kubeconfig } = place;
  const cluster = stack.add(await connectAsNode(deps, { kubeconfig, nodeName, certDirectory, rotate: true }));
  const configuration: KubeletConfiguration = { ...loaded.configuration, containerRuntimeEndpoint: choice };
  const [{ startNode }, published] = await Promise.all([import("./start-node.ts"), publishedNetwork(cluster.client)]);
  const { clock, logger } = deps;
  const node = stack.add(
    await startNode(
      // Where the network is not ours, services are led to their endpoints by somebody else's proxy too.
      { client: cluster.client, ...(published ? { proxyClient: cluster.client } : {}), clock, logger: logger.named("node") },
      {
        nodeName,
        dataDir: place.dataDir,
        rootDirectory: place.rootDirectory,
        logsDirectory: join(place.dataDir, "pods", "logs"),
        choice,
        cniPlugins: values["cni-plugins"],
        ociRuntime: values["oci-runtime"],
        ...(published ?? { clusterCidrs: values["cluster-cidr"] }),
        resolvConf: (await findResolverFile()).path,
        ...(await kubeletOptionsOf(configuration)),
        labels: values["node-labels"] ?? {},
        ...(values["register-with-taints"] ? { taints: values["register-with-taints"] } : {}),
        ...(configuration.cgroupRoot === "" ? {} : { cgroupRoot: configuration.cgroupRoot }),
        ...(values["node-ip"].length > 0 ? { nodeIPs: values["node-ip"] } : {}),
        serving: await serving(values, configuration, { cluster, place, deps }),
      },
    ),
  );
  process.stdout.write(`node ${nodeName} of ${cluster.server} runs (${node.description})\n`);
  node.ready.then(
    () => process.stdout.write(`node ${nodeName} is ready\n`),
    () => undefined,
  );
}

/** What the cluster says of its network; undefined where it says nothing: it is none of ours. */
async function publishedNetwork(client: Client) {
  const { fetchClusterNetwork, nodeNetworkOptions } = await import("./node-access.ts");
  try {
    return nodeNetworkOptions(await fetchClusterNetwork(client));
  } catch (error) {
    if (error instanceof CommandError && isStatus(error.cause, "NotFound", "Forbidden")) return undefined;
    throw error;
  }
}

async function serving(
  values: JoinFlags,
  configuration: KubeletConfiguration,
  { cluster, place, deps }: { readonly cluster: NodeClient; readonly place: Place; readonly deps: Deps },
) {
  const { nodeName, certDirectory } = place;
  const addresses = await nodeHostAddresses({ nodeIPs: values["node-ip"].length > 0 ? values["node-ip"] : undefined });
  // A name with a domain is no certificate's that is approved by itself, and the API server goes by addresses.
  const dnsNames = nodeName.includes(".") ? [] : [nodeName];
  const names = { dnsNames, ipAddresses: addresses.map((a) => a.address) };
  const authority = cluster.caPem === undefined ? {} : { clientCa: cluster.caPem };
  const fromFile = values["kubelet-config"] !== undefined;
  const { healthzPort, healthzBindAddress, address } = configuration;
  const port = values.port === usualPort && fromFile ? configuration.port : values.port;
  return {
    ...{ address, port, orAnyPort: port === usualPort },
    ...serverSettingsOf(configuration),
    ...(await kubeletCertificates({ ...deps, client: cluster.client }, { configuration, nodeName, names, certDirectory, ...authority })),
    ...(fromFile && healthzPort !== 0 ? { healthz: { address: healthzBindAddress, port: healthzPort } } : {}),
    about: { configuration: () => ({ ...configuration, port }), flags: {} },
  };
}

/** Discovery and TLS bootstrap, where the node has no certificate that is good. */
async function bootstrap(values: JoinFlags, place: Place, deps: Deps): Promise<void> {
  const { hasClientCertificate } = await import("../../kubelet/certificates/bootstrap.ts");
  if (await hasClientCertificate(place.kubeconfig, deps)) return;
  const { server, token: written } = values;
  if (server === undefined || written === undefined)
    throw new CommandError("--server and --token are needed to join (coracle token create --print-join-command prints all of them)");
  const token = parseToken(written);
  if (values["ca-cert-hash"].length === 0 && !values["unsafe-skip-ca-verification"])
    throw new CommandError("--ca-cert-hash is needed to know the right cluster; --unsafe-skip-ca-verification does without");
  checkServer(server);
  const { clock } = deps;
  const discovery = { server, token, hashes: values["ca-cert-hash"], timeoutMs: values["discovery-timeout"], clock };
  const caPem = await discoverAuthority(discovery);
  const connection: ClusterConnection = {
    context: "bootstrap",
    namespace: "default",
    server,
    caPem,
    credentials: { kind: "token", token: `${token.id}.${token.secret}` },
  };
  await refuseTakenName(connection, place.nodeName, clock);
  process.stdout.write(`asking ${server} for a certificate of node ${place.nodeName}\n`);
  try {
    await bootstrapNode(deps, { ...place, bootstrap: connection }, deps.signal);
  } catch (error) {
    if (error instanceof CertificateRefusedError) throw new CommandError(error.message);
    if (isStatus(error)) throw new CommandError(`${server} gives no certificate for token ${token.id}: ${error.message}`);
    throw error;
  }
}

function checkServer(server: string): void {
  let url: URL;
  try {
    url = new URL(server);
  } catch {
    throw new CommandError(`--server ${server}: expected a URL such as https://10.0.0.1:6443`);
  }
  if (url.protocol !== "https:") throw new CommandError(`--server ${server}: expected https://`);
}

/** A node of this name that is well is another machine: two that share a name would fight over it. */
async function refuseTakenName(connection: ClusterConnection, name: string, clock: Clock): Promise<void> {
  const transport = createHttpsTransport({ ...connection, clock });
  try {
    const node = await createClient(transport).get(nodes, { name }, { timeoutMs: 10_000 });
    if (node.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True"))
      throw new CommandError(
        `a Node with name ${JSON.stringify(name)} and status "Ready" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node (--node-name)`,
      );
  } catch (error) {
    // Clusters need not let those who join look at nodes.
    if (isStatus(error, "NotFound", "Forbidden")) return;
    if (isStatus(error, "Unauthorized"))
      throw new CommandError(`--token: ${connection.server} does not accept the token: ${error.message}`);
    throw error instanceof CommandError ? error : new CommandError(`asking ${connection.server} for node ${name}: ${errorText(error)}`);
  } finally {
    await transport.close();
  }
}
