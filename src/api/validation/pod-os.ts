// The operating system that a pod names: settings of the other one are refused. And user namespaces, which cannot be
// combined with namespaces of the host.
import { type FieldError, forbiddenField, notSupported, required } from "../meta/field-error.ts";
import { sentEmptyOf } from "../meta/sent-empty.ts";
import type { PodSecurityContext, PodSpec, SecurityContext } from "../types/core-v1.ts";
import { eachContainer, type PodAllowances } from "./pod-rules.ts";

export function validateOS(errors: FieldError[], field: string, spec: PodSpec): void {
  const name: string | undefined = spec.os?.name;
  if (spec.os === undefined) return;
  if (!name) errors.push(required(`${field}.os.name`));
  else if (name === "linux") validateLinux(errors, field, spec);
  else if (name === "windows") validateWindows(errors, field, spec);
  else errors.push(notSupported(`${field}.os`, name, ["linux", "windows"]));
}

function validateLinux(errors: FieldError[], field: string, spec: PodSpec): void {
  const text = "windows options cannot be set for a linux pod";
  if (spec.securityContext?.windowsOptions) errors.push(forbiddenField(`${field}.securityContext.windowsOptions`, text));
  eachContainer(spec, field, ({ securityContext }, path) => {
    if (securityContext?.windowsOptions) errors.push(forbiddenField(`${path}.securityContext.windowsOptions`, text));
  });
}

/** Linux settings of a pod, in upstream's order: of its spec, and of its security context. */
const linuxPodFields: readonly (
  | keyof PodSecurityContext
  | "spec.hostUsers"
  | "spec.hostPID"
  | "spec.hostIPC"
  | "spec.shareProcessNamespace"
)[] = [
  "appArmorProfile",
  "seLinuxOptions",
  "spec.hostUsers",
  "spec.hostPID",
  "spec.hostIPC",
  "seccompProfile",
  "fsGroup",
  "fsGroupChangePolicy",
  "sysctls",
  "spec.shareProcessNamespace",
  "runAsUser",
  "runAsGroup",
  "supplementalGroups",
  "supplementalGroupsPolicy",
  "seLinuxChangePolicy",
];

const linuxContainerFields: readonly (keyof SecurityContext)[] = [
  "appArmorProfile",
  "seLinuxOptions",
  "seccompProfile",
  "capabilities",
  "readOnlyRootFilesystem",
  "privileged",
  "allowPrivilegeEscalation",
  "procMount",
  "runAsUser",
  "runAsGroup",
];

function validateWindows(errors: FieldError[], field: string, spec: PodSpec): void {
  const text = "cannot be set for a windows pod";
  const { hostUsers, hostPID, hostIPC, shareProcessNamespace, securityContext = {} } = spec;
  const ofSpec: Readonly<Record<string, boolean>> = {
    "spec.hostUsers": hostUsers !== undefined,
    "spec.hostPID": hostPID === true,
    "spec.hostIPC": hostIPC === true,
    "spec.shareProcessNamespace": shareProcessNamespace !== undefined,
  };
  const context: Readonly<Record<string, unknown>> = {
    ...securityContext,
    sysctls: securityContext.sysctls?.[0],
    supplementalGroups: securityContext.supplementalGroups ?? sentEmptyOf(securityContext, "supplementalGroups"),
  };
  for (const name of linuxPodFields) {
    if (ofSpec[name]) errors.push(forbiddenField(`${field}${name.slice("spec".length)}`, text));
    else if (context[name] !== undefined) errors.push(forbiddenField(`${field}.securityContext.${name}`, text));
  }
  eachContainer(spec, field, (container, path) => {
    for (const name of linuxContainerFields)
      if (container.securityContext?.[name] !== undefined) errors.push(forbiddenField(`${path}.securityContext.${name}`, text));
  });
}

/** A pod with users of its own keeps out of the host's namespaces. */
export function validateHostUsers(errors: FieldError[], field: string, spec: PodSpec, allows: PodAllowances | undefined): void {
  if (spec.hostUsers !== false) return;
  const text = "when `hostUsers` is false";
  if (spec.hostNetwork) errors.push(forbiddenField(`${field}.hostNetwork`, text));
  if (spec.hostPID) errors.push(forbiddenField(`${field}.HostPID`, text));
  if (spec.hostIPC) errors.push(forbiddenField(`${field}.HostIPC`, text));
  if (allows?.hostUsersFalseWithDevices) return;
  eachContainer(spec, field, ({ volumeDevices = [] }, path) => {
    if (volumeDevices.length > 0) errors.push(forbiddenField(`${path}.volumeDevices`, text));
  });
}
