// Where a client finds its cluster: kubeconfig files (KUBECONFIG's list, or ~/.kube/config, merged as kubectl merges them:
// the first file that names a thing wins) and, inside a pod, the service account's files. Every complaint names the file
// and the field.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import type { ClientCredentials } from "./client-credentials.ts";
import type { HttpsTransportOptions } from "./https-transport.ts";

/** A context resolved: how to reach the cluster, and the namespace for commands that name none. */
export interface ClusterConnection extends HttpsTransportOptions {
  /** Name of the context; "in-cluster" inside a pod. */
  readonly context: string;
  /** Default "default". */
  readonly namespace: string;
}

export interface KubeconfigOptions {
  /** One file, instead of KUBECONFIG and ~/.kube/config. */
  readonly path?: string;
  /** Default the current context. */
  readonly context?: string;
  /** Default process.env. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** A problem with a kubeconfig; the message names file and field. */
export class KubeconfigError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "KubeconfigError";
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** An entry of clusters, users or contexts, with the file it stands in: relative paths start there. */
interface Entry {
  readonly file: string;
  readonly path: string;
  readonly fields: Fields;
}

/** All files of one configuration, merged. */
export interface Kubeconfig {
  readonly currentContext: string;
  readonly contexts: ReadonlyMap<string, Entry>;
  readonly clusters: ReadonlyMap<string, Entry>;
  readonly users: ReadonlyMap<string, Entry>;
  /** For messages: the files that were looked for. */
  readonly files: readonly string[];
}

/** Reads and merges the kubeconfig files. A file of KUBECONFIG's list that does not exist is skipped, as kubectl does. */
export async function readKubeconfig(options: KubeconfigOptions = {}): Promise<Kubeconfig> {
  const env = options.env ?? process.env;
  const listed = (env.KUBECONFIG ?? "").split(delimiter).filter((file) => file !== "");
  const files = options.path !== undefined ? [options.path] : listed.length > 0 ? listed : [join(env.HOME ?? homedir(), ".kube", "config")];
  const merged = { contexts: new Map<string, Entry>(), clusters: new Map<string, Entry>(), users: new Map<string, Entry>() };
  let currentContext = "";
  for (const file of files) {
    const root = await readConfigFile(file, options.path !== undefined);
    if (!root) continue;
    currentContext ||= text(root, "current-context", file, "") ?? "";
    collect(merged.contexts, root, file, "contexts", "context");
    collect(merged.clusters, root, file, "clusters", "cluster");
    collect(merged.users, root, file, "users", "user");
  }
  return { currentContext, files, ...merged };
}

/** Reads the kubeconfig and resolves one context of it. */
export async function loadKubeconfig(options: KubeconfigOptions = {}): Promise<ClusterConnection> {
  const config = await readKubeconfig(options);
  return resolveContext(config, options.context ?? config.currentContext);
}

/** Resolves a context into a connection, reading the certificates it names. */
export async function resolveContext(config: Kubeconfig, name: string): Promise<ClusterConnection> {
  const where = config.files.join(", ");
  if (name === "") throw new KubeconfigError(`${where}: current-context is not set`);
  const context = config.contexts.get(name);
  if (!context) throw new KubeconfigError(`${where}: context "${name}" does not exist`);
  const cluster = referenced(config.clusters, context, "cluster");
  const server = text(cluster.fields, "server", cluster.file, cluster.path);
  if (!server) throw new KubeconfigError(`${cluster.file}: ${cluster.path}.server is required`);
  const userName = text(context.fields, "user", context.file, context.path);
  const user = userName ? referenced(config.users, context, "user") : undefined;
  if (text(cluster.fields, "proxy-url", cluster.file, cluster.path)) {
    throw new KubeconfigError(`${cluster.file}: ${cluster.path}.proxy-url: proxies are not supported`);
  }
  const caPem = await pem(cluster, "certificate-authority");
  const serverName = text(cluster.fields, "tls-server-name", cluster.file, cluster.path);
  const impersonate = user ? impersonationOf(user) : undefined;
  return {
    context: name,
    namespace: text(context.fields, "namespace", context.file, context.path) || "default",
    server,
    ...(caPem === undefined ? {} : { caPem }),
    ...(serverName ? { serverName } : {}),
    ...(cluster.fields["insecure-skip-tls-verify"] === true ? { insecureSkipVerify: true } : {}),
    credentials: user ? await credentialsOf(user) : { kind: "none" },
    ...(impersonate ? { impersonate } : {}),
  };
}

/** The credentials of a user of the configuration. */
export async function userCredentials(config: Kubeconfig, name: string): Promise<ClientCredentials> {
  const user = config.users.get(name);
  if (!user) throw new KubeconfigError(`${config.files.join(", ")}: user "${name}" does not exist`);
  return credentialsOf(user);
}

/** The user of the current context; undefined where there is none. */
export function currentUser({ currentContext, contexts, users }: Kubeconfig): string | undefined {
  const name = contexts.get(currentContext)?.fields.user;
  return typeof name === "string" && users.has(name) ? name : undefined;
}

const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The connection of a program that runs in a pod; undefined where this is none. */
export async function inClusterConnection(
  options: { readonly env?: Readonly<Record<string, string | undefined>>; readonly folder?: string } = {},
): Promise<ClusterConnection | undefined> {
  const env = options.env ?? process.env;
  const folder = options.folder ?? serviceAccountFolder;
  const host = env.KUBERNETES_SERVICE_HOST;
  const port = env.KUBERNETES_SERVICE_PORT;
  if (!host || !port) return undefined;
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(join(folder, name), "utf8");
    } catch (cause) {
      throw new KubeconfigError(`in-cluster configuration: reading ${join(folder, name)}`, { cause });
    }
  };
  const [caPem, namespace] = await Promise.all([read("ca.crt"), read("namespace")]);
  return {
    context: "in-cluster",
    namespace: namespace.trim() || "default",
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    caPem,
    credentials: { kind: "tokenFile", tokenFile: join(folder, "token") },
  };
}

async function readConfigFile(file: string, mustExist: boolean): Promise<Fields | undefined> {
  let source: string;
  try {
    source = await readFile(file, "utf8");
  } catch (cause) {
    if (!mustExist && (cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new KubeconfigError(`${file}: the kubeconfig cannot be read`, { cause });
  }
  let value: unknown;
  try {
    // Most servers write JSON when asked by a program; the YAML parser is loaded only where it is needed.
    value = source.trimStart().startsWith("{") ? JSON.parse(source) : (await import("../api/encode/yaml-text.ts")).parse(source);
  } catch (cause) {
    throw new KubeconfigError(`${file}: the kubeconfig is neither YAML nor JSON`, { cause });
  }
  if (value === null || value === undefined) return {};
  if (!isFields(value)) throw new KubeconfigError(`${file}: expected an object of kind Config`);
  return value;
}

function collect(into: Map<string, Entry>, root: Fields, file: string, list: string, field: string): void {
  const items = root[list] ?? [];
  if (!Array.isArray(items)) throw new KubeconfigError(`${file}: ${list}: expected a list`);
  items.forEach((item: unknown, index) => {
    const path = `${list}[${index}]`;
    const name = isFields(item) ? item.name : undefined;
    if (!isFields(item) || typeof name !== "string" || name === "") throw new KubeconfigError(`${file}: ${path}.name is required`);
    const fields = item[field] ?? {};
    if (!isFields(fields)) throw new KubeconfigError(`${file}: ${path}.${field}: expected an object`);
    if (!into.has(name)) into.set(name, { file, path: `${path}.${field}`, fields });
  });
}

function referenced(entries: ReadonlyMap<string, Entry>, context: Entry, kind: "cluster" | "user"): Entry {
  const name = text(context.fields, kind, context.file, context.path);
  if (!name) throw new KubeconfigError(`${context.file}: ${context.path}.${kind} is required`);
  const entry = entries.get(name);
  if (!entry) throw new KubeconfigError(`${context.file}: ${context.path}.${kind}: ${kind} "${name}" does not exist`);
  return entry;
}

async function credentialsOf(user: Entry): Promise<ClientCredentials> {
  for (const field of ["exec", "auth-provider"]) {
    if (user.fields[field] !== undefined)
      throw new KubeconfigError(`${user.file}: ${user.path}.${field}: credential plugins are not supported`);
  }
  const get = (field: string): string | undefined => text(user.fields, field, user.file, user.path) || undefined;
  const certPem = await pem(user, "client-certificate");
  const keyPem = await pem(user, "client-key");
  if ((certPem === undefined) !== (keyPem === undefined)) {
    const missing = certPem === undefined ? "client-certificate" : "client-key";
    throw new KubeconfigError(`${user.file}: ${user.path}.${missing} is required with the other half of the pair`);
  }
  const certFile = get("client-certificate");
  const keyFile = get("client-key");
  const inlined = get("client-certificate-data") !== undefined || get("client-key-data") !== undefined;
  if (certFile !== undefined && keyFile !== undefined && !inlined) {
    return { kind: "certificateFiles", certFile: besides(user.file, certFile), keyFile: besides(user.file, keyFile) };
  }
  if (certPem !== undefined && keyPem !== undefined) return { kind: "certificate", certPem, keyPem };
  const tokenFile = get("tokenFile");
  if (tokenFile !== undefined) return { kind: "tokenFile", tokenFile: besides(user.file, tokenFile) };
  const token = get("token");
  if (token !== undefined) return { kind: "token", token };
  const username = get("username");
  if (username !== undefined) return { kind: "basic", username, password: get("password") ?? "" };
  return { kind: "none" };
}

function impersonationOf(user: Entry): NonNullable<HttpsTransportOptions["impersonate"]> | undefined {
  const name = text(user.fields, "as", user.file, user.path);
  if (!name) return undefined;
  const groups = user.fields["as-groups"] ?? [];
  if (!Array.isArray(groups)) throw new KubeconfigError(`${user.file}: ${user.path}.as-groups: expected a list`);
  return { user: name, groups: groups.map(String) };
}

/** The PEM text of `<field>-data` (base64) or of the file that `<field>` names; the data win, as in kubectl. */
async function pem(entry: Entry, field: string): Promise<string | undefined> {
  const data = text(entry.fields, `${field}-data`, entry.file, entry.path);
  const decoded = data ? Buffer.from(data, "base64").toString("utf8") : undefined;
  if (decoded !== undefined) {
    if (!decoded.includes("-----BEGIN ")) throw new KubeconfigError(`${entry.file}: ${entry.path}.${field}-data: expected PEM in base64`);
    return decoded;
  }
  const file = text(entry.fields, field, entry.file, entry.path);
  if (!file) return undefined;
  try {
    return await readFile(besides(entry.file, file), "utf8");
  } catch (cause) {
    throw new KubeconfigError(`${entry.file}: ${entry.path}.${field}: reading ${besides(entry.file, file)}`, { cause });
  }
}

function besides(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path);
}

function text(fields: Fields, field: string, file: string, path: string): string | undefined {
  const value = fields[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new KubeconfigError(`${file}: ${path === "" ? field : `${path}.${field}`}: expected a string`);
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
