// The file of --admission-control-config-file: an AdmissionConfiguration with the configuration of each plugin, in the file itself
// or in one that it names. What is wrong with it is told before the server starts. Files of the time before there was such a
// kind, for ImagePolicyWebhook and PodNodeSelector alone, are still read.
import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { ConfigError, type ConfigFields, readConfigDocument } from "../../api/encode/config-fields.ts";
import { type EventLimit, eventRateLimits } from "./event-rate-limit.ts";
import { type ImagePolicySettings, imagePolicySettings } from "./image-policy-webhook.ts";
import { checkManifestsDirectory } from "./manifests/open-manifests.ts";
import { type PodNodeSelectorSettings, podNodeSelectorSettings } from "./pod-node-selector.ts";
import type { PodSecuritySettings } from "./pod-security.ts";
import { podSecuritySettings } from "./pod-security-settings.ts";
import { type PodTolerationSettings, podTolerationSettings } from "./pod-toleration-restriction.ts";
import { type LimitedResource, limitedResources } from "./quota-decision.ts";

/** By plugin; absent where nothing is configured. */
export interface PluginSettings {
  readonly EventRateLimit?: readonly EventLimit[];
  readonly ImagePolicyWebhook?: ImagePolicySettings;
  readonly MutatingAdmissionPolicy?: ManifestSettings;
  readonly MutatingAdmissionWebhook?: WebhookSettings;
  readonly PodNodeSelector?: PodNodeSelectorSettings;
  readonly PodSecurity?: PodSecuritySettings;
  readonly PodTolerationRestriction?: PodTolerationSettings;
  readonly ResourceQuota?: readonly LimitedResource[];
  readonly ValidatingAdmissionPolicy?: ManifestSettings;
  readonly ValidatingAdmissionWebhook?: WebhookSettings;
}

export interface ManifestSettings {
  /** Of configurations in files (the gate ManifestBasedAdmissionControlConfig). */
  readonly manifestsDirectory?: string | undefined;
}

export interface WebhookSettings extends ManifestSettings {
  /** Its users are presented to webhooks, by the names of their hosts. */
  readonly kubeConfigFile: string | undefined;
}

interface ParserOptions {
  /** Whether there may be directories of manifests. */
  readonly manifests: boolean;
}

type Parser<S> = (root: ConfigFields, options: ParserOptions) => S;

const parsers: { readonly [P in keyof Required<PluginSettings>]: Parser<Required<PluginSettings>[P]> } = {
  EventRateLimit: eventRateLimits,
  ImagePolicyWebhook: imagePolicySettings,
  MutatingAdmissionPolicy: policySettings("MutatingAdmissionPolicyConfiguration"),
  MutatingAdmissionWebhook: webhookSettings,
  PodNodeSelector: podNodeSelectorSettings,
  PodSecurity: podSecuritySettings,
  PodTolerationRestriction: podTolerationSettings,
  ResourceQuota: limitedResources,
  ValidatingAdmissionPolicy: policySettings("ValidatingAdmissionPolicyConfiguration"),
  ValidatingAdmissionWebhook: webhookSettings,
};

function policySettings(kind: string): Parser<ManifestSettings> {
  return (root, options) => {
    root.kindOf(kind, ["apiserver.config.k8s.io/v1"]);
    const manifestsDirectory = readManifestsDirectory(root, options);
    root.end();
    return { manifestsDirectory };
  };
}

function readManifestsDirectory(root: ConfigFields, { manifests }: ParserOptions): string | undefined {
  const directory = root.text("staticManifestsDir") || undefined;
  if (directory !== undefined) checkManifestsDirectory(directory, manifests);
  return directory;
}

function webhookSettings(root: ConfigFields, options: ParserOptions): WebhookSettings {
  root.kindOf("WebhookAdmissionConfiguration", ["apiserver.config.k8s.io/v1"]);
  const kubeConfigFile = root.text("kubeConfigFile") || undefined;
  if (kubeConfigFile !== undefined && !isAbsolute(kubeConfigFile)) throw root.problem("kubeConfigFile", "must be an absolute file path");
  const manifestsDirectory = readManifestsDirectory(root, options);
  root.end();
  return { kubeConfigFile, manifestsDirectory };
}

/** Throws ConfigError, or what reading files throws. */
export async function readAdmissionConfiguration(path: string, options: ParserOptions = { manifests: false }): Promise<PluginSettings> {
  const root = await readConfigDocument(await readFile(path, "utf8"), "of kind AdmissionConfiguration");
  if (!root.has("kind")) return legacySettings(path, root);
  root.kindOf("AdmissionConfiguration", [
    "apiserver.config.k8s.io/v1",
    "apiserver.config.k8s.io/v1alpha1",
    "apiserver.k8s.io/v1alpha1",
    "apiserver.k8s.io/v1",
  ]);
  const settings: Record<string, unknown> = {};
  for (const plugin of root.objects("plugins")) {
    const name = plugin.required("name");
    const configuration = await configurationOf(plugin, dirname(path));
    plugin.end();
    // The first of a name counts; what other plugins are told has no reader.
    if (configuration && isConfigurable(name) && settings[name] === undefined) settings[name] = parsers[name](configuration, options);
  }
  root.end();
  return settings as PluginSettings; // by the types of the parsers
}

const isConfigurable = (name: string): name is keyof PluginSettings => Object.hasOwn(parsers, name);

async function configurationOf(plugin: ConfigFields, folder: string): Promise<ConfigFields | undefined> {
  const path = plugin.text("path") ?? "";
  const inline = plugin.object("configuration");
  if (inline || path === "") return inline;
  const file = isAbsolute(path) ? path : join(folder, path);
  try {
    return await readConfigDocument(await readFile(file, "utf8"), `of the configuration of ${plugin.required("name")}`);
  } catch (error) {
    throw new ConfigError(`${plugin.path}.path: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function legacySettings(path: string, root: ConfigFields): PluginSettings {
  if (root.has("imagePolicy")) return { ImagePolicyWebhook: imagePolicySettings(root) };
  if (root.has("podNodeSelectorPluginConfig")) return { PodNodeSelector: podNodeSelectorSettings(root) };
  throw new ConfigError(`${path}: kind: expected AdmissionConfiguration`);
}
