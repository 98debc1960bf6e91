// Validation of ingresses and ingress classes.
import { type FieldError, forbiddenField, invalidValue, notSupported, required, tooLong } from "../meta/field-error.ts";
import { parseIP } from "../meta/ip.ts";
import {
  byteLength,
  isDNS1123Label,
  isDNS1123Subdomain,
  isPathSegmentName,
  isPortName,
  isPortNumber,
  isWildcardSubdomain,
} from "../meta/names.ts";
import type { TypedLocalObjectReference } from "../types/core-v1.ts";
import type {
  HTTPIngressPath,
  Ingress,
  IngressBackend,
  IngressClass,
  IngressClassParametersReference,
  IngressRule,
  IngressTLS,
} from "../types/networking-v1.ts";
import { checkDomainPrefixedPath, checkIngressPoint } from "./addresses.ts";
import { addProblems, checkImmutable, checkName } from "./rules.ts";

const classAnnotation = "kubernetes.io/ingress.class";

export function validateIngress(ingress: Ingress, old?: Ingress): FieldError[] {
  const errors: FieldError[] = [];
  const { rules, tls = [], defaultBackend, ingressClassName } = ingress.spec ?? {};
  if ((rules ?? []).length === 0 && !defaultBackend)
    errors.push(invalidValue("spec", rules ?? null, "either `defaultBackend` or `rules` must be specified"));
  if (defaultBackend) validateBackend(errors, "spec.defaultBackend", defaultBackend);
  const allowWildcardRules = hasInvalidWildcardRule(old);
  for (const [i, rule] of (rules ?? []).entries()) validateRule(errors, `spec.rules[${i}]`, rule, allowWildcardRules);
  const allowSecretNames = (old?.spec?.tls ?? []).some((entry) => !hasValidSecretName(entry));
  for (const [i, entry] of tls.entries()) validateTLS(errors, `spec.tls[${i}]`, entry, allowSecretNames);
  if (ingressClassName !== undefined) addProblems(errors, "spec.ingressClassName", ingressClassName, isDNS1123Subdomain(ingressClassName));
  const annotated = ingress.metadata.annotations?.[classAnnotation];
  if (!old && annotated !== undefined && ingressClassName !== undefined && annotated !== ingressClassName)
    errors.push(invalidValue(`annotations.${classAnnotation}`, annotated, "must match `ingressClassName` when both are specified"));
  return errors;
}

export function validateIngressStatus({ status }: Ingress, old: Ingress): FieldError[] {
  const errors: FieldError[] = [];
  const existing = (old.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
  for (const [i, point] of (status?.loadBalancer?.ingress ?? []).entries())
    checkIngressPoint(errors, `status.loadBalancer.ingress[${i}]`, point, existing);
  return errors;
}

/** Rules of hosts with a wildcard were not looked at in old versions. */
const hasInvalidWildcardRule = (old: Ingress | undefined): boolean =>
  (old?.spec?.rules ?? []).some(({ host = "", http }) => {
    const errors: FieldError[] = [];
    if (host.includes("*") && http) validatePaths(errors, "", http.paths);
    return errors.length > 0;
  });

const hasValidSecretName = ({ secretName }: IngressTLS): boolean => !secretName || isDNS1123Subdomain(secretName).length === 0;

function validateTLS(errors: FieldError[], field: string, { hosts = [], secretName }: IngressTLS, allowSecretNames: boolean): void {
  for (const [i, host] of hosts.entries())
    addProblems(errors, `${field}.hosts[${i}]`, host, host.includes("*") ? isWildcardSubdomain(host) : isDNS1123Subdomain(host));
  if (secretName && !allowSecretNames) addProblems(errors, `${field}.secretName`, secretName, isDNS1123Subdomain(secretName));
}

function validateRule(errors: FieldError[], field: string, { host = "", http }: IngressRule, allowWildcardRules: boolean): void {
  const wildcard = host.includes("*");
  if (host !== "") {
    if (parseIP(host)) errors.push(invalidValue(`${field}.host`, host, "must be a DNS name, not an IP address"));
    addProblems(errors, `${field}.host`, host, wildcard ? isWildcardSubdomain(host) : isDNS1123Subdomain(host));
  }
  if (http && !(wildcard && allowWildcardRules)) validatePaths(errors, `${field}.http`, http.paths);
}

function validatePaths(errors: FieldError[], field: string, paths: readonly HTTPIngressPath[] | null): void {
  if ((paths ?? []).length === 0) errors.push(required(`${field}.paths`));
  for (const [i, path] of (paths ?? []).entries()) validatePath(errors, `${field}.paths[${i}]`, path);
}

const unclean = ["//", "/./", "/../", "%2f", "%2F"];
const uncleanEnds = ["/..", "/."];
const pathTypes = ["Exact", "ImplementationSpecific", "Prefix"];

function validatePath(errors: FieldError[], field: string, { pathType, path = "", backend }: HTTPIngressPath): void {
  // null where it is not given
  if ((pathType ?? undefined) === undefined) {
    errors.push(required(`${field}.pathType`, "pathType must be specified"));
    return;
  }
  const refuse = (detail: string): void => void errors.push(invalidValue(`${field}.path`, path, detail));
  const relative = !path.startsWith("/");
  if (pathType === "Exact" || pathType === "Prefix") {
    if (relative) refuse("must be an absolute path");
    for (const part of unclean) if (path.includes(part)) refuse(`must not contain '${part}'`);
    for (const end of uncleanEnds) if (path.endsWith(end)) refuse(`cannot end with '${end}'`);
  } else if (pathType === "ImplementationSpecific") {
    if (path !== "" && relative) refuse("must be an absolute path");
  } else errors.push(notSupported(`${field}.pathType`, pathType, pathTypes));
  validateBackend(errors, `${field}.backend`, backend);
}

function validateBackend(errors: FieldError[], field: string, { service, resource }: IngressBackend): void {
  if (resource && service) errors.push(invalidValue(field, "", "cannot set both resource and service backends"));
  else if (resource) validateReference(errors, `${field}.resource`, resource);
  else if (service) {
    checkName(errors, `${field}.service.name`, service.name, isDNS1123Label);
    const { name = "", number = 0 } = service.port ?? {};
    if (name !== "" && number !== 0) errors.push(invalidValue(field, "", "cannot set both port name & port number"));
    else if (name !== "") addProblems(errors, `${field}.service.port.name`, name, isPortName(name));
    else if (number !== 0) addProblems(errors, `${field}.service.port.number`, number, isPortNumber(number));
    else errors.push(required(field, "port name or number is required"));
  } else errors.push(invalidValue(field, "", "resource or service backend is required"));
}

function validateReference(errors: FieldError[], field: string, { apiGroup, kind, name }: TypedLocalObjectReference): void {
  if (apiGroup !== undefined && apiGroup !== null) addProblems(errors, `${field}.apiGroup`, apiGroup, isDNS1123Subdomain(apiGroup));
  checkName(errors, `${field}.kind`, kind, isPathSegmentName);
  checkName(errors, `${field}.name`, name, isPathSegmentName);
}

const maxControllerLength = 250;

export function validateIngressClass({ spec }: IngressClass, old?: IngressClass): FieldError[] {
  const errors: FieldError[] = [];
  const { controller = "", parameters } = spec ?? {};
  if (old) checkImmutable(errors, "spec.controller", controller, old.spec?.controller ?? "");
  if (byteLength(controller) > maxControllerLength) errors.push(tooLong("spec.controller", maxControllerLength));
  checkDomainPrefixedPath(errors, "spec.controller", controller);
  if (parameters) validateParameters(errors, "spec.parameters", parameters);
  return errors;
}

function validateParameters(errors: FieldError[], field: string, parameters: IngressClassParametersReference): void {
  validateReference(errors, field, parameters);
  const { scope, namespace } = parameters;
  if (scope === undefined) errors.push(required(`${field}.scope`));
  else if (scope === "Namespace") {
    if (namespace === undefined) errors.push(required(`${field}.namespace`, "`parameters.scope` is set to 'Namespace'"));
    else addProblems(errors, `${field}.namespace`, namespace, isDNS1123Label(namespace));
  } else if (scope !== "Cluster") errors.push(notSupported(`${field}.scope`, scope, ["Cluster", "Namespace"]));
  else if (namespace !== undefined) errors.push(forbiddenField(`${field}.namespace`, "`parameters.scope` is set to 'Cluster'"));
}
