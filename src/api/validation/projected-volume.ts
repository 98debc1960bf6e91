// Projected volumes: secrets, config maps, facts about the pod and tokens as files of one directory. No two of them may be
// written to one path. (Trust bundles and pod certificates come here only while their feature gates are on.)
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import type { ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeProjection } from "../types/core-v1.ts";
import { validateFileMode, validateVolumeFilePath } from "./file-paths.ts";
import { type TakePath, validatePodCertificateProjection, validateTrustBundleProjection } from "./gated-projections.ts";
import type { PodRules } from "./pod-rules.ts";
import { validateDownwardFile, validateItem } from "./volume-sources.ts";

const sourceTypes = ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"] as const;

/** Sources in which nothing was found wrong, and by which rules: what pods get for their service account is one object for all. */
const valid = new WeakMap<ProjectedVolumeSource, PodRules>();

export function validateProjectedVolume(errors: FieldError[], field: string, projected: ProjectedVolumeSource, rules: PodRules): void {
  if (valid.get(projected) === rules) return;
  const found: FieldError[] = [];
  addProblems(found, field, projected, rules);
  if (found.length === 0) valid.set(projected, rules);
  else appendAll(errors, found);
}

function addProblems(errors: FieldError[], field: string, { defaultMode, sources }: ProjectedVolumeSource, rules: PodRules): void {
  validateFileMode(errors, `${field}.defaultMode`, defaultMode);
  const paths = new Set<string>();
  const take: TakePath = (path, shown) => {
    if (!path) return;
    if (paths.has(path)) errors.push(invalidValue(field, shown, "conflicting duplicate paths"));
    paths.add(path);
  };
  for (const [i, source] of (sources ?? []).entries()) validateProjection(errors, field, `${field}.sources[${i}]`, source, take, rules);
}

function validateProjection(
  errors: FieldError[],
  volume: string,
  field: string,
  source: VolumeProjection,
  take: TakePath,
  rules: PodRules,
): void {
  const { downwardAPI, serviceAccountToken, clusterTrustBundle, podCertificate } = source;
  for (const type of ["secret", "configMap"] as const) {
    const projection = source[type];
    if (!projection) continue;
    const { name = "", items = [] } = projection;
    if (name === "") errors.push(required(`${field}.${type}.name`));
    for (const [i, item] of items.entries()) {
      validateItem(errors, `${field}.${type}.items[${i}]`, item);
      take(item.path, name);
    }
  }
  for (const file of downwardAPI?.items ?? []) {
    validateDownwardFile(errors, `${field}.downwardAPI`, file);
    take(file.path, file.path);
  }
  if (serviceAccountToken) validateToken(errors, volume, `${field}.serviceAccountToken`, serviceAccountToken, rules);
  if (clusterTrustBundle) validateTrustBundleProjection(errors, `${field}.clusterTrustBundle`, clusterTrustBundle, take);
  if (podCertificate) validatePodCertificateProjection(errors, `${field}.podCertificate`, podCertificate, take);
  if (sourceTypes.filter((type) => source[type]).length > 1)
    errors.push(forbiddenField(field, "may not specify more than 1 volume type per source"));
}

function validateToken(
  errors: FieldError[],
  volume: string,
  field: string,
  token: ServiceAccountTokenProjection,
  { allows }: PodRules,
): void {
  const { expirationSeconds: seconds = 0, path } = token;
  if (seconds < 600) errors.push(invalidValue(`${field}.expirationSeconds`, seconds, "may not specify a duration less than 10 minutes"));
  if (seconds > 2 ** 32)
    errors.push(invalidValue(`${field}.expirationSeconds`, seconds, "may not specify a duration larger than 2^32 seconds"));
  if (!path) errors.push(required(`${volume}.path`));
  else if (!allows?.nonLocalTokenPaths) validateVolumeFilePath(errors, `${volume}.path`, path);
}
