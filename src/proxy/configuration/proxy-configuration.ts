// A proxy's settings as upstream's KubeProxyConfiguration has them, defaults filled in, and what follows from them.
import type { DetectLocal } from "../detect-local.ts";

export const configurationVersion = "kubeproxy.config.k8s.io/v1alpha1";

export interface ConntrackSettings {
  /** 0 leaves the kernel's limit. */
  readonly maxPerCore: number;
  readonly min: number;
  /** 0 leaves the kernel's, here and below. */
  readonly tcpEstablishedTimeoutMs: number;
  readonly tcpCloseWaitTimeoutMs: number;
  readonly tcpBeLiberal: boolean;
  readonly udpTimeoutMs: number;
  readonly udpStreamTimeoutMs: number;
}

export const detectLocalModes = ["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"] as const;

export interface ProxyConfiguration {
  readonly clientConnection: { readonly kubeconfig: string; readonly qps: number; readonly burst: number };
  readonly hostnameOverride: string;
  readonly bindAddress: string;
  /** "0.0.0.0:10256". */
  readonly healthzBindAddress: string;
  readonly metricsBindAddress: string;
  readonly bindAddressHardFail: boolean;
  readonly mode: string;
  readonly masqueradeBit: number;
  readonly masqueradeAll: boolean;
  readonly syncPeriodMs: number;
  readonly minSyncPeriodMs: number;
  readonly detectLocalMode: string;
  readonly detectLocal: { readonly bridgeInterface: string; readonly interfaceNamePrefix: string };
  /** One range, or one for each family with a comma. */
  readonly clusterCIDR: string;
  readonly nodePortAddresses: readonly string[];
  readonly oomScoreAdj: number;
  readonly conntrack: ConntrackSettings;
  readonly configSyncPeriodMs: number;
  /** As given; which there are is the command's to know. */
  readonly featureGates: Readonly<Record<string, boolean>>;
}

/** In this mode node ports answer at the node's primary addresses unless others are named. */
export const orPrimary = (addresses: readonly string[]): readonly string[] => (addresses.length > 0 ? addresses : ["primary"]);

/** "10.0.0.1" and "[::1]" get the port; what has one keeps it. */
export function withPort(address: string, port: number): string {
  if (/^\[.*\]$/.test(address) || !address.includes(":")) return `${address}:${port}`;
  return /^[0-9a-fA-F:.]+$/.test(address) && address.split(":").length > 2 ? `[${address}]:${port}` : address;
}

/** Of a configuration that has been checked. */
export function detectLocalOf({ detectLocalMode, detectLocal, clusterCIDR }: ProxyConfiguration): DetectLocal {
  switch (detectLocalMode) {
    case "NodeCIDR":
      return { mode: "NodeCIDR" };
    case "BridgeInterface":
      return { mode: "BridgeInterface", interface: detectLocal.bridgeInterface };
    case "InterfaceNamePrefix":
      return { mode: "InterfaceNamePrefix", prefix: detectLocal.interfaceNamePrefix };
    default:
      return { mode: "ClusterCIDR", clusterCidrs: clusterCIDR.split(",").filter((cidr) => cidr !== "") };
  }
}

/** Of "0.0.0.0:10256"; undefined for an address that serves nothing. */
export function splitAddress(text: string): { readonly address: string; readonly port: number } | undefined {
  const match = /^(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(text);
  return match ? { address: match[1] ?? match[2] ?? "", port: Number(match[3]) } : undefined;
}
