// The file of --admission-control-config-file: an AdmissionConfiguration with the configuration of each plugin, in the file itself
// or in one that it names. What is wrong with it is told before the server starts. Files of the time before there was such a
// kind, for ImagePolicyWebhook and PodNodeSelector alone, are still read.
import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { ConfigError, type ConfigFields, readConfigDocument } from "../../api/encode/config-fields.ts";
import { type EventLimit, eventRateLimits } from "./event-rate-limit.ts";
import { type ImagePolicySettings, imagePolicySettings } from "./image-policy-webhook.ts";
import { type PodNodeSelectorSettings, podNodeSelectorSettings } from "./pod-node-selector.ts";
import type { PodSecuritySettings } from "./pod-security.ts";
import { podSecuritySettings } from "./pod-security-settings.ts";
import { type PodTolerationSettings, podTolerationSettings } from "./pod-toleration-restriction.ts";
import { type LimitedResource, limitedResources } from "./quota-decision.ts";

/** By plugin; absent where nothing is configured. */
export interface PluginSettings {
  readonly EventRateLimit?: readonly EventLimit[];
  readonly ImagePolicyWebhook?: ImagePolicySettings;
  readonly MutatingAdmissionWebhook?: WebhookSettings;
  readonly PodNodeSelector?: PodNodeSelectorSettings;
  readonly PodSecurity?: PodSecuritySettings;
  readonly PodTolerationRestriction?: PodTolerationSettings;
  readonly ResourceQuota?: readonly LimitedResource[];
  readonly ValidatingAdmissionWebhook?: WebhookSettings;
}

export interface WebhookSettings {
  /** Its users are presented to webhooks, by the names of their hosts. */
  readonly kubeConfigFile: string | undefined;
}

const parsers: { readonly [P in keyof Required<PluginSettings>]: (root: ConfigFields) => Required<PluginSettings>[P] } = {
  EventRateLimit: eventRateLimits,
  ImagePolicyWebhook: imagePolicySettings,
  MutatingAdmissionWebhook: webhookSettings,
  PodNodeSelector: podNodeSelectorSettings,
  PodSecurity: podSecuritySettings,
  PodTolerationRestriction: podTolerationSettings,
  ResourceQuota: limitedResources,
  ValidatingAdmissionWebhook: webhookSettings,
};

function webhookSettings(root: ConfigFields): WebhookSettings {
  if (root.text("kind") === "WebhookAdmission") root.kindOf("WebhookAdmission", ["apiserver.config.k8s.io/v1alpha1"]);
  else root.kindOf("WebhookAdmissionConfiguration", ["apiserver.config.k8s.io/v1"]);
  const kubeConfigFile = root.text("kubeConfigFile") || undefined;
  if (kubeConfigFile !== undefined && !isAbsolute(kubeConfigFile)) throw root.problem("kubeConfigFile", "must be an absolute file path");
  root.end();
  return { kubeConfigFile };
}

/** Throws ConfigError, or what reading files throws. */
export async function readAdmissionConfiguration(path: string): Promise<PluginSettings> {
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
    if (configuration && isConfigurable(name) && settings[name] === undefined) settings[name] = parsers[name](configuration);
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
