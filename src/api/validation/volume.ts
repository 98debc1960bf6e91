// Volumes of a pod: each has a name of its own and one source. Sources that mounts cannot refer to because they are wrong
// are left out of what is returned, so that a mount of one is reported as well.
import { duplicate, type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import { byteLength, isDNS1123Label } from "../meta/names.ts";
import type { Volume } from "../types/core-v1.ts";
import { subdomainName } from "./object-meta.ts";
import type { PodRules } from "./pod-rules.ts";
import { validateProjectedVolume } from "./projected-volume.ts";
import { addProblems, asName } from "./rules.ts";
import type { VolumesByName } from "./volume-mount.ts";
import * as plugins from "./volume-plugins.ts";
import {
  validateConfigMap,
  validateDownwardAPI,
  validateEphemeral,
  validateHostPath,
  validateImageVolume,
  validateSecret,
} from "./volume-sources.ts";

type Sources = Omit<Volume, "name">;
type SourceName = keyof Sources;

interface SourceRule {
  readonly name: SourceName;
  readonly validate: (errors: FieldError[], field: string, source: never, rules: PodRules) => void;
  /** Where upstream names the field otherwise: for problems of the source, and for being one too many. */
  readonly field?: string;
  readonly surplusField?: string;
}

function rule<N extends SourceName>(
  name: N,
  validate: (errors: FieldError[], field: string, source: NonNullable<Sources[N]>, rules: PodRules) => void,
  fields: Pick<SourceRule, "field" | "surplusField"> = {},
): SourceRule {
  return { name, validate, ...fields };
}

/** In upstream's order: of several sources the first one counts. */
const sourceRules: readonly SourceRule[] = [
  rule("emptyDir", plugins.validateEmptyDir),
  rule("hostPath", validateHostPath),
  rule("gitRepo", plugins.validateGitRepo),
  rule("gcePersistentDisk", plugins.validateGCEPersistentDisk, { field: "persistentDisk" }),
  rule("awsElasticBlockStore", plugins.validateAWSElasticBlockStore),
  rule("secret", validateSecret),
  rule("nfs", plugins.validateNFS),
  rule("iscsi", plugins.validateISCSI),
  rule("glusterfs", plugins.validateGlusterfs),
  rule("flocker", plugins.validateFlocker),
  rule("persistentVolumeClaim", plugins.validateClaimReference),
  rule("rbd", plugins.validateRBD),
  rule("cinder", plugins.validateCinder),
  rule("cephfs", plugins.validateCephFS, { surplusField: "cephFS" }),
  rule("quobyte", plugins.validateQuobyte),
  rule("downwardAPI", validateDownwardAPI, { surplusField: "downwarAPI" }),
  rule("fc", plugins.validateFC),
  rule("flexVolume", plugins.validateFlexVolume),
  rule("configMap", validateConfigMap),
  rule("azureFile", plugins.validateAzureFile),
  rule("vsphereVolume", plugins.validateVsphereVolume),
  rule("photonPersistentDisk", plugins.validatePhotonPersistentDisk),
  rule("portworxVolume", plugins.validatePortworxVolume),
  rule("azureDisk", plugins.validateAzureDisk),
  rule("storageos", plugins.validateStorageOS),
  rule("projected", validateProjectedVolume),
  rule("scaleIO", plugins.validateScaleIO),
  rule("csi", plugins.validateCSI),
  rule("ephemeral", validateEphemeral),
  rule("image", validateImageVolume),
];

/** Adds the problems of volumes; returns the volumes that have none, by name. */
export function validateVolumes(errors: FieldError[], field: string, volumes: readonly Volume[], rules: PodRules): VolumesByName {
  const { podName } = rules;
  const valid = new Map<string, Volume>();
  const ownClaims = podName ? volumes.filter((volume) => volume.ephemeral).map((volume) => `${podName}-${volume.name}`) : [];
  for (let i = 0; i < volumes.length; i++) {
    const volume = volumes[i];
    if (!volume) continue;
    const path = `${field}[${i}]`;
    const before = errors.length;
    validateSources(errors, path, volume, rules);
    if (!volume.name) errors.push(required(`${path}.name`));
    else addProblems(errors, `${path}.name`, volume.name, isDNS1123Label(volume.name));
    if (valid.has(volume.name)) errors.push(duplicate(`${path}.name`, volume.name));
    if (errors.length === before) valid.set(volume.name, volume);
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim !== undefined && ownClaims.includes(claim))
      errors.push(
        invalidValue(
          `${path}.persistentVolumeClaim.claimName`,
          claim,
          "must not reference a PVC that gets created for an ephemeral volume",
        ),
      );
  }
  return valid;
}

function validateSources(errors: FieldError[], path: string, volume: Volume, rules: PodRules): void {
  let found = false;
  for (let i = 0; i < sourceRules.length; i++) {
    const current = sourceRules[i];
    const source = current && volume[current.name];
    if (!current || source === undefined) continue;
    if (found) errors.push(forbiddenField(`${path}.${current.surplusField ?? current.name}`, "may not specify more than 1 volume type"));
    // The rule was made for the source of this name.
    else current.validate(errors, `${path}.${current.field ?? current.name}`, source as never, rules);
    found = true;
    if (current.name === "iscsi") validatePortalLength(errors, path, volume);
    if (current.name === "ephemeral") validateClaimName(errors, path, volume.name, rules.podName);
  }
  if (!found) errors.push(required(path, "must specify a volume type"));
}

function validatePortalLength(errors: FieldError[], path: string, { name, iscsi }: Volume): void {
  if (iscsi?.initiatorName === undefined || byteLength(`${name}:${iscsi.targetPortal ?? ""}`) <= 64) return;
  const problem = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
  errors.push(invalidValue(`${path}.name`, name, problem));
}

/** The claim that will be made for an ephemeral volume must have a valid name. */
function validateClaimName(errors: FieldError[], path: string, volume: string | undefined, pod: string | undefined): void {
  if (!pod || !volume) return;
  const claim = `${pod}-${volume}`;
  for (const problem of asName(subdomainName)(claim))
    errors.push(invalidValue(`${path}.name`, volume, `PVC name ${JSON.stringify(claim)}: ${problem}`));
}
