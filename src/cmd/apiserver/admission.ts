// Reads what configures admission: the flags' file, and the kubeconfigs and directories of manifests that it names. Nothing is loaded where there is none.
import type { AdmissionOptions } from "../../apiserver/admission/create-admission-plugins.ts";
import type { ManifestDependencies } from "../../apiserver/admission/manifests/open-manifests.ts";
import type { CredentialsFor } from "../../apiserver/admission/webhooks/webhook-credentials.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { errorText } from "../../base/log.ts";
import { CommandError } from "../command-error.ts";

/** Throws CommandError. */
export async function readAdmissionOptions(settings: ApiServerSettings, deps: ManifestDependencies): Promise<AdmissionOptions> {
  const { admissionControlConfigFile: file, defaultTolerations: tolerations } = settings;
  const options = { enable: settings.enableAdmissionPlugins, disable: settings.disableAdmissionPlugins, tolerations };
  if (file === undefined) return options;
  try {
    return { ...options, ...(await configured(file, settings, deps)) };
  } catch (error) {
    throw new CommandError(`--admission-control-config-file: ${errorText(error)}`);
  }
}

async function configured(file: string, { featureGates }: ApiServerSettings, deps: ManifestDependencies): Promise<AdmissionOptions> {
  const { clock } = deps;
  const { readAdmissionConfiguration } = await import("../../apiserver/admission/admission-configuration.ts");
  const settings = await readAdmissionConfiguration(file, { manifests: featureGates.enabled("ManifestBasedAdmissionControlConfig") });
  const { ImagePolicyWebhook: imagePolicy, MutatingAdmissionWebhook: mutating, ValidatingAdmissionWebhook: validating } = settings;
  const { kubeconfigTarget } = await import("../../apiserver/webhook/kubeconfig-target.ts");
  const { openManifests } = await import("../../apiserver/admission/manifests/open-manifests.ts");
  return {
    settings,
    manifests: await openManifests(settings, deps),
    ...(imagePolicy ? { imagePolicyTarget: await kubeconfigTarget(imagePolicy.kubeConfigFile, clock) } : {}),
    mutatingCredentials: await credentials(mutating?.kubeConfigFile, clock),
    validatingCredentials: await credentials(validating?.kubeConfigFile, clock),
  };
}

async function credentials(file: string | undefined, clock: ManifestDependencies["clock"]): Promise<CredentialsFor | undefined> {
  if (file === undefined) return undefined;
  const { kubeconfigUsers } = await import("../../apiserver/webhook/kubeconfig-target.ts");
  const { userFor } = await import("../../apiserver/admission/webhooks/webhook-credentials.ts");
  const users = await kubeconfigUsers(file, clock);
  return async (hostPort) => {
    const name = userFor(hostPort, users.names, users.current);
    return name === undefined ? undefined : users.present(name);
  };
}
