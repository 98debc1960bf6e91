// Reads the kubelet's configuration: the file of --config, then the drop-ins of --config-dir (every *.conf below it, in
// lexical order, each a JSON merge patch on what came before), then the flags. Everything is checked strictly: unknown fields
// and fields given twice are refused with their path, and values by upstream's validation.
import { readdir, readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { ConfigError, ConfigFields, readConfigDocument } from "../../api/encode/config-fields.ts";
import { applyMergePatch } from "../../api/patch/merge-patch.ts";
import { defaultEvictionHard } from "../eviction/thresholds.ts";
import { resolveKubeletGates } from "./feature-gates.ts";
import { fieldsWith, readFields } from "./field.ts";
import { configurationKind, configurationVersion, type KubeletConfiguration, kubeletFields } from "./kubelet-configuration.ts";
import { reservedMemoryPercent } from "./qos-reserved.ts";
import { validateKubeletConfiguration } from "./validate.ts";

export interface ConfigurationSources {
  /** --config. */
  readonly file?: string;
  /** --config-dir. */
  readonly directory?: string;
  /** Values of flags by the path of their field: "authentication.anonymous.enabled". They go before the files. */
  readonly flags?: ReadonlyMap<string, unknown>;
}

export interface LoadedConfiguration {
  readonly configuration: KubeletConfiguration;
  /** Fields that say something and have no effect here. */
  readonly ignored: readonly string[];
  /** Files of the directory that are no drop-ins. */
  readonly skipped: readonly string[];
  /** Gates turned to something else than their default. */
  readonly turnedGates: readonly string[];
}

type Document = Readonly<Record<string, unknown>>;

/** Throws ConfigError; its message names the file where one is to blame. */
export async function loadKubeletConfiguration(sources: ConfigurationSources): Promise<LoadedConfiguration> {
  let document: Document = sources.file === undefined ? {} : await readFileConfiguration(sources.file);
  const { dropIns, skipped } = sources.directory === undefined ? { dropIns: [], skipped: [] } : await listDropIns(sources.directory);
  if (dropIns.length > 0) document = { ...decode(document) }; // drop-ins change what has its defaults already
  for (const path of dropIns) document = applyMergePatch(document, (await readDocument(path)).raw);
  const files = reserialized(decode(document));
  const configuration = withEvictionDefaults(applyFlags(files, sources.flags ?? new Map()));
  check(configuration);
  return {
    configuration,
    ignored: fieldsWith("none", kubeletFields, configuration),
    skipped,
    turnedGates: resolveKubeletGates(configuration.featureGates).turned,
  };
}

/** A report frequency that is not given follows the update frequency where that one is given. */
function decode(document: Document): KubeletConfiguration {
  const { apiVersion: _version, kind: _kind, ...fields } = document;
  const read = readFields(kubeletFields, new ConfigFields(fields, ""));
  const followsUpdates = isZero(fields.nodeStatusReportFrequency) && !isZero(fields.nodeStatusUpdateFrequency);
  return followsUpdates ? { ...read, nodeStatusReportFrequency: read.nodeStatusUpdateFrequency } : read;
}

const isZero = (value: unknown): boolean => value === undefined || value === null || value === "" || /^0[a-z]*$/.test(String(value));

/** Without the fields that are undefined. */
const reserialized = (configuration: KubeletConfiguration): KubeletConfiguration =>
  JSON.parse(JSON.stringify(configuration)) as KubeletConfiguration;

const pathFields = ["staticPodPath", "tlsCertFile", "tlsPrivateKeyFile", "resolvConf", "volumePluginDir", "podLogsDir"] as const;

/** Relative paths start at the file. */
async function readFileConfiguration(path: string): Promise<Document> {
  const { raw } = await readDocument(path);
  const base = dirname(path);
  const resolved = (value: unknown): unknown =>
    typeof value === "string" && value !== "" && !isAbsolute(value) ? join(base, value) : value;
  const own = Object.fromEntries(pathFields.filter((name) => raw[name] !== undefined).map((name) => [name, resolved(raw[name])]));
  const authentication = raw.authentication as { readonly x509?: { readonly clientCAFile?: unknown } } | undefined;
  const clientCAFile = authentication?.x509?.clientCAFile;
  const x509 = clientCAFile === undefined ? {} : { authentication: { ...authentication, x509: { clientCAFile: resolved(clientCAFile) } } };
  return { ...raw, ...own, ...x509 };
}

/** The document as it stands, all of its fields known. */
async function readDocument(path: string): Promise<{ readonly raw: Document }> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`failed to read kubelet config file ${JSON.stringify(path)}, error: ${(cause as Error).message}`);
  }
  if (text.trim() === "") throw new ConfigError(`kubelet config file ${JSON.stringify(path)} was empty`);
  try {
    const root = await readConfigDocument(text, `of kind ${configurationKind}`);
    checkKind(root, text);
    const raw = Object.fromEntries(root.names().map((name) => [name, root.value(name)]));
    decode(raw);
    return { raw };
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(`${path}: ${error.message}`);
    throw error;
  }
}

const shownCharacters = 200;

/** In the words of upstream's decoder, in one line. */
function checkKind(root: ConfigFields, text: string): void {
  const [kind, version] = [root.value("kind"), root.value("apiVersion")].map((value) => value ?? "");
  const shown = text
    .trim()
    .replaceAll(/\s*\n\s*/g, " ")
    .slice(0, shownCharacters);
  if (kind === "") throw new ConfigError(`Object 'Kind' is missing in '${shown}'`);
  if (version === "") throw new ConfigError(`Object 'apiVersion' is missing in '${shown}'`);
  if (kind === configurationKind && version === configurationVersion) return;
  const scheme = '"pkg/kubelet/apis/config/scheme/scheme.go:33"';
  throw new ConfigError(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(version)} in scheme ${scheme}`);
}

async function listDropIns(directory: string): Promise<{ readonly dropIns: readonly string[]; readonly skipped: readonly string[] }> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const paths = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
    const inOrder = paths.sort((a, b) => compareWalked(a, b));
    return { dropIns: inOrder.filter((path) => path.endsWith(".conf")), skipped: inOrder.filter((path) => !path.endsWith(".conf")) };
  } catch (cause) {
    throw new ConfigError(`failed to walk through kubelet dropin directory ${JSON.stringify(directory)}: ${(cause as Error).message}`);
  }
}

/** Directories are walked into where their name stands in the order. */
function compareWalked(a: string, b: string): number {
  const [left, right] = [a.split("/"), b.split("/")];
  const at = left.findIndex((part, i) => part !== right[i]);
  if (at < 0) return left.length - right.length;
  return (left[at] ?? "") < (right[at] ?? "") ? -1 : 1;
}

function applyFlags(configuration: KubeletConfiguration, flags: ReadonlyMap<string, unknown>): KubeletConfiguration {
  let document: Document = configuration;
  for (const [path, value] of flags) {
    // Gates that only the files turn stay as they are.
    const given = path === "featureGates" ? { ...configuration.featureGates, ...(value as object) } : value;
    document = withValue(document, path.split("."), given);
  }
  return document as KubeletConfiguration;
}

function withValue(document: Document, [name = "", ...rest]: readonly string[], value: unknown): Document {
  if (rest.length === 0) return { ...document, [name]: value };
  return { ...document, [name]: withValue((document[name] ?? {}) as Document, rest, value) };
}

function withEvictionDefaults(configuration: KubeletConfiguration): KubeletConfiguration {
  const { evictionHard, mergeDefaultEvictionSettings } = configuration;
  if (Object.keys(evictionHard).length === 0) return { ...configuration, evictionHard: defaultEvictionHard };
  return mergeDefaultEvictionSettings ? { ...configuration, evictionHard: { ...defaultEvictionHard, ...evictionHard } } : configuration;
}

function check(configuration: KubeletConfiguration): void {
  const problems = [...new Set(validateKubeletConfiguration(configuration))];
  if (problems.length > 0) throw new ConfigError(problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`);
  reservedMemoryPercent(configuration.qosReserved);
}
