// The environment of a container: envFrom first, then env in its order (values may refer to earlier variables and to those
// of services), then the variables that tell of the services of the namespace (and always of default/kubernetes).
import { isStatus } from "../../api/meta/status-error.ts";
import type { ConfigMap, Container, EnvVarSource, Pod, Secret, Service } from "../../api/types/core-v1.ts";
import { type DownwardContext, fieldValue, resourceValue } from "./downward.ts";
import { envFileValue } from "./env-file.ts";
import { expandReferences } from "./expansion.ts";

/** The objects a pod refers to. Both throw StatusError NotFound. */
export interface ReferencedObjects {
  configMap(namespace: string, name: string): Promise<ConfigMap>;
  secret(namespace: string, name: string): Promise<Secret>;
}

export interface EnvironmentContext extends DownwardContext {
  readonly objects: ReferencedObjects;
  readonly services: Iterable<Service>;
  /** The text of a file in a volume of the pod, for fileKeyRef. */
  readonly readVolumeFile: (volume: string, path: string) => Promise<string>;
}

/** Name → value, in the order in which they are declared. */
export async function buildEnvironment(pod: Pod, container: Container, context: EnvironmentContext): Promise<ReadonlyMap<string, string>> {
  const services = serviceVariables(pod, context.services);
  const variables = await fromWholeObjects(pod, container, context);
  for (const variable of container.env ?? []) {
    const lookup = (name: string): string | undefined => variables.get(name) ?? services.get(name);
    const value = variable.value
      ? expandReferences(variable.value, lookup)
      : variable.valueFrom
        ? await resolveSource(pod, container, variable.valueFrom, context)
        : "";
    if (value !== undefined) variables.set(variable.name, value);
  }
  for (const [name, value] of services) if (!variables.has(name)) variables.set(name, value);
  return variables;
}

function decodeBase64(text: string): string {
  return Buffer.from(text, "base64").toString("utf8");
}

async function fromWholeObjects(pod: Pod, container: Container, { objects }: EnvironmentContext): Promise<Map<string, string>> {
  const variables = new Map<string, string>();
  const { namespace } = pod.metadata;
  for (const { prefix = "", configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) {
      const map = await orOptional(configMapRef.optional, () => objects.configMap(namespace, configMapRef.name ?? ""));
      for (const [key, value] of Object.entries(map?.data ?? {})) variables.set(prefix + key, value);
    } else if (secretRef) {
      const secret = await orOptional(secretRef.optional, () => objects.secret(namespace, secretRef.name ?? ""));
      for (const [key, value] of Object.entries(secret?.data ?? {})) variables.set(prefix + key, decodeBase64(value));
    }
  }
  return variables;
}

/** Undefined for an optional source that is missing. */
async function resolveSource(
  pod: Pod,
  container: Container,
  source: EnvVarSource,
  context: EnvironmentContext,
): Promise<string | undefined> {
  const { namespace } = pod.metadata;
  if (source.fieldRef) return fieldValue(pod, source.fieldRef, context);
  if (source.resourceFieldRef) return resourceValue(pod, container, source.resourceFieldRef, context);
  if (source.configMapKeyRef) {
    const { name = "", key, optional } = source.configMapKeyRef;
    const map = await orOptional(optional, () => context.objects.configMap(namespace, name));
    return found(map?.data?.[key], optional, `couldn't find key ${key} in ConfigMap ${namespace}/${name}`);
  }
  if (source.secretKeyRef) {
    const { name = "", key, optional } = source.secretKeyRef;
    const secret = await orOptional(optional, () => context.objects.secret(namespace, name));
    const value = secret?.data?.[key];
    return found(value && decodeBase64(value), optional, `couldn't find key ${key} in Secret ${namespace}/${name}`);
  }
  if (source.fileKeyRef) {
    const { volumeName, path, key, optional } = source.fileKeyRef;
    const value = variableOf(await context.readVolumeFile(volumeName, path), key);
    return found(value === "" ? undefined : value, optional, `environment variable key "${key}" not found in file "${path}"`);
  }
  return "";
}

function found(value: string | undefined, optional: boolean | undefined, message: string): string | undefined {
  if (value === undefined && !optional) throw new Error(message);
  return value;
}

async function orOptional<T>(optional: boolean | undefined, get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (optional && isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

/** What is wrong in the file is not told: it may hold secrets. */
function variableOf(text: string, key: string): string {
  try {
    return envFileValue(text, key);
  } catch {
    throw new Error("couldn't parse env file");
  }
}

function serviceVariables(pod: Pod, services: Iterable<Service>): ReadonlyMap<string, string> {
  const chosen = new Map<string, Service>();
  const links = pod.spec.enableServiceLinks !== false;
  for (const service of services) {
    const { namespace, name } = service.metadata;
    const { clusterIP, ports } = service.spec;
    if (!clusterIP || clusterIP === "None" || !ports?.length) continue;
    if (namespace === pod.metadata.namespace && links) chosen.set(name, service);
    else if (namespace === "default" && name === "kubernetes" && !chosen.has(name)) chosen.set(name, service);
  }
  const variables = new Map<string, string>();
  for (const service of chosen.values()) addService(variables, service);
  return variables;
}

function addService(variables: Map<string, string>, service: Service): void {
  const prefix = variableName(service.metadata.name);
  const address = service.spec.clusterIP ?? "";
  const ports = service.spec.ports ?? [];
  variables.set(`${prefix}_SERVICE_HOST`, address);
  variables.set(`${prefix}_SERVICE_PORT`, String(ports[0]?.port));
  for (const port of ports) if (port.name) variables.set(`${prefix}_SERVICE_PORT_${variableName(port.name)}`, String(port.port));
  const host = address.includes(":") ? `[${address}]` : address;
  ports.forEach((port, index) => {
    const protocol = (port.protocol ?? "TCP").toLowerCase();
    const url = `${protocol}://${host}:${port.port}`;
    const portPrefix = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
    if (index === 0) variables.set(`${prefix}_PORT`, url);
    variables.set(portPrefix, url);
    variables.set(`${portPrefix}_PROTO`, protocol);
    variables.set(`${portPrefix}_PORT`, String(port.port));
    variables.set(`${portPrefix}_ADDR`, address);
  });
}

function variableName(text: string): string {
  return text.replaceAll("-", "_").toUpperCase();
}
