// Annotations of pods that mean something: mirrors of static pods, the cost of deletion, and the profiles that were set by
// annotation before there were fields for them.
import { type FieldError, forbiddenField, invalidValue } from "../meta/field-error.ts";
import type { AppArmorProfile, PodSpec, SeccompProfile, Toleration } from "../types/core-v1.ts";
import { validateDescendingPath } from "./file-paths.ts";
import { eachContainer, type PodRules } from "./pod-rules.ts";
import { validateTolerations } from "./tolerations.ts";

type Annotations = Readonly<Record<string, string>>;

export const mirrorAnnotation = "kubernetes.io/config.mirror";
export const seccompAnnotation = "seccomp.security.alpha.kubernetes.io/pod";
export const seccompContainerPrefix = "container.seccomp.security.alpha.kubernetes.io/";
export const appArmorPrefix = "container.apparmor.security.beta.kubernetes.io/";
const deletionCost = "controller.kubernetes.io/pod-deletion-cost";
const tolerationsAnnotation = "scheduler.alpha.kubernetes.io/tolerations";

export function validatePodAnnotations(
  errors: FieldError[],
  field: string,
  annotations: Annotations | undefined,
  spec: PodSpec,
  rules: PodRules,
): void {
  if (!annotations) return;
  const mirror = annotations[mirrorAnnotation];
  if (mirror !== undefined && !spec.nodeName)
    errors.push(invalidValue(`${field}[${mirrorAnnotation}]`, mirror, "must set spec.nodeName if mirror pod annotation is set"));
  if (annotations[tolerationsAnnotation]) validateTolerationsText(errors, field, annotations[tolerationsAnnotation], rules);
  if (!rules.allows?.invalidDeletionCost && !hasValidDeletionCost(annotations))
    errors.push(invalidValue(`${field}[${deletionCost}]`, annotations[deletionCost], "must be a 32bit integer"));
  const seccomp = annotations[seccompAnnotation];
  if (seccomp !== undefined) validateSeccompText(errors, `${field}.${seccompAnnotation}`, seccomp);
  for (const key in annotations)
    if (key.startsWith(seccompContainerPrefix)) validateSeccompText(errors, `${field}.${key}`, annotations[key] ?? "");
  for (const key in annotations)
    if (key.startsWith(appArmorPrefix)) validateAppArmorText(errors, `${field}[${key}]`, key, annotations[key] ?? "", spec);
}

export function hasValidDeletionCost(annotations: Annotations | undefined): boolean {
  const cost = annotations?.[deletionCost];
  return cost === undefined || (/^(0|-\d+|[1-9]\d*)$/.test(cost) && Number(cost) === (Number(cost) | 0));
}

function validateTolerationsText(errors: FieldError[], field: string, text: string, { allows }: PodRules): void {
  try {
    const tolerations: unknown = JSON.parse(text);
    // What else is in the list is found out by the rules.
    if (Array.isArray(tolerations))
      validateTolerations(errors, `${field}.${tolerationsAnnotation}`, tolerations as readonly Toleration[], allows);
    else errors.push(invalidValue(field, tolerationsAnnotation, "json: cannot unmarshal into Go value of type []core.Toleration"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    errors.push(invalidValue(field, tolerationsAnnotation, error.message));
  }
}

const seccompTexts = new Set(["runtime/default", "docker/default", "unconfined"]);
const localhostPrefix = "localhost/";

function validateSeccompText(errors: FieldError[], field: string, text: string): void {
  if (seccompTexts.has(text)) return;
  if (text.startsWith(localhostPrefix)) validateDescendingPath(errors, field, text.slice(localhostPrefix.length));
  else errors.push(invalidValue(field, text, "must be a valid seccomp profile"));
}

function validateAppArmorText(errors: FieldError[], field: string, key: string, text: string, spec: PodSpec): void {
  const name = key.slice(appArmorPrefix.length);
  let found = false;
  eachContainer(spec, "", (container) => {
    found ||= container.name === name;
  });
  if (!found) errors.push(invalidValue(field, name, "container not found"));
  if (text !== "" && text !== "runtime/default" && text !== "unconfined" && !text.startsWith(localhostPrefix))
    errors.push(invalidValue(field, text, `invalid AppArmor profile name: ${JSON.stringify(text)}`));
}

/** Profiles that are given by annotation and by field must be the same. */
export function validateProfilesMatch(errors: FieldError[], field: string, annotations: Annotations | undefined, spec: PodSpec): void {
  if (!annotations) return;
  const { seccompProfile, appArmorProfile } = spec.securityContext ?? {};
  if (seccompProfile)
    compareProfile(errors, `${field}.securityContext.seccompProfile`, "seccomp", annotations[seccompAnnotation], seccompProfile);
  eachContainer(spec, field, ({ name, securityContext }, path) => {
    const profile = securityContext?.seccompProfile;
    const text = annotations[seccompContainerPrefix + name];
    if (profile) compareProfile(errors, `${path}.securityContext.seccompProfile`, "seccomp", text, profile);
  });
  const os: string | undefined = spec.os?.name;
  if (os === "windows") return;
  eachContainer(spec, field, ({ name, securityContext }, path) => {
    const profile = securityContext?.appArmorProfile ?? appArmorProfile;
    if (profile) compareProfile(errors, `${path}.securityContext.appArmorProfile`, "apparmor", annotations[appArmorPrefix + name], profile);
  });
}

function compareProfile(
  errors: FieldError[],
  field: string,
  kind: "seccomp" | "apparmor",
  text: string | undefined,
  { type, localhostProfile }: SeccompProfile | AppArmorProfile,
): void {
  if (text === undefined) return;
  const localhost = text.startsWith(localhostPrefix);
  const sameType =
    type === "Unconfined"
      ? text === "unconfined"
      : type === "RuntimeDefault"
        ? text === "runtime/default" || (kind === "seccomp" && text === "docker/default")
        : type !== "Localhost" || localhost;
  if (!sameType) errors.push(forbiddenField(`${field}.type`, `${kind} type in annotation and field must match`));
  else if (type === "Localhost" && text.slice(localhostPrefix.length) !== localhostProfile)
    errors.push(forbiddenField(`${field}.localhostProfile`, `${kind} profile in annotation and field must match`));
}

/** Annotations that describe how a pod was made cannot change while it lives. */
export function validatePodAnnotationsUpdate(
  errors: FieldError[],
  field: string,
  annotations: Annotations = {},
  old: Annotations = {},
): void {
  if (annotations === old) return;
  for (const key in old) {
    if (annotations[key] === old[key]) continue;
    if (key.startsWith(appArmorPrefix)) errors.push(forbiddenField(`${field}[${key}]`, "may not remove or update AppArmor annotations"));
    if (key === mirrorAnnotation) errors.push(forbiddenField(`${field}[${key}]`, "may not remove or update mirror pod annotation"));
  }
  for (const key in annotations) {
    if (key in old) continue;
    if (key.startsWith(appArmorPrefix)) errors.push(forbiddenField(`${field}[${key}]`, "may not add AppArmor annotations"));
    if (key === mirrorAnnotation) errors.push(forbiddenField(`${field}[${key}]`, "may not add mirror pod annotation"));
  }
}
