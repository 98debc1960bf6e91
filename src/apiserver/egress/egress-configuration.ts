// EgressSelectorConfiguration: how the server connects to what lies in the cluster (nodes, pods, services), to webhooks at a URL
// (controlplane) and to etcd: directly, or through a proxy by HTTP's CONNECT or konnectivity's GRPC. Checks and texts are upstream's.
import { existsSync } from "node:fs";
import { ConfigError, type ConfigFields, readConfigText } from "../../api/encode/config-fields.ts";
import { duplicate, type FieldError, invalidValue, notSupported, required } from "../../api/meta/field-error.ts";

export type EgressName = "controlplane" | "cluster" | "etcd";

export interface ProxyTransport {
  readonly tcp?: { readonly url: string; readonly tls?: TlsFiles };
  readonly uds?: { readonly name: string };
}

/** Paths. */
export interface TlsFiles {
  readonly caBundle: string;
  readonly clientKey: string;
  readonly clientCert: string;
  readonly serverName: string;
}

export interface EgressSelection {
  readonly name: string;
  readonly protocol: string;
  readonly transport?: ProxyTransport;
}

const names: readonly string[] = ["cluster", "controlplane", "etcd"];
const protocols = ["Direct", "HTTPConnect", "GRPC"];

/** Throws ConfigError. */
export async function readEgressConfiguration(text: string): Promise<readonly EgressSelection[]> {
  const root = await readConfigText(text, "EgressSelectorConfiguration", ["apiserver.k8s.io/v1beta1", "apiserver.k8s.io/v1alpha1"]);
  const selections = root.objects("egressSelections").map(readSelection);
  root.end();
  const errors = [...selections.flatMap(connectionErrors), ...nameErrors(selections)];
  if (errors.length > 0)
    throw new ConfigError(errors.length === 1 ? (errors[0]?.message ?? "") : `[${errors.map((e) => e.message).join(", ")}]`);
  return selections;
}

function readSelection(fields: ConfigFields): EgressSelection {
  const name = fields.text("name") ?? "";
  const connection = fields.object("connection");
  const protocol = connection?.text("proxyProtocol") ?? "";
  const transport = connection?.object("transport");
  const selection = { name: name.toLowerCase(), protocol, ...(transport ? { transport: readTransport(transport) } : {}) };
  connection?.end();
  fields.end();
  return selection;
}

function readTransport(fields: ConfigFields): ProxyTransport {
  const [tcp, uds] = [fields.object("tcp"), fields.object("uds")];
  const tls = tcp?.object("tlsConfig");
  const transport = {
    ...(tcp ? { tcp: { url: tcp.text("url") ?? "", ...(tls ? { tls: readTls(tls) } : {}) } } : {}),
    ...(uds ? { uds: { name: uds.text("udsName") ?? "" } } : {}),
  };
  for (const part of [tcp, uds, fields]) part?.end();
  return transport;
}

function readTls(fields: ConfigFields): TlsFiles {
  const text = (name: string): string => fields.text(name) ?? "";
  const files = {
    caBundle: text("caBundle"),
    clientKey: text("clientKey"),
    clientCert: text("clientCert"),
    serverName: text("tlsServerName"),
  };
  fields.end();
  return files;
}

const at = "service.connection";

function connectionErrors({ protocol, transport }: EgressSelection): FieldError[] {
  switch (protocol) {
    case "Direct":
      return transport ? [invalidValue(`${at}.transport`, "direct", "config must be absent for direct connect")] : [];
    case "HTTPConnect":
      if (!transport) return [required(`${at}.transport`, "transport must be set for HTTPConnect")];
      return transportErrors(transport);
    case "GRPC":
      if (!transport) return [required(`${at}.transport`, "transport must be set for GRPC")];
      return transport.uds ? udsErrors(transport.uds.name) : [required(`${at}.uds`, "UDS must be set with GRPC")];
    default:
      return [notSupported(`${at}.protocol`, protocol, protocols)];
  }
}

function transportErrors({ tcp, uds }: ProxyTransport): FieldError[] {
  if (tcp && uds) return [invalidValue(`${at}.tcp`, tcp, "TCP and UDS cannot both be set")];
  if (uds) return udsErrors(uds.name);
  if (!tcp) return [required(`${at}.tcp`, "One of TCP or UDS must be set")];
  if (tcp.url.startsWith("http://"))
    return tcp.tls ? [invalidValue(`${at}.tlsConfig`, "nil", "config must not be present when using HTTP")] : [];
  if (tcp.url.startsWith("https://")) return tlsErrors(tcp.tls);
  return [invalidValue(`${at}.url`, tcp.url, "supported connection protocols are http:// and https://")];
}

const udsErrors = (name: string): FieldError[] =>
  name === "" ? [invalidValue(`${at}.udsName`, "nil", "must be present for UDS connections")] : [];

function tlsErrors(tls: TlsFiles | undefined): FieldError[] {
  const field = `${at}.tlsConfig`;
  if (!tls) return [required(field, "TLSConfig must be present when using HTTPS")];
  const errors: FieldError[] = [];
  const check = (name: string, path: string, missing: string, what: string): void => {
    if (path === "") {
      if (missing !== "") errors.push(invalidValue(`${field}.${name}`, "nil", missing));
    } else if (!existsSync(path)) errors.push(invalidValue(`${field}.${name}`, path, `TLS ${what} does not exist`));
  };
  check("caBundle", tls.caBundle, "", "config ca bundle");
  check("clientCert", tls.clientCert, "Using TLS requires clientCert", "client cert");
  check("clientKey", tls.clientKey, "Using TLS requires requires clientKey", "client key");
  return errors;
}

function nameErrors(selections: readonly EgressSelection[]): FieldError[] {
  const seen = new Set<string>();
  return selections.flatMap(({ name }, i): FieldError[] => {
    if (seen.has(name)) return [duplicate(`${at}[${i}]`, name)];
    seen.add(name);
    return names.includes(name) ? [] : [notSupported(at, name, names)];
  });
}
