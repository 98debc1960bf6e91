// Validation of persistent volumes. The sources are checked in a fixed order; of several, each but the first is refused.
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1123Label, isDNS1123Subdomain } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import { partWithoutSentEmpty } from "../meta/sent-empty.ts";
import type {
  AzureFilePersistentVolumeSource,
  CSIPersistentVolumeSource,
  GlusterfsPersistentVolumeSource,
  HostPathVolumeSource,
  LocalVolumeSource,
  NodeSelectorTerm,
  PersistentVolume,
  PersistentVolumeSpec,
  SecretReference,
} from "../types/core-v1.ts";
import { validateNodeSelector } from "./affinity.ts";
import { validatePathWithoutBacksteps } from "./file-paths.ts";
import { internalForm, internalText } from "./internal-form.ts";
import { accessModes } from "./persistent-volume-claim-spec.ts";
import { addProblems, checkImmutable, checkName, checkSupported } from "./rules.ts";
import { unifiedDiff } from "./unified-diff.ts";
import {
  validateAWSElasticBlockStore,
  validateAzureDisk,
  validateAzureFile,
  validateCephFS,
  validateCSIDriverName,
  validateFC,
  validateFlexVolume,
  validateFlocker,
  validateGCEPersistentDisk,
  validateGlusterfs,
  validateNFS,
  validatePersistentCinder,
  validatePersistentISCSI,
  validatePersistentStorageOS,
  validatePhotonPersistentDisk,
  validatePortworxVolume,
  validateQuobyte,
  validateRBD,
  validateScaleIO,
  validateVsphereVolume,
} from "./volume-plugins.ts";
import { validateHostPath } from "./volume-sources.ts";

export function validatePersistentVolume({ metadata, spec = {} }: PersistentVolume, old?: PersistentVolume): FieldError[] {
  const errors: FieldError[] = [];
  const name = metadata.name ?? "";
  validateVolumeSpec(errors, "spec", spec, { name });
  validateMountOptions(errors, metadata.annotations, spec);
  if (!old) return errors;
  // Upstream looks at the volume twice on updates, and lists what it finds as often.
  validateVolumeSpec(errors, "spec", spec, { name });
  validateChange(errors, spec, old.spec ?? {});
  return errors;
}

const mountOptionsKey = "volume.beta.kubernetes.io/mount-options";
const mountable = [
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "glusterfs",
  "nfs",
  "rbd",
  "quobyte",
  "iscsi",
  "cinder",
  "cephfs",
  "azureFile",
  "vsphereVolume",
  "azureDisk",
  "photonPersistentDisk",
] as const;

/** Options in the old annotation are for the plugins of its time. */
function validateMountOptions(
  errors: FieldError[],
  annotations: Readonly<Record<string, string>> | undefined,
  spec: PersistentVolumeSpec,
): void {
  if (annotations?.[mountOptionsKey] === undefined || mountable.some((source) => spec[source] !== undefined)) return;
  errors.push(forbiddenField(`metadata.annotations.${mountOptionsKey}`, "may not specify mount options for this volume type"));
}

interface VolumeContext {
  /** Of the volume, or of what it is written in. */
  readonly name: string;
  readonly inline?: boolean;
}

/** The specification of a volume; `inline`: within a volume attachment, where a CSI source is all there may be. */
export function validateVolumeSpec(
  errors: FieldError[],
  field: string,
  spec: PersistentVolumeSpec,
  { name, inline = false }: VolumeContext,
): void {
  const { persistentVolumeReclaimPolicy: policy, nodeAffinity } = spec;
  if (inline) forbidInline(errors, field, spec);
  validateModes(errors, `${field}.accessModes`, spec.accessModes ?? []);
  if (!inline) validateCapacity(errors, `${field}.capacity`, spec);
  if (policy && !inline) checkSupported(errors, `${field}.persistentVolumeReclaimPolicy`, policy, ["Delete", "Recycle", "Retain"]);
  if (policy && inline && policy !== "Retain")
    errors.push(forbiddenField(`${field}.persistentVolumeReclaimPolicy`, `may only be Retain ${inlineOnly}`));
  if (inline && nodeAffinity) errors.push(forbiddenField(`${field}.nodeAffinity`, `may not be specified ${inlineOnly}`));
  if (nodeAffinity && !inline) {
    if (nodeAffinity.required) validateNodeSelector(errors, `${field}.nodeAffinity.required`, nodeAffinity.required);
    else errors.push(required(`${field}.nodeAffinity.required`, "must specify required node constraints"));
  }
  validateSource(errors, field, spec, name);
  if (policy === "Recycle" && isRoot(spec.hostPath))
    errors.push(forbiddenField(`${field}.persistentVolumeReclaimPolicy`, "may not be 'recycle' for a hostPath mount of '/'"));
  validateClasses(errors, field, spec, inline);
}

const inlineOnly = "in the context of inline volumes";

function forbidInline(errors: FieldError[], field: string, spec: PersistentVolumeSpec): void {
  const forbid = (name: string): void => void errors.push(forbiddenField(`${field}.${name}`, `may not be specified ${inlineOnly}`));
  if (spec.claimRef) forbid("claimRef");
  if (Object.keys(spec.capacity ?? {}).length > 0) forbid("capacity");
  if (!spec.csi) errors.push(required(`${field}.csi`, `has to be specified ${inlineOnly}`));
}

function validateModes(errors: FieldError[], field: string, modes: readonly string[]): void {
  if (modes.length === 0) errors.push(required(field));
  for (const mode of modes) checkSupported(errors, field, mode, accessModes);
  if (modes.includes("ReadWriteOncePod") && modes.some((mode) => mode !== "ReadWriteOncePod" && accessModes.includes(mode)))
    errors.push(forbiddenField(field, "may not use ReadWriteOncePod with other access modes"));
}

function validateCapacity(errors: FieldError[], field: string, { capacity }: PersistentVolumeSpec): void {
  const names = Object.keys(capacity ?? {});
  if (names.length === 0) errors.push(required(field));
  if (names.length !== 1 || names[0] !== "storage") errors.push(notSupported(field, capacity ? sorted(capacity) : null, ["storage"]));
  for (const name in capacity) {
    const amount = parseQuantity(capacity[name] ?? 0);
    const at = `${field}[${name}]`;
    if (amount.sign < 0) errors.push(invalidValue(at, amount.value(), "must be a valid resource quantity"));
    if (amount.sign <= 0) errors.push(invalidValue(at, String(amount), "must be greater than zero"));
  }
}

/** Maps are shown in the order of their keys. */
const sorted = (map: Readonly<Record<string, unknown>>): unknown =>
  Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));

type SourceCheck = readonly [
  key: keyof PersistentVolumeSpec,
  check: (errors: FieldError[], field: string, source: never, volume: { readonly name: string }) => void,
  path?: string,
];

/** In upstream's order; the third is the path in messages where it is not the field's name. */
const sources: readonly SourceCheck[] = [
  ["hostPath", validateHostPath],
  ["gcePersistentDisk", validateGCEPersistentDisk, "persistentDisk"],
  ["awsElasticBlockStore", validateAWSElasticBlockStore],
  ["glusterfs", validateGlusterfsVolume],
  ["flocker", validateFlocker],
  ["nfs", validateNFS],
  ["rbd", validateRBD],
  ["quobyte", validateQuobyte],
  ["cephfs", validateCephFS],
  ["iscsi", validatePersistentISCSI],
  ["cinder", validatePersistentCinder],
  ["fc", validateFC],
  ["flexVolume", validateFlexVolume],
  ["azureFile", validateAzureFileVolume],
  ["vsphereVolume", validateVsphereVolume],
  ["photonPersistentDisk", validatePhotonPersistentDisk],
  ["portworxVolume", validatePortworxVolume],
  ["azureDisk", validateAzureDisk],
  ["scaleIO", validateScaleIO],
  ["local", validateLocal],
  ["storageos", validatePersistentStorageOS],
  ["csi", validateCSI],
];

function validateSource(errors: FieldError[], field: string, spec: PersistentVolumeSpec, name: string): void {
  let count = 0;
  for (const [key, check, path = key] of sources) {
    const source = spec[key];
    if (source === undefined) continue;
    count++;
    if (count > 1 && key !== "flexVolume") {
      errors.push(forbiddenField(`${field}.${key === "cephfs" ? "cephFS" : key}`, "may not specify more than 1 volume type"));
      continue;
    }
    check(errors, `${field}.${path}`, source as never, { name }); // of the type that the table's check takes
    if (key === "local" && !spec.nodeAffinity) errors.push(required(`${field}.nodeAffinity`, "Local volume requires node affinity"));
  }
  if (count === 0) errors.push(required(field, "must specify a volume type"));
}

function validateGlusterfsVolume(errors: FieldError[], field: string, source: GlusterfsPersistentVolumeSource): void {
  validateGlusterfs(errors, field, source);
  const { endpointsNamespace: namespace } = source;
  const at = `${field}.endpointsNamespace`;
  if (namespace === "") errors.push(invalidValue(at, "", "if the endpointnamespace is set, it must be a valid namespace name"));
  else if (namespace !== undefined) addProblems(errors, at, namespace, isDNS1123Label(namespace));
}

function validateLocal(errors: FieldError[], field: string, { path }: LocalVolumeSource): void {
  if (!path) errors.push(required(`${field}.path`));
  else validatePathWithoutBacksteps(errors, `${field}.path`, path);
}

function validateCSI(errors: FieldError[], field: string, source: CSIPersistentVolumeSource): void {
  validateCSIDriverName(errors, `${field}.driver`, source.driver);
  if (!source.volumeHandle) errors.push(required(`${field}.volumeHandle`));
  for (const key of ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"] as const)
    validateSecretReference(errors, `${field}.${key}`, source[key]);
}

function validateSecretReference(errors: FieldError[], field: string, reference: SecretReference | undefined): void {
  if (!reference) return;
  checkName(errors, `${field}.name`, reference.name, isDNS1123Subdomain);
  checkName(errors, `${field}.namespace`, reference.namespace, isDNS1123Label);
}

const isRoot = (source: HostPathVolumeSource | undefined): boolean =>
  source?.path.startsWith("/") === true && source.path.split("/").every((part) => part === "" || part === ".");

function validateClasses(errors: FieldError[], field: string, spec: PersistentVolumeSpec, inline: boolean): void {
  const { storageClassName, volumeMode, volumeAttributesClassName } = spec;
  if (storageClassName && inline) errors.push(forbiddenField(`${field}.storageClassName`, `may not be specified ${inlineOnly}`));
  if (storageClassName && !inline) addProblems(errors, `${field}.storageClassName`, storageClassName, isDNS1123Subdomain(storageClassName));
  if (volumeMode !== undefined && !inline) checkSupported(errors, `${field}.volumeMode`, volumeMode, ["Block", "Filesystem"]);
  else if (volumeMode !== undefined && volumeMode !== "Filesystem")
    errors.push(forbiddenField(`${field}.volumeMode`, `may not specify volumeMode other than Filesystem ${inlineOnly}`));
  if (volumeAttributesClassName === undefined || inline) return;
  const at = `${field}.volumeAttributesClassName`;
  if (volumeAttributesClassName === "") errors.push(required(at, "an empty string is disallowed"));
  else addProblems(errors, at, volumeAttributesClassName, isDNS1123Subdomain(volumeAttributesClassName));
  if (!spec.csi) errors.push(required(`${field}.csi`, "has to be specified when using volumeAttributesClassName"));
}

function validateChange(errors: FieldError[], given: PersistentVolumeSpec, old: PersistentVolumeSpec): void {
  const spec = withoutNewExpandSecret(given, old);
  const text = (source: PersistentVolumeSpec): string => internalText("PersistentVolumeSource", source);
  if (text(partWithoutSentEmpty(spec)) !== text(old)) {
    const difference = unifiedDiff(text(old), text(spec));
    const detail = `spec.persistentvolumesource is immutable after creation\n${difference}`;
    errors.push(forbiddenField("spec.persistentvolumesource", detail));
  }
  checkImmutable(errors, "volumeMode", given.volumeMode, old.volumeMode);
  if (
    old.nodeAffinity &&
    !semanticallyEqual(given.nodeAffinity?.required?.nodeSelectorTerms, withNewLabels(old.nodeAffinity, given.nodeAffinity))
  )
    errors.push(
      invalidValue(
        "nodeAffinity",
        given.nodeAffinity ? { Required: internalForm("?NodeSelector", given.nodeAffinity.required) } : null,
        "field is immutable, except for updating from beta label to GA",
      ),
    );
  if (old.volumeAttributesClassName !== undefined && given.volumeAttributesClassName === undefined)
    errors.push(forbiddenField("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"));
}

function validateAzureFileVolume(errors: FieldError[], field: string, source: AzureFilePersistentVolumeSource): void {
  validateAzureFile(errors, field, source);
  if (source.secretNamespace === "") errors.push(required(`${field}.secretNamespace`));
}

/** The secret for growing a volume may be added later. */
function withoutNewExpandSecret(spec: PersistentVolumeSpec, old: PersistentVolumeSpec): PersistentVolumeSpec {
  if (!spec.csi?.controllerExpandSecretRef || !old.csi || old.csi.controllerExpandSecretRef) return spec;
  const { controllerExpandSecretRef: _, ...csi } = spec.csi;
  return { ...spec, csi };
}

const newLabels: Readonly<Record<string, string>> = {
  "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
  "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
  "beta.kubernetes.io/os": "kubernetes.io/os",
  "beta.kubernetes.io/arch": "kubernetes.io/arch",
};

/**
 * The old terms with the labels of the new ones where these are the names that labels have now. Upstream takes the loss of a
 * label's name for such a change too.
 */
function withNewLabels(old: NodeAffinity, given: NodeAffinity): unknown {
  const renamed = (was: Requirements, is: Requirements): unknown =>
    (was ?? []).map((requirement, i) => {
      const key = is?.[i]?.key;
      return key !== undefined && key === (newLabels[requirement.key] ?? "") ? { ...requirement, key } : requirement;
    });
  return (old?.required?.nodeSelectorTerms ?? []).map(({ matchExpressions, matchFields }, i) => {
    const term = given?.required?.nodeSelectorTerms?.[i];
    return { matchExpressions: renamed(matchExpressions, term?.matchExpressions), matchFields: renamed(matchFields, term?.matchFields) };
  });
}

type NodeAffinity = PersistentVolumeSpec["nodeAffinity"];
type Requirements = NodeSelectorTerm["matchExpressions"];
