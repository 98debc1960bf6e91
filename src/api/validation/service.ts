// Validation of services: ports, session affinity, addresses outside the cluster, and what each type allows. The rules of
// cluster addresses and their families are in service-addresses.ts.
import { appendAll } from "../../base/append-all.ts";
import { duplicate, type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1123Label, isDNS1123Subdomain, isPortNumber, isQualifiedName } from "../meta/names.ts";
import type { LoadBalancerStatus, Service, ServicePort, ServiceSpec, SessionAffinityConfig } from "../types/core-v1.ts";
import { checkEndpointIP, checkIngressPoint, checkLegacyCIDR, checkLegacyIP, checkPort } from "./addresses.ts";
import { validateLabels } from "./object-meta.ts";
import { addProblems, checkSupported } from "./rules.ts";
import { isHeadless, validateAddressChanges, validateClusterAddresses } from "./service-addresses.ts";

export function validateService(service: Service, old?: Service): FieldError[] {
  const errors: FieldError[] = [];
  const spec = service.spec ?? {};
  if (old) {
    const before = old.spec ?? {};
    validateAddressChanges(errors, spec, before);
    validateClassChange(errors, spec, before);
    if (hasHealthCheck(before) && hasHealthCheck(spec) && before.healthCheckNodePort !== spec.healthCheckNodePort)
      errors.push(forbiddenField("spec.healthCheckNodePort", "field is immutable"));
  }
  validateTopologyAnnotations(errors, service);
  if ((spec.ports ?? []).length === 0 && !isHeadless(spec) && spec.type !== "ExternalName") errors.push(required("spec.ports"));
  validateTypeRules(errors, spec);
  validatePorts(errors, spec);
  if (spec.selector) appendAll(errors, validateLabels(spec.selector, "spec.selector"));
  validateAffinity(errors, spec);
  validateClusterAddresses(errors, spec, old?.spec);
  validateExternalIPs(errors, spec, old?.spec?.externalIPs);
  checkSupported(errors, "spec.type", spec.type, ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], "required");
  validatePortNumbers(errors, spec);
  validateSourceRanges(errors, service, old);
  validateLoadBalancer(errors, spec);
  validateTraffic(errors, spec);
  return errors;
}

/** A status of a service that is no load balancer has nothing to say of one. */
export function validateServiceStatus({ spec, status }: Service, old: Service): FieldError[] {
  const errors: FieldError[] = [];
  validateLoadBalancerStatus(errors, status?.loadBalancer ?? {}, spec?.type, old.status?.loadBalancer);
  return errors;
}

function validateLoadBalancerStatus(
  errors: FieldError[],
  { ingress = [] }: LoadBalancerStatus,
  type: string | undefined,
  old: LoadBalancerStatus | undefined,
): void {
  const field = "status.loadBalancer.ingress";
  if (type !== "LoadBalancer" && ingress.length > 0) {
    errors.push(forbiddenField(field, "may only be used when `spec.type` is 'LoadBalancer'"));
    return;
  }
  const existing = (old?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
  for (const [i, point] of ingress.entries()) {
    const at = `${field}[${i}]`;
    const { ip, ipMode } = point;
    checkIngressPoint(errors, at, point, existing, () => {
      if (ipMode === undefined) {
        if (ip) errors.push(required(`${at}.ipMode`, "must be specified when `ip` is set"));
      } else if (!ip) errors.push(forbiddenField(`${at}.ipMode`, "may not be specified when `ip` is not set"));
      else checkSupported(errors, `${at}.ipMode`, ipMode, ["Proxy", "VIP"]);
    });
  }
}

const oldTopologyKey = "service.kubernetes.io/topology-aware-hints";
const topologyKey = "service.kubernetes.io/topology-mode";

function validateTopologyAnnotations(errors: FieldError[], { metadata: { annotations } }: Service): void {
  const [mode, hints] = [annotations?.[topologyKey], annotations?.[oldTopologyKey]];
  if (mode === undefined || hints === undefined || mode === hints) return;
  errors.push(
    invalidValue(`metadata.annotations[${topologyKey}]`, mode, `must match annotations[${oldTopologyKey}] when both are specified`),
  );
}

function validateTypeRules(errors: FieldError[], spec: ServiceSpec): void {
  const { type } = spec;
  if ((type === "LoadBalancer" || type === "NodePort") && isHeadless(spec))
    errors.push(invalidValue("spec.clusterIPs[0]", "None", `may not be set to 'None' for ${type} services`));
  if (type !== "ExternalName") return;
  const forbid = (field: string): void => void errors.push(forbiddenField(field, "may not be set for ExternalName services"));
  if ((spec.clusterIPs ?? []).length > 0) forbid("spec.clusterIPs");
  if ((spec.ipFamilies ?? []).length > 0) forbid("spec.ipFamilies");
  if (spec.ipFamilyPolicy !== undefined) forbid("spec.ipFamilyPolicy");
  const name = (spec.externalName ?? "").replace(/\.$/, "");
  if (name === "") errors.push(required("spec.externalName"));
  else addProblems(errors, "spec.externalName", name, isDNS1123Subdomain(name));
}

function validatePorts(errors: FieldError[], { ports = [] }: ServiceSpec): void {
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) validatePort(errors, `spec.ports[${i}]`, port, { named: ports.length > 1, names });
}

function validatePort(
  errors: FieldError[],
  field: string,
  port: ServicePort,
  { named, names }: { named: boolean; names: Set<string> },
): void {
  const { name = "", targetPort = 0, appProtocol } = port;
  if (name === "") {
    if (named) errors.push(required(`${field}.name`));
  } else {
    addProblems(errors, `${field}.name`, name, isDNS1123Label(name));
    if (names.has(name)) errors.push(duplicate(`${field}.name`, name));
    names.add(name);
  }
  addProblems(errors, `${field}.port`, port.port, isPortNumber(port.port));
  checkSupported(errors, `${field}.protocol`, port.protocol, ["SCTP", "TCP", "UDP"], "required");
  checkPort(errors, `${field}.targetPort`, targetPort);
  if (appProtocol !== undefined) addProblems(errors, `${field}.appProtocol`, appProtocol, isQualifiedName(appProtocol));
}

const maxAffinitySeconds = 86_400;

function validateAffinity(errors: FieldError[], { sessionAffinity, sessionAffinityConfig: config }: ServiceSpec): void {
  checkSupported(errors, "spec.sessionAffinity", sessionAffinity, ["ClientIP", "None"], "required");
  if (sessionAffinity === "ClientIP") validateClientIP(errors, "spec.sessionAffinityConfig", config);
  else if (sessionAffinity === "None" && config)
    errors.push(forbiddenField("spec.sessionAffinityConfig", "must not be set when session affinity is None"));
}

function validateClientIP(errors: FieldError[], field: string, config: SessionAffinityConfig | undefined): void {
  const why = "when session affinity type is ClientIP";
  const seconds = config?.clientIP?.timeoutSeconds;
  if (!config) errors.push(required(field, why));
  else if (!config.clientIP) errors.push(required(`${field}.clientIP`, why));
  else if (seconds === undefined) errors.push(required(`${field}.clientIP.timeoutSeconds`, why));
  else if (seconds <= 0 || seconds > maxAffinitySeconds)
    errors.push(invalidValue(`${field}.clientIP.timeoutSeconds`, seconds, `must be greater than 0 and less than ${maxAffinitySeconds}`));
}

function validateExternalIPs(errors: FieldError[], { externalIPs = [] }: ServiceSpec, existing: readonly string[] | undefined): void {
  for (const [i, ip] of externalIPs.entries()) {
    const found = errors.length;
    checkLegacyIP(errors, `spec.externalIPs[${i}]`, ip, existing);
    if (errors.length === found) checkEndpointIP(errors, `spec.externalIPs[${i}]`, ip);
  }
}

/** Each port and each node port once per protocol; node ports only where the type has them. */
function validatePortNumbers(errors: FieldError[], { type, ports = [] }: ServiceSpec): void {
  if (type === "ClusterIP")
    for (const [i, { nodePort }] of ports.entries())
      if (nodePort) errors.push(forbiddenField(`spec.ports[${i}].nodePort`, "may not be used when `type` is 'ClusterIP'"));
  const nodePorts = new Set<string>();
  for (const [i, { protocol, nodePort }] of ports.entries()) {
    if (!nodePort) continue;
    const key = `${protocol}/${nodePort}`;
    if (nodePorts.has(key)) errors.push(duplicate(`spec.ports[${i}].nodePort`, nodePort));
    nodePorts.add(key);
  }
  const numbers = new Set<string>();
  for (const [i, { protocol, port }] of ports.entries()) {
    const key = `${protocol}/${port}`;
    // Upstream shows its internal type, with nothing but what makes it a duplicate.
    const shown = { Name: "", Protocol: protocol ?? "", AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 };
    if (numbers.has(key)) errors.push(duplicate(`spec.ports[${i}]`, shown));
    numbers.add(key);
  }
}

const sourceRangesKey = "service.beta.kubernetes.io/load-balancer-source-ranges";
const loadBalancerOnly = "may only be used when `type` is 'LoadBalancer'";

/** From whom a load balancer takes traffic: a list, or an old annotation. Blanks around the ranges have always been let pass. */
function validateSourceRanges(errors: FieldError[], { spec = {}, metadata }: Service, old: Service | undefined): void {
  const ranges = spec.loadBalancerSourceRanges ?? [];
  const text = metadata.annotations?.[sourceRangesKey];
  const isLoadBalancer = spec.type === "LoadBalancer";
  if (ranges.length > 0) {
    const field = "spec.LoadBalancerSourceRanges";
    if (!isLoadBalancer) errors.push(forbiddenField(field, loadBalancerOnly));
    const existing = (old?.spec?.loadBalancerSourceRanges ?? []).map((range) => range.trim());
    for (const [i, range] of ranges.entries()) checkLegacyCIDR(errors, `${field}[${i}]`, range.trim(), existing);
  } else if (text !== undefined) {
    const field = `metadata.annotations[${sourceRangesKey}]`;
    if (!isLoadBalancer) errors.push(forbiddenField(field, loadBalancerOnly));
    if (text.trim() === "" || old?.metadata.annotations?.[sourceRangesKey] === text) return;
    for (const range of text.trim().split(",")) checkLegacyCIDR(errors, field, range.trim());
  }
}

function validateLoadBalancer(errors: FieldError[], spec: ServiceSpec): void {
  const isLoadBalancer = spec.type === "LoadBalancer";
  const { allocateLoadBalancerNodePorts: allocates, loadBalancerClass } = spec;
  if (allocates !== undefined && !isLoadBalancer) errors.push(forbiddenField("spec.allocateLoadBalancerNodePorts", loadBalancerOnly));
  if (allocates === undefined && isLoadBalancer) errors.push(required("allocateLoadBalancerNodePorts"));
  if (loadBalancerClass === undefined) return;
  if (isLoadBalancer) addProblems(errors, "spec.loadBalancerClass", loadBalancerClass, isQualifiedName(loadBalancerClass));
  else errors.push(forbiddenField("spec.loadBalancerClass", loadBalancerOnly));
}

function validateClassChange(errors: FieldError[], spec: ServiceSpec, before: ServiceSpec): void {
  if (spec.type === "LoadBalancer" && before.type === "LoadBalancer" && spec.loadBalancerClass !== before.loadBalancerClass)
    errors.push(invalidValue("spec.loadBalancerClass", spec.loadBalancerClass ?? null, "may not change once set"));
  // The class itself is looked at here and again with the rest.
  const { loadBalancerClass } = spec;
  if (loadBalancerClass === undefined) return;
  if (spec.type === "LoadBalancer") addProblems(errors, "spec.loadBalancerClass", loadBalancerClass, isQualifiedName(loadBalancerClass));
  else errors.push(forbiddenField("spec.loadBalancerClass", loadBalancerOnly));
}

const hasHealthCheck = (spec: ServiceSpec): boolean => spec.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local";

function isExternallyAccessible({ type, externalIPs = [] }: ServiceSpec): boolean {
  return type === "LoadBalancer" || type === "NodePort" || (type === "ClusterIP" && externalIPs.length > 0);
}

const trafficDistributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];

function validateTraffic(errors: FieldError[], spec: ServiceSpec): void {
  const { externalTrafficPolicy: external = "", internalTrafficPolicy: internal, healthCheckNodePort: port = 0 } = spec;
  if (isExternallyAccessible(spec)) checkSupported(errors, "spec.externalTrafficPolicy", external, ["Cluster", "Local"], "required");
  else if (external !== "")
    errors.push(invalidValue("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services"));
  if (!hasHealthCheck(spec)) {
    const why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    if (port !== 0) errors.push(invalidValue("spec.healthCheckNodePort", port, why));
  } else if (port === 0) errors.push(required("spec.healthCheckNodePort"));
  else addProblems(errors, "spec.healthCheckNodePort", port, isPortNumber(port));
  if (internal !== undefined) checkSupported(errors, "spec.internalTrafficPolicy", internal, ["Cluster", "Local"]);
  else if (spec.type === "NodePort" || spec.type === "LoadBalancer" || spec.type === "ClusterIP")
    errors.push(required("spec.internalTrafficPolicy"));
  const { trafficDistribution } = spec;
  if (trafficDistribution !== undefined && !trafficDistributions.includes(trafficDistribution))
    errors.push(notSupported("spec.trafficDistribution", trafficDistribution, trafficDistributions));
}
