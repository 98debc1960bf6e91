// The resources that are off by default: versions of kinds that are there in v1, seen through a conversion, and kinds of
// their own. Loaded only where --runtime-config turns some of them on.
import { reshapedDevices } from "../../../api/conversion/devices.ts";
import { defaultResourceClaimTemplateV1beta1, defaultResourceClaimV1beta1, withTimeAdded } from "../../../api/defaults/devices.ts";
import { change, fill } from "../../../api/defaults/fill.ts";
import { age, ageColumn, column, nameColumn, since } from "../../../api/encode/table/columns.ts";
import { isConfigMapKey } from "../../../api/meta/names.ts";
import * as optional from "../../../api/optional-resources.generated.ts";
import { apiVersionOf, type ResourceType } from "../../../api/resource-type.ts";
import type { MutatingAdmissionPolicyBinding } from "../../../api/types/admissionregistration-v1.ts";
import type { DeviceTaintRule } from "../../../api/types/resource-v1beta2.ts";
import { validateDeviceTaintRule, validateDeviceTaintRuleStatus } from "../../../api/validation/device-taint-rule.ts";
import { validateLeaseCandidate } from "../../../api/validation/lease-candidate.ts";
import {
  validateResourcePoolStatus,
  validateResourcePoolStatusRequest,
  validateResourcePoolStatusRequestUpdate,
} from "../../../api/validation/resource-pool-status-request.ts";
import type { WorkloadGates } from "../../../api/validation/workload.ts";
import { formatTime } from "../../../base/clock.ts";
import type { AnyDefinition } from "../definitions.ts";
import { withStatusOf } from "../plain-resource.ts";
import { checked, describe, statusKeepsMetadata, storedAlsoAs, withStatusKeepingMetadata } from "./describe.ts";
import { deviceClassDefinition, resourceClaimDefinition, resourceClaimTemplateDefinition, resourceSliceDefinition } from "./devices.ts";
import { mutatingPolicyBindingDefinition, mutatingPolicyDefinition } from "./extension.ts";
import { ipAddressDefinition, serviceCidrDefinition } from "./networking.ts";
import { otherVersion } from "./other-version.ts";
import { podCertificateRequestDefinition } from "./pod-certificates.ts";
import { podGroupDefinition, workloadDefinition } from "./pod-groups.ts";
import { volumeAttributesClassDefinition } from "./storage.ts";
import { migrationDefinition, storageVersionDefinition } from "./storage-versions.ts";
import { trustBundleDefinition } from "./trust-bundles.ts";

const leaseCandidateDefinition = describe(optional.leasecandidatesV1beta1, {
  validateName: isConfigMapKey,
  ...checked(validateLeaseCandidate),
  allowUnconditionalUpdate: false,
  allowCreateOnUpdate: true,
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

/** A taint holds since it has this effect, unless who changes the effect says otherwise. */
function sinceItsEffect(rule: DeviceTaintRule, { spec: old }: DeviceTaintRule, nowMs: number): DeviceTaintRule {
  const { effect, timeAdded } = rule.spec.taint ?? {};
  if (effect === old.taint.effect || timeAdded !== old.taint.timeAdded) return rule;
  return { ...rule, spec: { ...rule.spec, taint: { ...rule.spec.taint, timeAdded: formatTime(nowMs) } } };
}

const deviceTaintRuleDefinition = describe<DeviceTaintRule>(optional.devicetaintrulesV1beta2, {
  ...storedAlsoAs(optional.devicetaintrulesV1beta2, "v1alpha3"),
  defaults: (rule, nowMs) => change(rule, "spec", (spec) => change(spec, "taint", (taint) => withTimeAdded(taint, nowMs))),
  create: { validate: (rule) => validateDeviceTaintRule(rule) },
  update: {
    prepare: (rule, old, { nowMs }) => sinceItsEffect(withStatusOf(rule, old), old, nowMs),
    validate: validateDeviceTaintRule,
  },
  status: { prepare: withStatusKeepingMetadata, validate: validateDeviceTaintRuleStatus },
  resetFields: statusKeepsMetadata,
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

/** The first version does not ask what a missing parameter means. */
const withParamRefDefault = (binding: MutatingAdmissionPolicyBinding): MutatingAdmissionPolicyBinding =>
  change(binding, "spec", (spec) => change(spec, "paramRef", (ref) => fill(ref, { parameterNotFoundAction: "Deny" })));

function deviceVersions(): AnyDefinition[] {
  const described: Readonly<Record<string, AnyDefinition>> = {
    deviceclasses: deviceClassDefinition,
    resourceclaims: { ...resourceClaimDefinition, defaults: defaultResourceClaimV1beta1 },
    resourceclaimtemplates: { ...resourceClaimTemplateDefinition, defaults: defaultResourceClaimTemplateV1beta1 },
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

export interface OptionalSettings {
  /** Tells the time, in milliseconds since the epoch. */
  readonly nowMs: () => number;
  readonly workloadGates: WorkloadGates;
}

/** One definition for each resource that is off by default. */
export function optionalDefinitions(settings: OptionalSettings): readonly AnyDefinition[] {
  return definitions(settings).map(withDeprecation);
}

function definitions({ nowMs, workloadGates }: OptionalSettings): readonly AnyDefinition[] {
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
    podGroupDefinition(workloadGates) as AnyDefinition,
    workloadDefinition(workloadGates) as AnyDefinition,
    leaseCandidateDefinition,
    otherVersion(optional.leasecandidatesV1alpha2, leaseCandidateDefinition),
    deviceTaintRuleDefinition,
    otherVersion(optional.devicetaintrulesV1alpha3, deviceTaintRuleDefinition),
    ...deviceVersions(),
    describe(optional.resourcepoolstatusrequestsV1alpha3, {
      create: { validate: validateResourcePoolStatusRequest },
      update: { validate: validateResourcePoolStatusRequestUpdate },
      status: { prepare: withStatusKeepingMetadata, validate: validateResourcePoolStatus },
      resetFields: statusKeepsMetadata,
      allowUnconditionalUpdate: false,
      deletionReturnsObject: true,
      defaults: (request) => change(request, "spec", (spec) => fill(spec, { limit: 100 })),
      tablelessStatus: true,
      countsGeneration: false,
    }),
    storageVersionDefinition,
    migrationDefinition,
  ];
}
