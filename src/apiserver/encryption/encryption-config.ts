// The file of --encryption-provider-config: which resources are encrypted, by which providers. The first provider of a list
// writes, all of them read.

import { type ConfigFields, readConfigText } from "../../api/encode/config-fields.ts";
import { normalizeBase64 } from "../../api/meta/base64.ts";
import { parseDuration } from "../../base/duration.ts";

export type LocalCipher = "aescbc" | "aesgcm" | "secretbox";

export interface NamedKey {
  readonly name: string;
  readonly secret: Uint8Array;
}

export interface KmsConfig {
  readonly name: string;
  /** "unix:///run/kms.sock"; "unix:///@kms" is a socket in the abstract namespace. */
  readonly endpoint: string;
  readonly timeoutMs: number;
}

export type ProviderConfig =
  | { readonly kind: "identity" }
  | { readonly kind: LocalCipher; readonly keys: readonly NamedKey[] }
  | { readonly kind: "kms"; readonly kms: KmsConfig };

export interface ResourceEncryption {
  /** "secrets", "deployments.apps", "*.apps", "*." (the core group), "*.*". */
  readonly resources: readonly string[];
  readonly providers: readonly ProviderConfig[];
}

const keyLengths: Readonly<Record<LocalCipher, readonly number[]>> = { aescbc: [16, 24, 32], aesgcm: [16, 24, 32], secretbox: [32] };
const kinds = ["identity", "aescbc", "aesgcm", "secretbox", "kms"] as const;
const defaultTimeoutMs = 3000;

/** Throws ConfigError; no message repeats a secret. */
export async function parseEncryptionConfig(text: string): Promise<readonly ResourceEncryption[]> {
  const root = await readConfigText(text, "EncryptionConfiguration", ["apiserver.config.k8s.io/v1"]);
  const kmsNames = new Set<string>();
  const parsed = root.objects("resources").map((entry) => parseEntry(entry, kmsNames));
  root.end();
  if (parsed.length === 0) throw root.problem("resources", "expected at least one");
  const seen = new Set<string>();
  for (const resource of parsed.flatMap(({ resources }) => resources)) {
    const masking = [`*.${groupOf(resource)}`, anything].find((name) => seen.has(name));
    if (masking !== undefined)
      throw root.problem("resources", `resource ${JSON.stringify(resource)} is masked by earlier rule ${JSON.stringify(masking)}`);
    seen.add(resource);
  }
  return withRepeatedTogether(parsed);
}

const anything = "*.*";
const groupOf = (name: string): string => (name.includes(".") ? name.slice(name.indexOf(".") + 1) : "");

/** A resource that several entries name has the providers of all of them, in their order. */
function withRepeatedTogether(entries: readonly ResourceEncryption[]): readonly ResourceEncryption[] {
  const names = entries.flatMap(({ resources }) => resources);
  const repeated = new Set(names.filter((name, i) => names.indexOf(name) !== i));
  if (repeated.size === 0) return entries;
  const together = [...repeated].map((name) => ({
    resources: [name],
    providers: entries.flatMap(({ resources, providers }) => (resources.includes(name) ? providers : [])),
  }));
  return [...together, ...entries.map((entry) => ({ ...entry, resources: entry.resources.filter((name) => !repeated.has(name)) }))];
}

function parseEntry(entry: ConfigFields, kmsNames: Set<string>): ResourceEncryption {
  const resources = entry.texts("resources");
  if (resources.length === 0) throw entry.problem("resources", "expected at least one");
  if (new Set(resources).size < resources.length) throw entry.problem("resources", "the same resource cannot be specified multiple times");
  if (resources.some((name) => hasOverlap(name, resources)))
    throw entry.problem(
      "resources",
      "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked",
    );
  for (const name of resources) {
    const problem = nameProblem(name);
    if (problem !== undefined) throw entry.problem("resources", `${JSON.stringify(name)}: ${problem}`);
  }
  const providers = entry.objects("providers").map((fields) => parseProvider(fields, kmsNames));
  if (providers.length === 0) throw entry.problem("providers", "expected at least one");
  entry.end();
  return { resources, providers };
}

/** Whether one that stands for many hides others beside it. */
function hasOverlap(name: string, all: readonly string[]): boolean {
  if (!name.startsWith("*.")) return false;
  return all.some((other) => other !== name && (name === anything || groupOf(other) === groupOf(name)));
}

/** Names of the time before there were resources in the API. */
const internalNames = new Set(["apiserveripinfo", "serviceipallocations", "servicenodeportallocations"]);

function nameProblem(name: string): string | undefined {
  if (name !== name.toLowerCase()) return "resource name should not contain capital letters";
  if (name === "*") return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources";
  // Upstream takes these, for nothing.
  if (name === "" || name.includes("/") || /\*.*\*/.test(name.replace(anything, "")))
    return 'expected "resource", "resource.group", "*.group", "*." or "*.*"';
  if (internalNames.has(name)) return "resources which do not have REST API/s cannot be encrypted";
  const group = groupOf(name);
  if (group === "events.k8s.io") return 'stored as "events", name that instead';
  if (group === "extensions") return "'extensions' group has been removed and cannot be used for encryption";
  if (group === "*" && name !== anything) return "encrypting the same resource across groups is not supported";
  return undefined;
}

function parseProvider(fields: ConfigFields, kmsNames: Set<string>): ProviderConfig {
  const given = kinds.filter((kind) => fields.has(kind));
  const [kind] = given;
  fields.end();
  const body = kind && fields.object(kind);
  if (!kind || !body || given.length > 1) throw fields.problem("", `expected exactly one of ${kinds.join(", ")}`);
  const provider =
    kind === "identity" ? { kind } : kind === "kms" ? { kind, kms: parseKms(body, kmsNames) } : { kind, keys: parseKeys(body, kind) };
  body.end();
  return provider;
}

function parseKeys(fields: ConfigFields, kind: LocalCipher): readonly NamedKey[] {
  const keys = fields.objects("keys").map((key) => {
    const name = key.required("name");
    const canonical = normalizeBase64(key.required("secret"));
    key.end();
    if (canonical === undefined) throw key.problem("secret", "secrets must be base64 encoded");
    const secret = Buffer.from(canonical, "base64");
    if (!keyLengths[kind].includes(secret.length))
      throw key.problem("secret", `expected base64 of ${keyLengths[kind].join(", ")} bytes, found ${secret.length}`);
    return { name, secret };
  });
  if (keys.length === 0) throw fields.problem("keys", "expected at least one");
  return keys;
}

function parseKms(fields: ConfigFields, names: Set<string>): KmsConfig {
  const version = fields.text("apiVersion") ?? "v1";
  if (version === "v1") throw fields.problem("apiVersion", "KMS v1 is deprecated and not served: expected v2, and a plugin that speaks it");
  if (version !== "v2") throw fields.problem("apiVersion", "expected v2");
  const name = fields.required("name");
  if (name.includes(":")) throw fields.problem("name", 'may not contain ":"');
  if (names.has(name)) throw fields.problem("name", `${JSON.stringify(name)} is taken: names of KMS providers are unique`);
  names.add(name);
  const endpoint = fields.required("endpoint");
  if (!/^unix:\/\/\/./.test(endpoint)) throw fields.problem("endpoint", "expected unix:///absolute/path");
  if (fields.has("cachesize")) throw fields.problem("cachesize", "not used with KMS v2");
  const timeout = fields.text("timeout");
  const timeoutMs = timeout === undefined ? defaultTimeoutMs : parseDuration(timeout);
  if (timeoutMs === undefined || timeoutMs <= 0) throw fields.problem("timeout", 'expected a duration such as "3s"');
  return { name, endpoint, timeoutMs };
}

/** The providers of a resource: the first entry that names it; what stands for many comes after what it does not hide. */
export function encryptionOf(config: readonly ResourceEncryption[], group: string, resource: string): ResourceEncryption | undefined {
  const wanted = new Set(["*.*", `*.${group}`, group === "" ? resource : `${resource}.${group}`]);
  return config.find(({ resources }) => resources.some((name) => wanted.has(name)));
}
