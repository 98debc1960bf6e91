// `coracle dns`: the cluster's DNS as a process of its own, against any API server: in a pod in place of CoreDNS, or on a
// machine. Which Service leads to it is the installer's affair.
import { parseCIDR } from "../../api/meta/ip.ts";
import { realClock } from "../../base/clock.ts";
import { boolean, type FlagType, flag, integer, list, optionalText, text } from "../../base/flags.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { createLogger } from "../../base/log.ts";
import { logFlags, logOptionsOf } from "../../base/log-flags.ts";
import { registerProcessMetrics } from "../../base/process-metrics.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { createDnsServer, type DnsServer } from "../../dns/dns-server.ts";
import { hostAddresses } from "../../linux/system-info.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand, untilSignal } from "../command-flags.ts";
import { connectToCluster } from "../component/connect.ts";
import { followUpstreams, readUpstreams, serverList, stubDomains } from "./dns-upstreams.ts";

const ranges: FlagType<readonly string[]> = {
  placeholder: "cidrs",
  parse(value, previous) {
    const given = value.split(",").filter((part) => part !== "");
    for (const range of given)
      if (!parseCIDR(range)) throw new Error(`expected an address range such as 10.0.0.0/8, not ${JSON.stringify(range)}`);
    return [...(previous ?? []), ...given];
  },
};

const port = integer({ min: 0, max: 65_535 });

const flags = {
  kubeconfig: flag(
    optionalText,
    undefined,
    "how to reach the API server; default $KUBECONFIG, ~/.kube/config, in a pod its service account",
  ),
  "cluster-domain": flag(text, "cluster.local", "domain of the cluster's services"),
  "bind-address": flag(list, [], "addresses to listen on; default each of this machine's, so that answers come from where they were asked"),
  port: flag(port, 53, "port for UDP and TCP; 0 takes any that is free"),
  "status-port": flag(port, 9153, "port of /health, /ready and /metrics"),
  ttl: flag(integer({ min: 0, max: 3600 }), 30, "seconds for which clients may keep the cluster's records"),
  "max-cache-ttl": flag(integer({ min: 0, max: 86_400 }), 30, "seconds for which names outside are kept at most"),
  "resolv-conf": flag(text, "/etc/resolv.conf", "file with the resolvers for names outside; followed when it changes"),
  upstream: flag(serverList, [], "resolvers for names outside, instead of those of --resolv-conf"),
  "stub-domain": flag(stubDomains, new Map(), "resolvers of single domains"),
  "cluster-cidr": flag(ranges, [], "ranges of pods, whose reverse names are answered here alone"),
  "service-cluster-ip-range": flag(ranges, [], "ranges of services, likewise"),
  "service-address": flag(list, [], "addresses of the Service of this server, told as those of its name server"),
  "allow-clients": flag(ranges, [], "ranges of clients to answer beside private addresses"),
  "allow-all-clients": flag(boolean, false, "answer clients everywhere: only behind a firewall"),
  ...logFlags,
};

type DnsFlags = NonNullable<ReturnType<typeof parse>>;

const parse = (args: readonly string[]) =>
  parseCommand({ name: "dns", summary: "Answers the names of a cluster, and forwards all others." }, flags, args)?.values;

export async function run(args: readonly string[]): Promise<number> {
  const values = parse(args);
  if (!values) return 0;
  const clock = realClock;
  const logger = createLogger("dns", logOptionsOf(values));
  const stack = new StopStack();
  try {
    const cluster = await connectToCluster({ kubeconfig: values.kubeconfig, clock, userAgent: "coredns" });
    stack.defer(() => cluster.close());
    const informers = stack.add(createInformerFactory(cluster.client, { clock, logger }));
    const server = stack.add(createDnsServer({ informers, clock, logger }, await optionsOf(values)));
    registerProcessMetrics(server.metrics.registry, clock);
    const where = await listen(server, values);
    if (values.upstream.length === 0)
      stack.add(followUpstreams(values["resolv-conf"], { clock, logger, changed: (found) => server.useUpstreams(found) }));
    void server.findLoops();
    await untilSignal(`DNS of ${values["cluster-domain"]} at ${where.join(", ")} for ${cluster.server}\n`);
  } finally {
    await stack.stop();
  }
  return 0;
}

async function optionsOf(values: DnsFlags) {
  return {
    domain: values["cluster-domain"].replace(/\.$/, ""),
    ttlSeconds: values.ttl,
    maxCacheSeconds: values["max-cache-ttl"],
    serverAddresses: values["service-address"],
    ownRanges: [...values["cluster-cidr"], ...values["service-cluster-ip-range"]],
    upstreams: values.upstream.length > 0 ? values.upstream : await readUpstreams(values["resolv-conf"]),
    stubDomains: values["stub-domain"],
    moreClients: values["allow-clients"],
    privateOnly: !values["allow-all-clients"],
  };
}

async function listen(server: DnsServer, values: DnsFlags): Promise<readonly string[]> {
  const given = values["bind-address"];
  const addresses = given.length > 0 ? given : ["127.0.0.1", ...(await hostAddresses()).map(({ address }) => address)];
  let { port: usedPort, "status-port": statusPort } = values;
  const where: string[] = [];
  for (const address of new Set(addresses)) {
    try {
      ({ port: usedPort } = await server.listen({ address, port: usedPort }));
      ({ port: statusPort } = await server.serveStatus({ address, port: statusPort }));
    } catch (cause) {
      throw new CommandError(`cannot listen on ${address} port ${usedPort} (and ${statusPort} for the status)`, { cause });
    }
    where.push(`${address}:${usedPort} (status: ${statusPort})`);
  }
  return where;
}
