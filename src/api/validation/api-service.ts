// API services: a version of an API group, and the service that serves it unless this server does.
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import { isDNS1035Label, isDNS1123Subdomain, isPathSegmentName, isPortNumber } from "../meta/names.ts";
import type { APIService, APIServiceSpec } from "../types/apiregistration-v1.ts";
import { addProblems, checkPresent, checkSupported } from "./rules.ts";

/** A service is named by its version and group, and so no name can be made for it. */
export function apiServiceName(name: string, _prefix: boolean, { spec }: APIService): readonly string[] {
  const problems = isPathSegmentName(name);
  const wanted = `${spec?.version ?? ""}.${spec?.group ?? ""}`;
  if (problems.length > 0 || name === wanted) return problems;
  return [`must be \`spec.version+"."+spec.group\`: ${JSON.stringify(wanted)}`];
}

/** An update that changes the group or version makes the name a wrong one. */
export const validateApiServiceName = (service: APIService): FieldError[] => {
  const name = service.metadata.name ?? "";
  return apiServiceName(name, false, service).map((problem) => invalidValue("metadata.name", name, problem));
};

export function validateApiService({ spec }: APIService): FieldError[] {
  const errors: FieldError[] = [];
  const { group = "", version = "", groupPriorityMinimum: groupPriority = 0, versionPriority = 0 } = spec ?? {};
  if (group === "" && version !== "v1") errors.push(required("spec.group", "only v1 may have an empty group and it better be legacy kube"));
  if (group !== "") addProblems(errors, "spec.group", group, isDNS1123Subdomain(group));
  addProblems(errors, "spec.version", version, isDNS1035Label(version));
  if (groupPriority <= 0 || groupPriority > 20_000)
    errors.push(invalidValue("spec.groupPriorityMinimum", groupPriority, "must be positive and less than 20000"));
  if (versionPriority <= 0 || versionPriority > 1000)
    errors.push(invalidValue("spec.versionPriority", versionPriority, "must be positive and less than 1000"));
  if (spec) validateEndpoint(errors, spec);
  return errors;
}

function validateEndpoint(errors: FieldError[], { service, caBundle = "", insecureSkipTLSVerify: insecure }: APIServiceSpec): void {
  if (!service) {
    if (caBundle !== "") {
      const size = `${Buffer.from(caBundle, "base64").length} bytes`;
      errors.push(invalidValue("spec.caBundle", size, "local APIServices may not have a caBundle"));
    }
    if (insecure) errors.push(invalidValue("spec.insecureSkipTLSVerify", insecure, "local APIServices may not have insecureSkipTLSVerify"));
    return;
  }
  checkPresent(errors, "spec.service.namespace", service.namespace);
  checkPresent(errors, "spec.service.name", service.name);
  const problems = isPortNumber(service.port ?? 0);
  if (problems.length > 0) errors.push(invalidValue("spec.service.port", service.port ?? 0, `port is not valid: ${problems.join(", ")}`));
  if (insecure && caBundle !== "")
    errors.push(invalidValue("spec.insecureSkipTLSVerify", insecure, "may not be true if caBundle is present"));
}

export function validateApiServiceStatus({ status }: APIService): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, condition] of (status?.conditions ?? []).entries())
    checkSupported(errors, `status.conditions[${i}].status`, condition.status, ["True", "False", "Unknown"]);
  return errors;
}
