// A node's configuration file, as every command that starts a node takes it: what its kubelet and its kubelet's server are told,
// and what a person is told about it (fields without effect, feature gates). Whatever is wrong is one line.
import { readFile } from "node:fs/promises";
import { ConfigError } from "../../api/encode/config-fields.ts";
import type { Logger } from "../../base/log.ts";
import { resolveKubeletGates } from "../../kubelet/configuration/feature-gates.ts";
import { durationMs } from "../../kubelet/configuration/field.ts";
import type { KubeletConfiguration } from "../../kubelet/configuration/kubelet-configuration.ts";
import { type ConfigurationSources, type LoadedConfiguration, loadKubeletConfiguration } from "../../kubelet/configuration/load.ts";
import { optionsOfConfiguration } from "../../kubelet/configuration/to-options.ts";
import type { KubeletOptions } from "../../kubelet/options.ts";
import type { KubeletServerOptions } from "../../kubelet/server/server.ts";
import { CommandError } from "../command-error.ts";
import { tlsSettings } from "./kubelet-tls.ts";

/** Where monitoring and upstream's tools look for a kubelet: a node takes it where nobody else of the machine has. */
export const usualPort = 10_250;

/** `flagName`: of the file, for messages. Throws CommandError. */
export async function readNodeConfiguration(sources: ConfigurationSources, flagName = "config"): Promise<LoadedConfiguration> {
  try {
    return await loadKubeletConfiguration(sources);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const where = sources.file === undefined ? "" : `--${flagName} ${sources.file}: `;
    throw new CommandError(error.message.startsWith(sources.file ?? "\0") ? `--${flagName} ${error.message}` : `${where}${error.message}`);
  }
}

/** What was read and does nothing. */
export function announceConfiguration({ ignored, skipped, turnedGates }: LoadedConfiguration, logger: Logger): void {
  if (ignored.length > 0) logger.info("Fields of the configuration without effect here", { fields: ignored.join(", ") });
  if (skipped.length > 0) logger.info("Files that are no drop-ins", { files: skipped.join(", ") });
  if (turnedGates.length > 0) logger.info("Feature gates that are not at their default", { gates: turnedGates.join(", ") });
}

/** For the kubelet. Throws CommandError where this machine is not what the configuration asks for. */
export async function kubeletOptionsOf(configuration: KubeletConfiguration): Promise<Partial<KubeletOptions>> {
  if (configuration.failSwapOn && (await hasSwap()))
    throw new CommandError("running with swap on is not supported, please disable swap or set --fail-swap-on flag to false");
  if (configuration.failCgroupV1 && (await hasOldCgroups()))
    throw new CommandError(
      "kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release",
    );
  if (configuration.protectKernelDefaults) {
    const { kernelProblem } = await import("../../linux/kernel-defaults.ts");
    const problem = await kernelProblem();
    if (problem !== undefined) throw new CommandError(problem);
  }
  return optionsOfConfiguration(configuration);
}

export type ServerSettings = Omit<KubeletServerOptions, "cert" | "key" | "clientCa" | "address" | "port">;

const gatedPaths = { "/checkpoint": "ContainerCheckpoint", "/flagz": "ComponentFlagz", "/statusz": "ComponentStatusz" };

/** For the kubelet's server, but for its certificates and its address. */
export function serverSettingsOf(configuration: KubeletConfiguration): ServerSettings {
  const { authentication: authn, authorization: authz, readOnlyPort } = configuration;
  const { enableDebuggingHandlers, enableSystemLogHandler, enableSystemLogQuery } = configuration;
  const gates = resolveKubeletGates(configuration.featureGates);
  const withoutPaths = Object.entries(gatedPaths).flatMap(([path, gate]) => (gates.enabled(gate) ? [] : [path]));
  return {
    withoutPaths,
    extendWebSockets: gates.enabled("ExtendWebSocketsToKubelet"),
    ...{ enableDebuggingHandlers, enableSystemLogHandler, enableSystemLogQuery, readOnlyPort },
    tls: tlsSettings(configuration),
    authentication: {
      webhook: authn.webhook.enabled,
      webhookCacheMs: durationMs(authn.webhook.cacheTTL),
      anonymous: authn.anonymous.enabled,
    },
    authorization: {
      mode: authz.mode === "AlwaysAllow" ? "AlwaysAllow" : "Webhook",
      allowedCacheMs: durationMs(authz.webhook.cacheAuthorizedTTL),
      deniedCacheMs: durationMs(authz.webhook.cacheUnauthorizedTTL),
    },
  };
}

async function hasSwap(): Promise<boolean> {
  const table = await readFile("/proc/swaps", "utf8").catch(() => "");
  return table.trim().split("\n").length > 1;
}

async function hasOldCgroups(): Promise<boolean> {
  const { detectCgroups } = await import("../../linux/cgroups.ts");
  const system = await detectCgroups().catch(() => undefined);
  return system?.version === 1;
}
