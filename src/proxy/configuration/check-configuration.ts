// Upstream's rules for a KubeProxyConfiguration, with its paths and texts as far as they say what is wrong.
import { type FieldError, invalidValue, notSupported } from "../../api/meta/field-error.ts";
import { parseCIDR, parseIP } from "../../api/meta/ip.ts";
import { detectLocalModes, type ProxyConfiguration, splitAddress } from "./proxy-configuration.ts";

const root = "KubeProxyConfiguration";
const modes = ["iptables", "ipvs", "nftables"];

/** Everything that is wrong. */
export function checkConfiguration(configuration: ProxyConfiguration): readonly string[] {
  const errors: FieldError[] = [];
  const refuse = (path: string, value: unknown, why: string): void => void errors.push(invalidValue(`${root}.${path}`, value, why));
  checkMode(configuration, refuse);
  checkNumbers(configuration, refuse);
  checkAddresses(configuration, refuse);
  checkDetectLocal(configuration, refuse);
  if (!detectLocalModes.some((mode) => mode === configuration.detectLocalMode))
    errors.push(notSupported(`${root}.DetectLocalMode`, configuration.detectLocalMode, [...detectLocalModes, ""]));
  return errors.map(({ message }) => message);
}

type Refuse = (path: string, value: unknown, why: string) => void;

function checkMode({ mode }: ProxyConfiguration, refuse: Refuse): void {
  if (!modes.includes(mode)) refuse("Mode.ProxyMode", mode, `must be ${modes.join(", ")} or blank (blank means nftables here)`);
}

function checkNumbers(configuration: ProxyConfiguration, refuse: Refuse): void {
  const { masqueradeBit, syncPeriodMs, minSyncPeriodMs, configSyncPeriodMs, oomScoreAdj, conntrack, clientConnection } = configuration;
  const seconds = (ms: number): string => `${ms / 1000}s`;
  const atLeastZero = (path: string, value: number, shown: unknown = value): void => {
    if (value < 0) refuse(path, shown, "must be greater than or equal to 0");
  };
  if (masqueradeBit < 0 || masqueradeBit > 31)
    refuse("KubeProxyNFTablesConfiguration.MasqueradeBit", masqueradeBit, "must be within the range [0, 31]");
  if (syncPeriodMs <= 0) refuse("SyncPeriod", seconds(syncPeriodMs), "must be greater than 0");
  atLeastZero("MinSyncPeriod", minSyncPeriodMs, seconds(minSyncPeriodMs));
  if (minSyncPeriodMs > syncPeriodMs)
    refuse("SyncPeriod", seconds(minSyncPeriodMs), `must be greater than or equal to ${root}.MinSyncPeriod`);
  if (configSyncPeriodMs <= 0) refuse("ConfigSyncPeriod", seconds(configSyncPeriodMs), "must be greater than 0");
  if (oomScoreAdj < -1000 || oomScoreAdj > 1000)
    refuse("KubeProxyLinuxConfiguration.OOMScoreAdj", oomScoreAdj, "must be within the range [-1000, 1000]");
  atLeastZero("ClientConnection.Burst", clientConnection.burst);
  const ofConntrack = "KubeProxyLinuxConfiguration.KubeProxyConntrackConfiguration";
  atLeastZero(`${ofConntrack}.MaxPerCore`, conntrack.maxPerCore);
  atLeastZero(`${ofConntrack}.Min`, conntrack.min);
  for (const name of ["tcpEstablishedTimeout", "tcpCloseWaitTimeout", "udpTimeout", "udpStreamTimeout"] as const) {
    const ms = conntrack[`${name}Ms`];
    const title = name.replace(/^(tcp|udp)/, (prefix) => prefix.toUpperCase());
    atLeastZero(`${ofConntrack}.${title}`, ms, seconds(ms));
  }
}

function checkAddresses(configuration: ProxyConfiguration, refuse: Refuse): void {
  const { bindAddress, healthzBindAddress, metricsBindAddress, nodePortAddresses } = configuration;
  if (!parseIP(bindAddress)) refuse("BindAddress", bindAddress, "not a valid textual representation of an IP address");
  for (const [path, text] of [["HealthzBindAddress", healthzBindAddress] as const, ["MetricsBindAddress", metricsBindAddress] as const]) {
    const at = splitAddress(text);
    if (text === "") continue; // serves nothing
    if (!at) refuse(path, text, "must be IP:port");
    else {
      if (!parseIP(at.address)) refuse(path, at.address, "must be a valid IP");
      if (at.port < 1 || at.port > 65_535) refuse(path, String(at.port), "must be a valid port");
    }
  }
  for (const [i, address] of nodePortAddresses.entries()) {
    const path = `NodePortAddresses[${i}]`;
    if (address === "primary") {
      if (nodePortAddresses.length > 1) refuse(path, address, "can't use both 'primary' and CIDRs");
      break;
    }
    if (!parseCIDR(address)) refuse(path, address, "must be a valid CIDR");
  }
}

function checkDetectLocal({ detectLocalMode, detectLocal, clusterCIDR }: ProxyConfiguration, refuse: Refuse): void {
  const path = "DetectLocalConfiguration";
  // Names that end up in packet rules: what the kernel takes for an interface, and no more.
  const isInterface = (name: string): boolean => /^[^\s/"*{}]{1,15}$/.test(name);
  if (detectLocalMode === "BridgeInterface" && !isInterface(detectLocal.bridgeInterface))
    refuse(`${path}.BridgeInterface`, detectLocal.bridgeInterface, "must be the name of an interface");
  if (detectLocalMode === "InterfaceNamePrefix" && !isInterface(detectLocal.interfaceNamePrefix))
    refuse(`${path}.InterfacePrefix`, detectLocal.interfaceNamePrefix, "must be the beginning of interfaces' names");
  const cidrs = clusterCIDR.split(",").filter((cidr) => cidr !== "");
  if (cidrs.length > 2) refuse(`${path}.ClusterCIDRs`, clusterCIDR, "must be a either a single CIDR or dual-stack pair of CIDRs");
  for (const [i, cidr] of cidrs.entries()) if (!parseCIDR(cidr)) refuse(`${path}.ClusterCIDRs[${i}]`, cidr, "must be a valid CIDR");
}
