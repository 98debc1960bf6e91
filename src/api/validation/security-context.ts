// Security contexts of containers and pods: users and groups, profiles, sysctls, and options that exclude each other.
import { duplicate, type FieldError, forbiddenField, invalidValue, notSupported, required, tooLong } from "../meta/field-error.ts";
import { byteLength, isGroupID, isUserID } from "../meta/names.ts";
import { allowsPrivileged } from "../semantics/privileged-containers.ts";
import type { AppArmorProfile, PodSpec, SeccompProfile, SecurityContext } from "../types/core-v1.ts";
import { validateDescendingPath } from "./file-paths.ts";
import { internalForm } from "./internal-form.ts";
import type { PodAllowances } from "./pod-rules.ts";
import { addProblems, checkSupported } from "./rules.ts";
import { validateWindowsOptions } from "./windows-options.ts";

/** `hostUsers`: the pod shares the node's users. */
export function validateSecurityContext(errors: FieldError[], field: string, context: SecurityContext, hostUsers: boolean): void {
  const { privileged, runAsUser, runAsGroup, procMount } = context;
  if (privileged && !allowsPrivileged()) errors.push(forbiddenField(`${field}.privileged`, "disallowed by cluster policy"));
  if (runAsUser !== undefined) addProblems(errors, `${field}.runAsUser`, runAsUser, isUserID(runAsUser));
  if (runAsGroup !== undefined) addProblems(errors, `${field}.runAsGroup`, runAsGroup, isGroupID(runAsGroup));
  if (procMount !== undefined) {
    checkSupported(errors, `${field}.procMount`, procMount, ["Default", "Unmasked"]);
    if (hostUsers && procMount === "Unmasked")
      errors.push(invalidValue(`${field}.procMount`, procMount, "`hostUsers` must be false to use `Unmasked`"));
  }
  validateSeccompProfile(errors, `${field}.seccompProfile`, context.seccompProfile);
  if (context.allowPrivilegeEscalation === false) validateNoEscalation(errors, field, context);
  validateWindowsOptions(errors, `${field}.windowsOptions`, context.windowsOptions);
  validateAppArmorProfile(errors, `${field}.appArmorProfile`, context.appArmorProfile);
}

function validateNoEscalation(errors: FieldError[], field: string, context: SecurityContext): void {
  const refuse = (what: string): void => {
    errors.push(
      invalidValue(field, internalForm("SecurityContext", context), `cannot set \`allowPrivilegeEscalation\` to false and ${what}`),
    );
  };
  if (context.privileged) refuse("`privileged` to true");
  for (const capability of context.capabilities?.add ?? []) if (capability === "CAP_SYS_ADMIN") refuse("`capabilities.Add` CAP_SYS_ADMIN");
}

const profileTypes = ["Localhost", "RuntimeDefault", "Unconfined"];

function validateSeccompProfile(errors: FieldError[], field: string, profile: SeccompProfile | undefined): void {
  if (!profile) return;
  const { type, localhostProfile: path } = profile;
  if (!type) errors.push(required(`${field}.type`, "type is required when seccompProfile is set"));
  else checkSupported(errors, `${field}.type`, type, profileTypes);
  if (type === "Localhost") {
    if (path === undefined) errors.push(required(`${field}.localhostProfile`, "must be set when seccomp type is Localhost"));
    else validateDescendingPath(errors, `${field}.localhostProfile`, path);
  } else if (path !== undefined)
    errors.push(
      invalidValue(`${field}.localhostProfile`, internalForm("SeccompProfile", profile), "can only be set when seccomp type is Localhost"),
    );
}

const maxPathLength = 4095;

export function validateAppArmorProfile(errors: FieldError[], field: string, profile: AppArmorProfile | undefined): void {
  if (!profile) return;
  const { type, localhostProfile: name } = profile;
  const path = `${field}.localhostProfile`;
  if (!type) errors.push(required(`${field}.type`, "type is required when appArmorProfile is set"));
  else if (type === "Localhost") {
    if (name === undefined || name === "") errors.push(required(path, "must be set when AppArmor type is Localhost"));
    else if (name.trim() !== name) errors.push(invalidValue(path, name, "must not be padded with whitespace"));
    if (byteLength(name ?? "") > maxPathLength) errors.push(tooLong(path, maxPathLength));
  } else if (!profileTypes.includes(type)) errors.push(notSupported(`${field}.type`, type, profileTypes));
  else if (name !== undefined) errors.push(invalidValue(path, name, "can only be set when AppArmor type is Localhost"));
}

/** The pod's own context, and the host namespaces it shares. */
export function validatePodSecurityContext(
  errors: FieldError[],
  specField: string,
  spec: PodSpec,
  allows: PodAllowances | undefined,
): void {
  const field = `${specField}.securityContext`;
  const context = spec.securityContext ?? {};
  const { fsGroup, runAsUser, runAsGroup, fsGroupChangePolicy, supplementalGroupsPolicy, seLinuxChangePolicy, supplementalGroups } =
    context;
  if (fsGroup !== undefined) addProblems(errors, `${field}.fsGroup`, fsGroup, isGroupID(fsGroup));
  if (runAsUser !== undefined) addProblems(errors, `${field}.runAsUser`, runAsUser, isUserID(runAsUser));
  if (runAsGroup !== undefined) addProblems(errors, `${field}.runAsGroup`, runAsGroup, isGroupID(runAsGroup));
  if (supplementalGroups)
    for (const [i, group] of supplementalGroups.entries())
      addProblems(errors, `${field}.supplementalGroups[${i}]`, group, isGroupID(group));
  if (spec.shareProcessNamespace && spec.hostPID)
    errors.push(invalidValue(`${field}.shareProcessNamespace`, true, "ShareProcessNamespace and HostPID cannot both be enabled"));
  if (context.sysctls) validateSysctls(errors, `${field}.sysctls`, spec, allows);
  if (fsGroupChangePolicy !== undefined)
    checkSupported(errors, `${field}.fsGroupChangePolicy`, fsGroupChangePolicy, ["Always", "OnRootMismatch"]);
  validateSeccompProfile(errors, `${field}.seccompProfile`, context.seccompProfile);
  validateWindowsOptions(errors, `${field}.windowsOptions`, context.windowsOptions);
  validateAppArmorProfile(errors, `${field}.appArmorProfile`, context.appArmorProfile);
  if (supplementalGroupsPolicy !== undefined)
    checkSupported(errors, `${field}.supplementalGroupsPolicy`, supplementalGroupsPolicy, ["Merge", "Strict"]);
  if (seLinuxChangePolicy !== undefined) {
    const supported = allows?.seLinuxChangePolicy ? ["MountOption", "Recursive"] : ["Recursive"];
    checkSupported(errors, `${field}.seLinuxChangePolicy`, seLinuxChangePolicy, supported);
  }
}

const sysctlForm = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const sysctlPattern = new RegExp(sysctlForm);
const maxSysctlLength = 253;

function validateSysctls(errors: FieldError[], field: string, spec: PodSpec, allows: PodAllowances | undefined): void {
  const names = new Set<string>();
  for (const [i, { name = "" }] of (spec.securityContext?.sysctls ?? []).entries()) {
    const path = `${field}[${i}].name`;
    if (name === "") errors.push(required(path));
    else if (name.length > maxSysctlLength || !sysctlPattern.test(name))
      errors.push(invalidValue(path, name, `must have at most ${maxSysctlLength} characters and match regex ${sysctlForm}`));
    else if (names.has(name)) errors.push(duplicate(path, name));
    const host = allows?.hostSysctls ? undefined : hostNamespaceOf(name, spec);
    if (host) errors.push(invalidValue(path, name, `may not be specified when '${host}' is true`));
    names.add(name);
  }
}

const ipcSysctls = new Set(["kernel.sem"]);
const ipcPrefixes = ["kernel.shm", "kernel.msg", "fs.mqueue."];

/** The field that shares a namespace with the host which the sysctl would change. */
export function hostNamespaceOf(sysctl: string, { hostNetwork, hostIPC }: PodSpec): "hostNetwork" | "hostIPC" | undefined {
  const name = sysctl.replaceAll("/", ".");
  if (hostNetwork && name.startsWith("net.")) return "hostNetwork";
  return hostIPC && (ipcSysctls.has(name) || ipcPrefixes.some((prefix) => name.startsWith(prefix))) ? "hostIPC" : undefined;
}
