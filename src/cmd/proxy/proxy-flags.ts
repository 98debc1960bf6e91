// The flags of `coracle proxy`: upstream's names, defaults and units. With --config the file says everything that it can say,
// and of the flags only those about files, names and verbosity count, as upstream.

import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { ConfigError } from "../../api/encode/config-fields.ts";
import { featureGatesFlag } from "../../api/semantics/feature-gates.ts";
import {
  boolean,
  durationMs,
  type FlagValues,
  flag,
  flagsWithoutEffect,
  integer,
  list,
  oneOf,
  optionalText,
  text,
} from "../../base/flags.ts";
import { logFlags } from "../../base/log-flags.ts";
import { checkConfiguration } from "../../proxy/configuration/check-configuration.ts";
import { detectLocalModes, orPrimary, type ProxyConfiguration, withPort } from "../../proxy/configuration/proxy-configuration.ts";
import { emptyConfiguration, readProxyConfiguration } from "../../proxy/configuration/read-proxy-configuration.ts";
import { CommandError } from "../command-error.ts";
import { proxyGates } from "./proxy-gates.ts";

const withoutEffect = flagsWithoutEffect({
  "iptables-localhost-nodeports": "true",
  "iptables-masquerade-bit": undefined,
  "ipvs-exclude-cidrs": undefined,
  "ipvs-min-sync-period": undefined,
  "ipvs-scheduler": undefined,
  "ipvs-strict-arp": "true",
  "ipvs-sync-period": undefined,
  "ipvs-tcp-timeout": undefined,
  "ipvs-tcpfin-timeout": undefined,
  "ipvs-udp-timeout": undefined,
  "kube-api-burst": undefined,
  "kube-api-content-type": undefined,
  "kube-api-qps": undefined,
  profiling: "true",
  "show-hidden-metrics-for-version": undefined,
});

export const proxyFlags = {
  config: flag(optionalText, undefined, "file with a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)"),
  "write-config-to": flag(optionalText, undefined, "write the default configuration to this file and exit"),
  cleanup: flag(boolean, false, "remove the packet rules and exit"),
  "init-only": flag(boolean, false, "set the kernel's limits that take privileges, and exit"),
  kubeconfig: flag(
    optionalText,
    undefined,
    "how to reach the API server; default $KUBECONFIG, ~/.kube/config or the pod's service account",
  ),
  master: flag(optionalText, undefined, "address of the API server, instead of the kubeconfig's"),
  "hostname-override": flag(optionalText, undefined, "the node's name; default this machine's"),
  "bind-address": flag(text, "0.0.0.0", "the node's primary address, unless it means every one"),
  "healthz-bind-address": flag(text, "0.0.0.0:10256", "where health is served"),
  "healthz-port": flag(integer({ min: 0, max: 65_535 }), 10_256, "deprecated: the port of --healthz-bind-address; 0 serves nothing"),
  "metrics-bind-address": flag(text, "127.0.0.1:10249", "where metrics are served; empty serves nothing"),
  "metrics-port": flag(integer({ min: 0, max: 65_535 }), 10_249, "deprecated: the port of --metrics-bind-address; 0 serves nothing"),
  "bind-address-hard-fail": flag(boolean, false, "end where one of these cannot be had"),
  "proxy-mode": flag(oneOf("", "nftables", "iptables", "ipvs"), "", "nftables is the one mode there is; it is used in place of the others"),
  "masquerade-all": flag(boolean, false, "hide the source of all traffic to cluster addresses"),
  "iptables-sync-period": flag(durationMs, 30_000, "how often the kernel's rules are looked at"),
  "iptables-min-sync-period": flag(durationMs, 1_000, "between two changes of the rules, at least"),
  "detect-local-mode": flag(oneOf("", ...detectLocalModes), "", "how traffic of pods is told from other traffic; default ClusterCIDR"),
  "pod-bridge-interface": flag(text, "", "the bridge of --detect-local-mode BridgeInterface"),
  "pod-interface-name-prefix": flag(text, "", "the beginning of interfaces' names for --detect-local-mode InterfaceNamePrefix"),
  "cluster-cidr": flag(text, "", "addresses of the cluster's pods, of each family with a comma"),
  "nodeport-addresses": flag(list, [], "ranges of addresses at which node ports answer; default the node's primary ones (primary)"),
  "oom-score-adj": flag(integer({ min: -1000, max: 1000 }), -999, "how little the kernel should think of killing this process"),
  "conntrack-max-per-core": flag(integer({ min: 0 }), 32 * 1024, "connections at most for each processor; 0 leaves the kernel's limit"),
  "conntrack-min": flag(integer({ min: 0 }), 128 * 1024, "connections at most at least"),
  "conntrack-tcp-timeout-established": flag(durationMs, 24 * 3_600_000, "until an idle connection is forgotten; 0 leaves the kernel's"),
  "conntrack-tcp-timeout-close-wait": flag(durationMs, 3_600_000, "the same for one that is half closed"),
  "conntrack-tcp-be-liberal": flag(boolean, false, "take packets out of a connection's window for its own"),
  "conntrack-udp-timeout": flag(durationMs, 0, "until a flow of UDP without an answer is forgotten; 0 leaves the kernel's"),
  "conntrack-udp-timeout-stream": flag(durationMs, 0, "the same for one with answers"),
  "config-sync-period": flag(durationMs, 900_000, "without effect here: what the API server has is watched"),
  ...logFlags,
  "feature-gates": flag(featureGatesFlag(proxyGates), {}, "gates of v1.36; those that cannot be turned here are refused"),
  ...withoutEffect,
};

export type ProxyValues = FlagValues<typeof proxyFlags>;

/** Those of the flags that were given and do nothing. */
export const ignoredProxyFlags = (values: ProxyValues): readonly string[] =>
  (Object.keys(withoutEffect) as (keyof typeof withoutEffect)[]).filter((name) => values[name] !== undefined);

export const nodeNameOf = (values: ProxyValues, { hostnameOverride }: ProxyConfiguration): string =>
  (values["hostname-override"]?.trim() || hostnameOverride || hostname()).toLowerCase();

/** Of the file, or of the flags. Throws CommandError with what is wrong. */
export async function proxyConfigurationOf(values: ProxyValues, given: ReadonlySet<string>): Promise<ProxyConfiguration> {
  if (values.config !== undefined) return readFileOf(values.config);
  const configuration = fromFlags(await readProxyConfiguration(emptyConfiguration), values, given);
  const errors = checkConfiguration(configuration);
  if (errors.length > 0) throw new CommandError(errors.join("; "));
  return configuration;
}

async function readFileOf(file: string): Promise<ProxyConfiguration> {
  let content: string;
  try {
    content = await readFile(file, "utf8");
  } catch (cause) {
    throw new CommandError(`--config: ${file} cannot be read`, { cause });
  }
  try {
    return await readProxyConfiguration(content);
  } catch (error) {
    if (error instanceof ConfigError) throw new CommandError(`--config ${file}: ${error.message}`);
    throw error;
  }
}

function fromFlags(defaults: ProxyConfiguration, values: ProxyValues, given: ReadonlySet<string>): ProxyConfiguration {
  const served = (address: string, port: number, name: string): string => {
    if (!given.has(name)) return address;
    return port === 0 ? "" : withPort(address.replace(/:\d+$/, ""), port);
  };
  return {
    ...defaults,
    bindAddress: values["bind-address"],
    healthzBindAddress: served(withDefaultPort(values["healthz-bind-address"], 10_256), values["healthz-port"], "healthz-port"),
    metricsBindAddress: served(withDefaultPort(values["metrics-bind-address"], 10_249), values["metrics-port"], "metrics-port"),
    bindAddressHardFail: values["bind-address-hard-fail"],
    mode: values["proxy-mode"] || "nftables",
    masqueradeAll: values["masquerade-all"],
    syncPeriodMs: values["iptables-sync-period"],
    minSyncPeriodMs: values["iptables-min-sync-period"],
    detectLocalMode: values["detect-local-mode"] || "ClusterCIDR",
    detectLocal: { bridgeInterface: values["pod-bridge-interface"], interfaceNamePrefix: values["pod-interface-name-prefix"] },
    clusterCIDR: values["cluster-cidr"],
    nodePortAddresses: orPrimary(values["nodeport-addresses"]),
    oomScoreAdj: values["oom-score-adj"],
    conntrack: {
      maxPerCore: values["conntrack-max-per-core"],
      min: values["conntrack-min"],
      tcpEstablishedTimeoutMs: values["conntrack-tcp-timeout-established"],
      tcpCloseWaitTimeoutMs: values["conntrack-tcp-timeout-close-wait"],
      tcpBeLiberal: values["conntrack-tcp-be-liberal"],
      udpTimeoutMs: values["conntrack-udp-timeout"],
      udpStreamTimeoutMs: values["conntrack-udp-timeout-stream"],
    },
    configSyncPeriodMs: values["config-sync-period"],
    featureGates: values["feature-gates"],
  };
}

const withDefaultPort = (address: string, port: number): string => (address === "" ? "" : withPort(address, port));
