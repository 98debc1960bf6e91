// The resources that are off by default: versions of kinds that are there in v1, seen through a conversion, and kinds of
// their own. Loaded only where --runtime-config turns some of them on.
import { reshapedDevices } from "../../../api/conversion/devices.ts";
import { change, changeEach, fill } from "../../../api/defaults/fill.ts";
import { age, ageColumn, column, nameColumn, since } from "../../../api/encode/table/columns.ts";
import { isConfigMapKey } from "../../../api/meta/names.ts";
import * as optional from "../../../api/optional-resources.generated.ts";
import { apiVersionOf, type ResourceType } from "../../../api/resource-type.ts";
import type { MutatingAdmissionPolicyBinding } from "../../../api/types/admissionregistration-v1.ts";
import type { DeviceTaintRule } from "../../../api/types/resource-v1beta2.ts";
import type { PodGroup } from "../../../api/types/scheduling-v1alpha2.ts";
import { validateDeviceTaintRule } from "../../../api/validation/device-taint-rule.ts";
import { validateLeaseCandidate } from "../../../api/validation/lease-candidate.ts";
import { validateResourcePoolStatusRequest } from "../../../api/validation/resource-pool-status-request.ts";
import { validateMigration, validateMigrationStatus } from "../../../api/validation/storage-migration.ts";
import { validatePodGroup, validatePodGroupUpdate, validateWorkload, validateWorkloadUpdate } from "../../../api/validation/workload.ts";
import { formatTime } from "../../../base/clock.ts";
import type { AnyDefinition } from "../definitions.ts";
import { checked, describe } from "./describe.ts";
import { deviceClassDefinition, resourceClaimDefinition, resourceClaimTemplateDefinition, resourceSliceDefinition } from "./devices.ts";
import { mutatingPolicyBindingDefinition, mutatingPolicyDefinition } from "./extension.ts";
import { ipAddressDefinition, serviceCidrDefinition } from "./networking.ts";
import { otherVersion } from "./other-version.ts";
import { podCertificateRequestDefinition } from "./pod-certificates.ts";
import { volumeAttributesClassDefinition } from "./storage.ts";
import { trustBundleDefinition } from "./trust-bundles.ts";

const leaseCandidateDefinition = describe(optional.leasecandidatesV1beta1, {
  validateName: isConfigMapKey,
  ...checked(validateLeaseCandidate),
  allowUnconditionalUpdate: false,
  table: {
    columns: [
      nameColumn,
      column("LeaseName", "LeaseName is the name of the lease for which this candidate is contending. This field is immutable."),
      column("BinaryVersion", ""),
      column("EmulationVersion", ""),
      ageColumn,
    ],
    cells: (candidate, nowMs) => {
      const { leaseName, binaryVersion, emulationVersion = "" } = candidate.spec;
      return [candidate.metadata.name, leaseName, binaryVersion, emulationVersion, age(candidate, nowMs)];
    },
  },
});

const deviceTaintRuleDefinition = describe<DeviceTaintRule>(optional.devicetaintrulesV1beta2, {
  create: {
    prepare: ({ status: _, ...rule }, { nowMs }) => {
      const { taint } = rule.spec;
      return taint && !taint.timeAdded ? { ...rule, spec: { ...rule.spec, taint: { ...taint, timeAdded: formatTime(nowMs) } } } : rule;
    },
    validate: (rule) => validateDeviceTaintRule(rule),
  },
  update: { validate: validateDeviceTaintRule },
  tablelessStatus: true,
  deletionReturnsObject: true,
  countsGeneration: true,
  table: {
    columns: [
      nameColumn,
      column("Key", "The key of the taint."),
      column("Value", "The value of the taint."),
      column("Effect", "What the taint does to pods that do not tolerate it."),
      column("TimeAdded", "Since when the taint holds."),
      ageColumn,
    ],
    cells: (rule, nowMs) => {
      const { key, value = "", effect, timeAdded } = rule.spec.taint;
      return [rule.metadata.name, key, value, effect, timeAdded ? since(timeAdded, nowMs) : "", age(rule, nowMs)];
    },
  },
});

const isTrue = (status: string): boolean => status === "True";

const migrationDefinition = describe(optional.storageversionmigrationsV1beta1, {
  ...checked(validateMigration),
  status: { validate: validateMigrationStatus },
  countsGeneration: false,
  table: {
    columns: [{ ...nameColumn, format: "" }, column("Resource", "GroupResource to migrate"), column("Status", "Status of the migration")],
    cells: ({ metadata, spec, status }) => {
      const { group, resource } = spec.resource;
      const state = (status?.conditions ?? [])
        .filter((c) => isTrue(c.status) && ["Running", "Failed", "Succeeded"].includes(c.type))
        .at(-1);
      return [metadata.name, group ? `${resource}.${group}` : resource, state?.type ?? "Unknown"];
    },
  },
});

/** What is behind gates that are off, and how it is written where it is not there. */
const gatedRules = {
  disruptionMode: undefined,
  priorityClassName: undefined,
  priority: undefined,
  resourceClaims: undefined,
  schedulingConstraints: null,
} as const;

/** A template of groups without that. */
const withoutGatedRules = <T extends object>(rules: T): T => without(rules, gatedRules);

function without<T extends object>(rules: T, gated: Readonly<Record<string, null | undefined>>): T {
  const kept = { ...rules } as Record<string, unknown>;
  let changed = false;
  for (const [field, absent] of Object.entries(gated)) {
    if (kept[field] === undefined || kept[field] === null) continue;
    changed = true;
    if (absent === undefined) delete kept[field];
    else kept[field] = absent;
  }
  return changed ? (kept as T) : rules;
}

const workloadDefinition = describe(optional.workloadsV1alpha2, {
  withoutGated: (workload) => change(workload, "spec", (spec) => changeEach(spec, "podGroupTemplates", withoutGatedRules)),
  create: { validate: validateWorkload },
  update: { validate: validateWorkloadUpdate },
  table: { columns: [nameColumn, ageColumn], cells: (workload, nowMs) => [workload.metadata.name, age(workload, nowMs)] },
});

const gatedRulesOfGroups = { ...gatedRules, schedulingConstraints: undefined };

/** Upstream takes the mode away and fills in the default when it reads what it has stored. */
const withMode = (spec: PodGroup["spec"]): PodGroup["spec"] => fill(spec, { disruptionMode: "Pod" });

const podGroupDefinition = describe(optional.podgroupsV1alpha2, {
  defaults: (group) => change(group, "spec", withMode),
  withoutGated: (group) => change(group, "spec", (spec) => withMode(without(spec, gatedRulesOfGroups))),
  create: { validate: validatePodGroup },
  update: { validate: validatePodGroupUpdate },
  countsGeneration: false,
  tablelessStatus: true,
  table: {
    columns: [
      nameColumn,
      column("Policy", "How the pods of the group are scheduled."),
      column("Workload", "Name of the referenced Workload object"),
      column("Status", "Status of the PodGroup"),
      ageColumn,
    ],
    cells: (group, nowMs) => {
      const condition = (type: string) => group.status?.conditions?.find((c) => c.type === type);
      const scheduled = condition("PodGroupScheduled");
      const placed = scheduled ? (isTrue(scheduled.status) ? "Scheduled" : "Unschedulable") : "Pending";
      return [
        group.metadata.name,
        group.spec.schedulingPolicy.gang ? "Gang" : "Basic",
        group.spec.podGroupTemplateRef?.workload?.workloadName ?? "<none>",
        condition("DisruptionTarget")?.reason ?? placed,
        age(group, nowMs),
      ];
    },
  },
});

const storageVersionDefinition = describe(optional.storageversionsV1alpha1, {
  countsGeneration: false,
  table: {
    columns: [
      nameColumn,
      column("CommonEncodingVersion", "The version that all servers write."),
      column("StorageVersions", "What each server writes."),
      ageColumn,
    ],
    cells: (version, nowMs) => {
      const { commonEncodingVersion = "<unset>", storageVersions = [] } = version.status ?? {};
      const shown = storageVersions
        .slice(0, 3)
        .map((server) => `${server.apiServerID}=${server.encodingVersion}`)
        .join(",");
      const more = storageVersions.length - 3;
      return [version.metadata.name, commonEncodingVersion, more > 0 ? `${shown} + ${more} more...` : shown, age(version, nowMs)];
    },
  },
});

/** The first version does not ask what a missing parameter means. */
const withParamRefDefault = (binding: MutatingAdmissionPolicyBinding): MutatingAdmissionPolicyBinding =>
  change(binding, "spec", (spec) => change(spec, "paramRef", (ref) => fill(ref, { parameterNotFoundAction: "Deny" })));

function deviceVersions(): AnyDefinition[] {
  const described: Readonly<Record<string, AnyDefinition>> = {
    deviceclasses: deviceClassDefinition,
    resourceclaims: resourceClaimDefinition,
    resourceclaimtemplates: resourceClaimTemplateDefinition,
    resourceslices: resourceSliceDefinition,
  };
  const inV1beta1 = (type: ResourceType): AnyDefinition[] => {
    const [base, shape] = [described[type.resource], reshapedDevices[type.resource]];
    return base ? [otherVersion(type, base, shape && { from: shape.fromV1, to: shape.toV1 })] : [];
  };
  const { deviceclassesV1beta2, resourceclaimsV1beta2, resourceclaimtemplatesV1beta2, resourceslicesV1beta2 } = optional;
  return [
    otherVersion(deviceclassesV1beta2, deviceClassDefinition),
    otherVersion(resourceclaimsV1beta2, resourceClaimDefinition),
    otherVersion(resourceclaimtemplatesV1beta2, resourceClaimTemplateDefinition),
    otherVersion(resourceslicesV1beta2, resourceSliceDefinition),
    ...optional.optionalResources.filter(({ group, version }) => group === "resource.k8s.io" && version === "v1beta1").flatMap(inV1beta1),
  ];
}

/** Since when versions are deprecated and when they go, as minor versions, and what to use instead. */
const deprecations: Readonly<Record<string, readonly [deprecated: number, removed: number, instead?: string]>> = {
  "certificates.k8s.io/v1alpha1": [34, 37],
  "networking.k8s.io/v1beta1": [34, 37],
  "storage.k8s.io/v1beta1": [34, 37, "storage.k8s.io/v1"],
  "admissionregistration.k8s.io/v1alpha1": [35, 38],
  "coordination.k8s.io/v1beta1": [36, 39],
  "coordination.k8s.io/v1alpha2": [35, 38],
  "resource.k8s.io/v1beta2": [36, 39],
  "resource.k8s.io/v1beta1": [35, 38],
  "resource.k8s.io/v1alpha3": [36, 39],
};
const notDeprecated = new Set(["resource.k8s.io/v1beta2 DeviceTaintRule", "resource.k8s.io/v1alpha3 ResourcePoolStatusRequest"]);

function withDeprecation(definition: AnyDefinition): AnyDefinition {
  const apiVersion = apiVersionOf(definition.type);
  const { kind } = definition.type;
  const found = deprecations[apiVersion];
  if (!found || notDeprecated.has(`${apiVersion} ${kind}`)) return definition;
  const [deprecated, removed, instead] = found;
  const advice = instead === undefined ? "" : `; use ${instead} ${kind}`;
  return { ...definition, deprecation: `${apiVersion} ${kind} is deprecated in v1.${deprecated}+, unavailable in v1.${removed}+${advice}` };
}

/** One definition for each resource that is off by default. `nowMs` tells the time. */
export function optionalDefinitions(nowMs: () => number): readonly AnyDefinition[] {
  return definitions(nowMs).map(withDeprecation);
}

function definitions(nowMs: () => number): readonly AnyDefinition[] {
  return [
    trustBundleDefinition,
    otherVersion(optional.clustertrustbundlesV1alpha1, trustBundleDefinition),
    podCertificateRequestDefinition(nowMs),
    otherVersion(optional.ipaddressesV1beta1, ipAddressDefinition),
    otherVersion(optional.servicecidrsV1beta1, serviceCidrDefinition),
    otherVersion(optional.volumeattributesclassesV1beta1, volumeAttributesClassDefinition),
    otherVersion(optional.mutatingadmissionpoliciesV1beta1, mutatingPolicyDefinition),
    otherVersion(optional.mutatingadmissionpolicybindingsV1beta1, mutatingPolicyBindingDefinition),
    otherVersion(optional.mutatingadmissionpoliciesV1alpha1, mutatingPolicyDefinition),
    otherVersion(optional.mutatingadmissionpolicybindingsV1alpha1, {
      ...mutatingPolicyBindingDefinition,
      defaults: (binding) => withParamRefDefault(mutatingPolicyBindingDefinition.defaults?.(binding) ?? binding),
    } as AnyDefinition),
    podGroupDefinition,
    workloadDefinition,
    leaseCandidateDefinition,
    otherVersion(optional.leasecandidatesV1alpha2, leaseCandidateDefinition),
    deviceTaintRuleDefinition,
    otherVersion(optional.devicetaintrulesV1alpha3, deviceTaintRuleDefinition),
    ...deviceVersions(),
    describe(optional.resourcepoolstatusrequestsV1alpha3, {
      ...checked(validateResourcePoolStatusRequest),
      defaults: (request) => change(request, "spec", (spec) => fill(spec, { limit: 100 })),
      tablelessStatus: true,
      countsGeneration: false,
    }),
    storageVersionDefinition,
    migrationDefinition,
  ];
}
