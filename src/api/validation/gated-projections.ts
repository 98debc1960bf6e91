// Sources of projected volumes that are behind feature gates: trust anchors of a bundle, or of all bundles of a signer that
// labels choose, and a certificate that the kubelet gets for the pod.
import { type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1123Subdomain } from "../meta/names.ts";
import type { ClusterTrustBundleProjection, PodCertificateProjection } from "../types/core-v1.ts";
import { validateVolumeFilePath } from "./file-paths.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { validateSignerName } from "./signer-name.ts";

/** Adds a path and reports one that is there already. */
export type TakePath = (path: string | undefined, shown: string) => void;

const keyTypes = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
const hourSeconds = 3600;
const pathFields = ["credentialBundlePath", "keyPath", "certificateChainPath"] as const;

export const isKubernetesSigner = (name: string): boolean => /^([^/]*\.)?kubernetes\.io\//.test(name);

/** The longest life of a certificate: those of Kubernetes' own signers have a day. */
export const longestSeconds = (signerName: string): number => (isKubernetesSigner(signerName) ? 1 : 91) * 24 * hourSeconds;

export function validateTrustBundleProjection(
  errors: FieldError[],
  field: string,
  source: ClusterTrustBundleProjection,
  take: TakePath,
): void {
  const { name, signerName, labelSelector, path } = source;
  if (name !== undefined && signerName !== undefined)
    errors.push(invalidValue(field, source, "only one of name and signerName may be used"));
  else if (name !== undefined) {
    if (name === "") errors.push(required(`${field}.name`, "must be a valid object name"));
    for (const problem of isDNS1123Subdomain(name.slice(name.lastIndexOf(":") + 1)))
      errors.push(invalidValue(`${field}.name`, name, `not a valid clustertrustbundlename: ${problem}`));
    if (labelSelector)
      errors.push(invalidValue(`${field}.labelSelector`, labelSelector, "labelSelector must be unset if name is specified"));
  } else if (signerName !== undefined) {
    if (signerName === "") errors.push(required(`${field}.signerName`, "must be a valid signer name"));
    validateSignerName(errors, `${field}.signerName`, signerName);
    if (labelSelector) validateLabelSelector(errors, `${field}.labelSelector`, labelSelector);
  } else errors.push(required(field, "either name or signerName must be specified"));
  if (!path) errors.push(required(`${field}.path`));
  validateVolumeFilePath(errors, `${field}.path`, path ?? "");
  take(path, path);
}

export function validatePodCertificateProjection(
  errors: FieldError[],
  field: string,
  source: PodCertificateProjection,
  take: TakePath,
): void {
  const { signerName = "", keyType = "", maxExpirationSeconds: seconds } = source;
  validateSignerName(errors, `${field}.signerName`, signerName);
  if (!keyTypes.includes(keyType)) errors.push(notSupported(`${field}.keyType`, keyType, keyTypes));
  if (seconds !== undefined) {
    const at = `${field}.maxExpirationSeconds`;
    const longest = longestSeconds(signerName);
    if (seconds < hourSeconds) errors.push(invalidValue(at, seconds, `if provided, maxExpirationSeconds must be >= ${hourSeconds}`));
    if (seconds > longest) errors.push(invalidValue(at, seconds, `if provided, maxExpirationSeconds must be <= ${longest}`));
  }
  for (const name of pathFields) {
    const path = source[name];
    if (!path) continue;
    validateVolumeFilePath(errors, `${field}.${name}`, path);
    take(path, path);
  }
  if (!pathFields.some((name) => source[name]))
    errors.push(required(field, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"));
}
