// Opens the directories of manifests that the configuration of admission names (the gate ManifestBasedAdmissionControlConfig).
import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { ConfigError } from "../../../api/encode/config-fields.ts";
import { forbiddenField, invalidValue } from "../../../api/meta/field-error.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Running } from "../../../base/lifecycle.ts";
import { errorText, type Logger } from "../../../base/log.ts";
import type { MetricsRegistry } from "../../../base/metrics.ts";
import { createManifestReloadMetrics, type ReloadMetrics } from "../../configuration/reload-metrics.ts";
import type { PluginSettings } from "../admission-configuration.ts";
import { followManifests, type Manifests } from "./followed-manifests.ts";
import { type PolicyManifests, readPolicyManifests, readWebhookManifests, type Side, type WebhookManifests } from "./read-manifests.ts";

/** By plugin; absent where no directory is configured. */
export interface StaticManifests {
  readonly MutatingAdmissionPolicy?: Manifests<PolicyManifests>;
  readonly MutatingAdmissionWebhook?: Manifests<WebhookManifests>;
  readonly ValidatingAdmissionPolicy?: Manifests<PolicyManifests>;
  readonly ValidatingAdmissionWebhook?: Manifests<WebhookManifests>;
}

export interface ManifestDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** Owns what follows the directories. */
  readonly stack: { add<T extends Running>(running: T): T };
}

const field = "staticManifestsDir";

/** Throws ConfigError. */
export function checkManifestsDirectory(directory: string, isEnabled: boolean): void {
  if (!isEnabled)
    throw new ConfigError(
      forbiddenField(field, `${field} requires the ManifestBasedAdmissionControlConfig feature gate to be enabled`).message,
    );
  if (!isAbsolute(directory)) throw new ConfigError(invalidValue(field, directory, "must be an absolute file path").message);
  let isDirectory: boolean;
  try {
    isDirectory = statSync(directory).isDirectory();
  } catch {
    throw new ConfigError(invalidValue(field, directory, `unable to read: stat ${directory}: no such file or directory`).message);
  }
  if (!isDirectory) throw new ConfigError(invalidValue(field, directory, "must be a directory").message);
}

/** Throws ConfigError for what cannot be read or is wrong. */
export async function openManifests(settings: PluginSettings, deps: ManifestDependencies): Promise<StaticManifests> {
  const manifests: Record<string, unknown> = {};
  const reloadsOf = createManifestReloadMetrics(deps);
  for (const side of ["Mutating", "Validating"] as const)
    for (const what of ["Policy", "Webhook"] as const) {
      const name = `${side}Admission${what}` as const;
      const directory = settings[name]?.manifestsDirectory;
      if (directory !== undefined) manifests[name] = await open({ name, side, what, directory, reloads: reloadsOf(name) }, deps);
    }
  return manifests as StaticManifests; // each name with what is read for it
}

interface Opened {
  readonly name: string;
  readonly side: Side;
  readonly what: "Policy" | "Webhook";
  readonly directory: string;
  readonly reloads: ReloadMetrics;
}

async function open({ name, side, what, directory, reloads }: Opened, { clock, logger, stack }: ManifestDependencies): Promise<unknown> {
  const read = (): Promise<WebhookManifests | PolicyManifests> =>
    what === "Policy" ? readPolicyManifests(side, directory) : readWebhookManifests(side, directory);
  try {
    return stack.add(await followManifests({ name, directory, read, reloads }, { clock, logger }));
  } catch (error) {
    const problem = `failed to load static ${what.toLowerCase()} manifests from ${JSON.stringify(directory)}: ${errorText(error)}`;
    throw new ConfigError(problem);
  }
}
