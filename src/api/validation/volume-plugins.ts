// Sources of volumes that storage systems provide: network file systems, block storage, clouds, CSI drivers. Many have been
// served by CSI drivers under their old names for years, or by nothing; their fields are checked as ever.
import { type FieldError, forbiddenField, invalidValue, notSupported, required, tooLong } from "../meta/field-error.ts";
import { byteLength, isDNS1123Label, isDNS1123Subdomain } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import type {
  AWSElasticBlockStoreVolumeSource,
  AzureDiskVolumeSource,
  CinderPersistentVolumeSource,
  CinderVolumeSource,
  CSIVolumeSource,
  EmptyDirVolumeSource,
  FCVolumeSource,
  FlexVolumeSource,
  FlockerVolumeSource,
  GCEPersistentDiskVolumeSource,
  GitRepoVolumeSource,
  ISCSIPersistentVolumeSource,
  ISCSIVolumeSource,
  LocalObjectReference,
  NFSVolumeSource,
  QuobyteVolumeSource,
  SecretReference,
  StorageOSPersistentVolumeSource,
  StorageOSVolumeSource,
} from "../types/core-v1.ts";
import { validateDescendingPath } from "./file-paths.ts";
import { addProblems, checkName, checkSupported } from "./rules.ts";

/** A source of which some fields must be there, and no more is checked. */
const withRequired =
  <K extends string>(...keys: readonly K[]) =>
  (errors: FieldError[], field: string, source: { readonly [P in K]?: string | readonly string[] }): void => {
    for (const key of keys) if ((source[key] ?? "").length === 0) errors.push(required(`${field}.${key}`));
  };

export const validateGlusterfs = withRequired("endpoints", "path");
export const validateClaimReference = withRequired("claimName");
export const validateRBD = withRequired("monitors", "image");
export const validateCephFS = withRequired("monitors");
export const validateAzureFile = withRequired("secretName", "shareName");
export const validateVsphereVolume = withRequired("volumePath");
export const validatePhotonPersistentDisk = withRequired("pdID");
export const validatePortworxVolume = withRequired("volumeID");
export const validateScaleIO = withRequired("gateway", "system", "volumeName");

export function validateEmptyDir(errors: FieldError[], field: string, { sizeLimit }: EmptyDirVolumeSource): void {
  if (sizeLimit !== undefined && parseQuantity(sizeLimit).sign < 0)
    errors.push(forbiddenField(`${field}.sizeLimit`, "SizeLimit field must be a valid resource quantity"));
}

export function validateGitRepo(errors: FieldError[], field: string, { repository, directory }: GitRepoVolumeSource): void {
  if (!repository) errors.push(required(`${field}.repository`));
  validateDescendingPath(errors, `${field}.directory`, directory ?? "");
}

function validatePartition(errors: FieldError[], field: string, partition = 0): void {
  if (partition < 0 || partition > 255) errors.push(invalidValue(`${field}.partition`, partition, "must be between 1 and 255, inclusive"));
}

export function validateGCEPersistentDisk(errors: FieldError[], field: string, { pdName, partition }: GCEPersistentDiskVolumeSource): void {
  if (!pdName) errors.push(required(`${field}.pdName`));
  validatePartition(errors, field, partition);
}

export function validateAWSElasticBlockStore(errors: FieldError[], field: string, source: AWSElasticBlockStoreVolumeSource): void {
  if (!source.volumeID) errors.push(required(`${field}.volumeID`));
  validatePartition(errors, field, source.partition);
}

export function validateNFS(errors: FieldError[], field: string, { server, path = "" }: NFSVolumeSource): void {
  if (!server) errors.push(required(`${field}.server`));
  if (path === "") errors.push(required(`${field}.path`));
  if (!path.startsWith("/")) errors.push(invalidValue(`${field}.path`, path, "must be an absolute path"));
}

const initiatorForms: readonly (readonly [string, RegExp])[] = [
  ["iqn", /iqn\.\d{4}-\d{2}\.([0-9A-Za-z\-.]+)(:[^,;*&$|\s]+)$/],
  ["eui", /^eui.[0-9A-Za-z]{16}$/],
  ["naa", /^naa.[0-9A-Za-z]{32}$/],
];

/** `where`: the messages for volumes of pods say a word more than those for persistent ones. */
function validateInitiator(errors: FieldError[], field: string, name: string, where: "pod" | "persistent"): void {
  const form = initiatorForms.find(([prefix]) => name.startsWith(prefix));
  const prefixes = where === "pod" ? " starting with iqn, eui, or naa" : "";
  if (!form) errors.push(invalidValue(field, name, `must be valid format${prefixes}`));
  else if (!form[1].test(name)) errors.push(invalidValue(field, name, "must be valid format"));
}

function validateLun(errors: FieldError[], field: string, lun: number): void {
  if (lun < 0 || lun > 255) errors.push(invalidValue(`${field}.lun`, lun, "must be between 0 and 255, inclusive"));
}

export function validateISCSI(errors: FieldError[], field: string, source: ISCSIVolumeSource): void {
  if (!source.targetPortal) errors.push(required(`${field}.targetPortal`));
  validateISCSITarget(errors, field, source, "pod");
}

const maxTargetLength = 64;

/** The source of a persistent volume of this name. */
export function validatePersistentISCSI(
  errors: FieldError[],
  field: string,
  source: ISCSIPersistentVolumeSource,
  { name }: { readonly name: string },
): void {
  const { targetPortal = "", initiatorName } = source;
  if (targetPortal === "") errors.push(required(`${field}.targetPortal`));
  const detail = `Total length of <volume name>:<iscsi.targetPortal> must be under ${maxTargetLength} characters if iscsi.initiatorName is specified.`;
  if (initiatorName !== undefined && byteLength(`${name}:${targetPortal}`) > maxTargetLength)
    errors.push(invalidValue(`${field}.targetportal`, targetPortal, detail));
  validateISCSITarget(errors, field, source, "persistent");
}

function validateISCSITarget(
  errors: FieldError[],
  field: string,
  source: ISCSIVolumeSource | ISCSIPersistentVolumeSource,
  where: "pod" | "persistent",
): void {
  const { iqn, lun = 0, chapAuthDiscovery, chapAuthSession, secretRef, initiatorName } = source;
  if (!iqn) errors.push(required(`${field}.iqn`));
  else validateInitiator(errors, `${field}.iqn`, iqn, where);
  validateLun(errors, field, lun);
  if ((chapAuthDiscovery || chapAuthSession) && !secretRef) errors.push(required(`${field}.secretRef`));
  if (where === "persistent") validateSecretReference(errors, field, secretRef);
  if (initiatorName !== undefined) validateInitiator(errors, `${field}.initiatorname`, initiatorName, where);
}

export function validateFC(errors: FieldError[], field: string, { targetWWNs = [], wwids = [], lun }: FCVolumeSource): void {
  const path = `${field}.targetWWNs`;
  if (targetWWNs.length === 0 && wwids.length === 0) errors.push(required(path, "must specify either targetWWNs or wwids, but not both"));
  if (targetWWNs.length === 0) return;
  if (wwids.length > 0) errors.push(invalidValue(path, targetWWNs, "targetWWNs and wwids can not be specified simultaneously"));
  if (lun === undefined) errors.push(required(`${field}.lun`, "lun is required if targetWWNs is specified"));
  else validateLun(errors, field, lun);
}

export function validateFlocker(errors: FieldError[], field: string, { datasetName = "", datasetUUID = "" }: FlockerVolumeSource): void {
  if (datasetName === "" && datasetUUID === "") errors.push(required(field, "one of datasetName and datasetUUID is required"));
  if (datasetName !== "" && datasetUUID !== "")
    errors.push(invalidValue(field, "resource", "datasetName and datasetUUID can not be specified simultaneously"));
  if (datasetName.includes("/")) errors.push(invalidValue(`${field}.datasetName`, datasetName, "must not contain '/'"));
}

export function validateQuobyte(errors: FieldError[], field: string, { registry, tenant = "", volume }: QuobyteVolumeSource): void {
  const addresses = "must be a host:port pair or multiple pairs separated by commas";
  if (!registry) errors.push(required(`${field}.registry`, addresses));
  else if (byteLength(tenant) >= 65)
    errors.push(required(`${field}.tenant`, "must be a UUID and may not exceed a length of 64 characters"));
  else
    for (const pair of registry.split(","))
      if (!/^([^:[\]]*|\[[^[\]]*\]):[^:[\]]*$/.test(pair)) errors.push(invalidValue(`${field}.registry`, registry, addresses));
  if (!volume) errors.push(required(`${field}.volume`));
}

function validateSecretReference(errors: FieldError[], field: string, secret: LocalObjectReference | SecretReference | undefined): void {
  if (secret && !secret.name) errors.push(required(`${field}.secretRef.name`));
}

/** The secret of a persistent volume says where it is. */
function validateSecretOfVolume(errors: FieldError[], field: string, secret: SecretReference | undefined): void {
  validateSecretReference(errors, field, secret);
  if (secret && !secret.namespace) errors.push(required(`${field}.secretRef.namespace`));
}

export function validatePersistentCinder(errors: FieldError[], field: string, { volumeID, secretRef }: CinderPersistentVolumeSource): void {
  if (!volumeID) errors.push(required(`${field}.volumeID`));
  validateSecretOfVolume(errors, field, secretRef);
}

export function validatePersistentStorageOS(errors: FieldError[], field: string, source: StorageOSPersistentVolumeSource): void {
  const { secretRef, ...rest } = source;
  validateStorageOS(errors, field, rest);
  validateSecretOfVolume(errors, field, secretRef);
}

export function validateCinder(errors: FieldError[], field: string, { volumeID, secretRef }: CinderVolumeSource): void {
  if (!volumeID) errors.push(required(`${field}.volumeID`));
  validateSecretReference(errors, field, secretRef);
}

export function validateStorageOS(
  errors: FieldError[],
  field: string,
  { volumeName, volumeNamespace, secretRef }: StorageOSVolumeSource,
): void {
  checkName(errors, `${field}.volumeName`, volumeName, isDNS1123Label);
  if (volumeNamespace) addProblems(errors, `${field}.volumeNamespace`, volumeNamespace, isDNS1123Label(volumeNamespace));
  validateSecretReference(errors, field, secretRef);
}

export function validateFlexVolume(errors: FieldError[], field: string, { driver, options }: FlexVolumeSource): void {
  if (!driver) errors.push(required(`${field}.driver`));
  for (const key in options)
    if (/\.(kubernetes|k8s)\.io$/.test(`.${(key.split("/")[0] ?? "").toLowerCase()}`))
      errors.push(invalidValue(`${field}.options[${key}]`, key, "kubernetes.io and k8s.io namespaces are reserved"));
}

const managedDisk = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
const blobDisk = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";

export function validateAzureDisk(
  errors: FieldError[],
  field: string,
  { diskName, diskURI = "", cachingMode, kind }: AzureDiskVolumeSource,
): void {
  if (!diskName) errors.push(required(`${field}.diskName`));
  if (diskURI === "") errors.push(required(`${field}.diskURI`));
  if (cachingMode !== undefined) checkSupported(errors, `${field}.cachingMode`, cachingMode, ["None", "ReadOnly", "ReadWrite"]);
  if (kind === undefined) return;
  checkSupported(errors, `${field}.kind`, kind, ["Dedicated", "Managed", "Shared"]);
  const [prefix, form] = kind === "Managed" ? ["/subscriptions/", managedDisk] : ["https://", blobDisk];
  if (!diskURI.startsWith(prefix)) errors.push(notSupported(`${field}.diskURI`, diskURI, [form]));
}

/** Names of CSI drivers: at most 63 characters, capitals allowed. */
export function validateCSIDriverName(errors: FieldError[], field: string, name = ""): void {
  if (name === "") errors.push(required(field));
  if (byteLength(name) > 63) errors.push(tooLong(field, 63));
  if (name !== "") addProblems(errors, field, name, isDNS1123Subdomain(name.toLowerCase()));
}

export function validateCSI(errors: FieldError[], field: string, { driver, nodePublishSecretRef: secret }: CSIVolumeSource): void {
  validateCSIDriverName(errors, `${field}.driver`, driver);
  if (!secret) return;
  if (!secret.name) errors.push(required(`${field}.nodePublishSecretRef.name`));
  else addProblems(errors, `${field}.name`, secret.name, isDNS1123Subdomain(secret.name));
}
