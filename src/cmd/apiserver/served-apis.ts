// Which resources an API server serves: the built-in ones, less what --runtime-config turns off, and those that are off by
// default where it turns them on and no feature gate is in the way. Their types and rules are loaded only then.
import { builtInResources } from "../../api/resources.generated.ts";
import { keepFieldsOf } from "../../api/semantics/gated-fields.ts";
import { allowPrivileged } from "../../api/semantics/privileged-containers.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { builtInDefinitions } from "../../apiserver/registry/definitions.ts";
import type { ResourceDefinition } from "../../apiserver/registry/resource-definition.ts";
import { describedResources } from "../../apiserver/registry/resources/all.ts";
import { checkRuntimeConfig, isServed } from "../../apiserver/runtime-config.ts";
import type { Clock } from "../../base/clock.ts";
import { FlagError } from "../../base/flags.ts";
import type { Logger } from "../../base/log.ts";
import { CommandError } from "../command-error.ts";

export interface ServedApis {
  readonly definitions: readonly ResourceDefinition[];
  /** Built-in resources that are turned off. */
  readonly unserved: readonly ResourceDefinition[];
}

/** The gates without which resources are not served, even when they are turned on. */
const gates: Readonly<Record<string, string>> = {
  clustertrustbundles: "ClusterTrustBundle",
  podcertificaterequests: "PodCertificateRequest",
  podgroups: "GenericWorkload",
  workloads: "GenericWorkload",
  storageversionmigrations: "StorageVersionMigrator",
};

type Settings = Pick<ApiServerSettings, "runtimeConfig" | "featureGates" | "operations" | "allowPrivileged">;

/** Throws CommandError for a --runtime-config that names what is not there. */
export async function servedApis(settings: Settings, deps: Parameters<typeof configuredApis>[1]): Promise<ServedApis> {
  const apis = await configuredApis(settings, deps);
  if (!settings.featureGates.enabled("ManifestBasedAdmissionControlConfig")) return apis;
  const { withReservedNames } = await import("../../apiserver/registry/resources/extension.ts");
  return { ...apis, definitions: apis.definitions.map(withReservedNames) };
}

async function configuredApis(
  settings: Settings,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<ServedApis> {
  for (const gate of [
    "ClusterTrustBundleProjection",
    "CoordinatedLeaderElection",
    "GenericWorkload",
    "PodCertificateRequest",
    "WorkloadAwarePreemption",
  ] as const)
    if (settings.featureGates.enabled(gate)) keepFieldsOf(gate);
  allowPrivileged(settings.allowPrivileged);
  const builtIn = builtInDefinitions(describedResources);
  const { runtimeConfig: config } = settings;
  if (config.size === 0) return { definitions: builtIn, unserved: [] };
  const [{ optionalResources }, { optionalTables }, { includeOptionalTypes }] = await Promise.all([
    import("../../api/optional-resources.generated.ts"),
    import("../../api/schema/generated/optional.ts"),
    import("../../api/schema/schema.ts"),
  ]);
  const known = [...builtInResources, ...optionalResources];
  try {
    checkRuntimeConfig(config, { known, priorityAndFairness: settings.operations.priorityAndFairness });
  } catch (error) {
    throw error instanceof FlagError ? new CommandError(error.message) : error;
  }
  includeOptionalTypes(optionalTables);
  const { optionalDefinitions } = await import("../../apiserver/registry/resources/optional.ts");
  const { enabled } = settings.featureGates;
  const workloadGates = {
    constraints: enabled("TopologyAwareWorkloadScheduling"),
    claims: enabled("DRAWorkloadResourceClaims"),
    preemption: enabled("WorkloadAwarePreemption"),
  };
  const wanted = optionalDefinitions({ nowMs: () => clock.now(), workloadGates }).filter(({ type }) => isServed(config, type, false));
  const optional = wanted.filter(({ type }) => {
    const gate = gates[type.resource];
    const isOn = gate === undefined || settings.featureGates.enabled(gate);
    if (!isOn) logger.warn(`Resource ${type.resource}.${type.group} is not served: its feature gate ${gate} is off`);
    return isOn;
  });
  return {
    definitions: [...builtIn.filter(({ type }) => isServed(config, type, true)), ...optional],
    unserved: builtIn.filter(({ type }) => !isServed(config, type, true)),
  };
}
