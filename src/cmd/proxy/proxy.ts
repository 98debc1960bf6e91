// The service proxy as a command (`coracle proxy`): packet rules that lead services' addresses to their endpoints, on this
// machine as a node of any cluster, with upstream's flags and configuration file. The mode is upstream's nftables mode.
import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { realClock } from "../../base/clock.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { createLogger, errorText, type Logger } from "../../base/log.ts";
import { logOptionsOf } from "../../base/log-flags.ts";
import { enableBridgeFilter } from "../../linux/bridge-filter.ts";
import { applyConntrackLimits } from "../../linux/conntrack-limits.ts";
import { createNftables } from "../../linux/nftables.ts";
import { CommandError as ToolError } from "../../linux/run-command.ts";
import type { ConntrackSettings, ProxyConfiguration } from "../../proxy/configuration/proxy-configuration.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand, untilSignal } from "../command-flags.ts";
import { connectToCluster } from "../component/connect.ts";
import { ignoredProxyFlags, nodeNameOf, proxyConfigurationOf, proxyFlags } from "./proxy-flags.ts";
import { removePacketTables } from "./remove-proxy-tables.ts";
import { shownProxyFlags } from "./shown-proxy-flags.ts";
import { startProxy } from "./start-proxy.ts";
import { writtenProxyConfiguration } from "./written-proxy-configuration.ts";

/** Upstream's, so that everybody who looks for the proxy's rules finds them, and a stock kube-proxy takes them over. */
const tableName = "kube-proxy";

/** Upstream's bound: a table of connections takes memory. */
const maxConnections = 1_048_576;

export async function run(args: readonly string[]): Promise<number> {
  const input = parseCommand(
    { name: "proxy", summary: "Leads the addresses of services to their endpoints on this node." },
    proxyFlags,
    args,
  );
  if (!input) return 0;
  const { values, given } = input;
  const logger = createLogger("proxy", logOptionsOf(values));
  const configuration = await proxyConfigurationOf(values, given);
  if (values["write-config-to"] !== undefined) {
    await writeFile(values["write-config-to"], writtenProxyConfiguration(configuration));
    return 0;
  }
  if (values.cleanup) {
    await removePacketTables(tableName);
    return 0;
  }
  sayWhatIsIgnored(configuration, ignoredProxyFlags(values), logger);
  await requireNftables();
  await setLimits(configuration.conntrack, logger);
  if (values["init-only"]) return 0;
  await setOomScore(configuration.oomScoreAdj, logger);
  if (!(await enableBridgeFilter()))
    logger.warn("This kernel does not filter bridged packets: services do not work between pods of one bridge");
  const kubeconfig = values.kubeconfig ?? (configuration.clientConnection.kubeconfig || undefined);
  const connection = { kubeconfig, ...(values.master === undefined ? {} : { server: values.master }) };
  const cluster = await connectToCluster({ ...connection, clock: realClock, userAgent: "kube-proxy" });
  const stack = new StopStack();
  stack.defer(() => cluster.close());
  try {
    const nodeName = nodeNameOf(values, configuration);
    const proxy = stack.add(
      await startProxy(
        { client: cluster.client, clock: realClock, logger },
        { nodeName, tableName, configuration, flags: shownProxyFlags(values) },
      ),
    );
    void proxy.written.then(() => process.stdout.write("services are reachable\n"));
    await untilSignal(`proxy of node ${nodeName} runs for ${cluster.server}\n`);
  } finally {
    await stack.stop();
  }
  return 0;
}

function sayWhatIsIgnored({ mode }: ProxyConfiguration, flags: readonly string[], logger: Logger): void {
  if (mode !== "nftables") logger.warn("There is only the nftables mode; it is used instead", { mode });
  if (flags.length > 0) logger.info("Flags without effect here", { flags: flags.map((name) => `--${name}`).join(" ") }, 1);
}

async function requireNftables(): Promise<void> {
  try {
    await createNftables().tableNames("ip", tableName);
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    throw new CommandError("the kernel's packet rules cannot be read: this takes root and nft", { cause: error });
  }
}

/** A container may see the kernel's limits without being let to set them: then they stay as they are. */
async function setLimits(settings: ConntrackSettings, logger: Logger): Promise<void> {
  const seconds = {
    tcp_timeout_established: settings.tcpEstablishedTimeoutMs,
    tcp_timeout_close_wait: settings.tcpCloseWaitTimeoutMs,
    udp_timeout: settings.udpTimeoutMs,
    udp_timeout_stream: settings.udpStreamTimeoutMs,
  };
  const timeouts = Object.fromEntries(Object.entries(seconds).flatMap(([name, ms]) => (ms > 0 ? [[name, Math.floor(ms / 1000)]] : [])));
  const scaled = Math.min(Math.max(settings.maxPerCore * availableParallelism(), settings.min), maxConnections);
  try {
    await applyConntrackLimits({ timeouts, tcpBeLiberal: settings.tcpBeLiberal, ...(settings.maxPerCore > 0 ? { max: scaled } : {}) });
  } catch (error) {
    logger.warn("The limits of connection tracking cannot be set", { error: errorText(error) });
  }
}

async function setOomScore(score: number, logger: Logger): Promise<void> {
  try {
    await writeFile("/proc/self/oom_score_adj", `${score}\n`);
  } catch (error) {
    logger.info("The score for memory shortage cannot be set", { error: errorText(error) }, 2);
  }
}
