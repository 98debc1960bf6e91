// What --kubelet-config says for the nodes that `coracle up` starts in its own process. Their certificates are the cluster's own;
// without a file a node's server takes any free port where 10250 is taken, and has no port for its health, so that clusters do
// not collide.
import { resolve } from "node:path";
import type { Logger } from "../../base/log.ts";
import type { KubeletConfiguration } from "../../kubelet/configuration/kubelet-configuration.ts";
import { shownConfiguration } from "../../kubelet/configuration/shown.ts";
import type { KubeletOptions } from "../../kubelet/options.ts";
import type { KubeletServerOptions } from "../../kubelet/server/server.ts";
import { CommandError } from "../command-error.ts";
import {
  announceConfiguration,
  kubeletOptionsOf,
  readNodeConfiguration,
  serverSettingsOf,
  usualPort,
} from "../kubelet/node-configuration.ts";

export interface LocalNodeSettings {
  readonly kubelet: Partial<KubeletOptions> & { readonly cgroupRoot?: string };
  readonly serving: Omit<KubeletServerOptions, "cert" | "key" | "clientCa">;
}

export interface LocalNodeOptions {
  /** --kubelet-config. */
  readonly file: string | undefined;
  /** Of the container runtime. */
  readonly choice: string;
  /** Several nodes cannot share the ports of one file. */
  readonly several: boolean;
}

/**
 * Where nothing is said: images were imported from files, which nothing could pull again, and a laptop's disk is mostly full.
 * So neither images nor pods go for want of disk; for want of memory they do.
 */
const withoutFile = new Map<string, unknown>([
  ["imageGCHighThresholdPercent", 100],
  ["evictionHard", { "memory.available": "100Mi" }],
]);

/** Throws CommandError. */
export async function localNodeSettings({ file, choice, several }: LocalNodeOptions, logger: Logger): Promise<LocalNodeSettings> {
  const loaded = await readNodeConfiguration(file === undefined ? { flags: withoutFile } : { file: resolve(file) }, "kubelet-config");
  announceConfiguration(loaded, logger);
  const configuration: KubeletConfiguration = { ...loaded.configuration, containerRuntimeEndpoint: choice };
  refuseOthers(loaded.configuration);
  const { cgroupRoot, healthzPort, healthzBindAddress } = configuration;
  const ownPorts = file !== undefined && !several;
  return {
    kubelet: { ...(await kubeletOptionsOf(configuration)), ...(cgroupRoot === "" ? {} : { cgroupRoot }) },
    serving: {
      ...serverSettingsOf(configuration),
      ...(several ? { readOnlyPort: 0 } : {}),
      address: configuration.address,
      port: ownPorts || configuration.port === usualPort ? configuration.port : 0,
      orAnyPort: configuration.port === usualPort,
      ...(ownPorts && healthzPort !== 0 ? { healthz: { address: healthzBindAddress, port: healthzPort } } : {}),
      about: { configuration: () => shownConfiguration(configuration), flags: {} },
    },
  };
}

/** What is the cluster's business here, not the file's. */
function refuseOthers(configuration: KubeletConfiguration): void {
  const { tlsCertFile, serverTLSBootstrap, rotateCertificates, authentication, enableServer, containerRuntimeEndpoint } = configuration;
  const said: readonly (readonly [string, boolean])[] = [
    ["tlsCertFile", tlsCertFile !== ""],
    ["serverTLSBootstrap", serverTLSBootstrap],
    ["rotateCertificates", rotateCertificates],
    ["authentication.x509.clientCAFile", authentication.x509.clientCAFile !== ""],
    ["enableServer", !enableServer],
    ["containerRuntimeEndpoint", containerRuntimeEndpoint !== ""],
  ];
  const found = said.filter(([, is]) => is).map(([name]) => name);
  if (found.length > 0)
    throw new CommandError(
      `--kubelet-config: ${found.join(", ")}: not for nodes of coracle up, whose certificates and runtime are the cluster's`,
    );
}
