// Network configurations from files, as specification 1.1.0 (section 1) and libcni have them: a list of plugins in *.conflist, one
// plugin in *.conf and *.json, in the order of the files' names; a list may be continued by the files of a directory of its name.
import { readdir, readFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { CniError, cniErrorCodes, invalidConfig } from "../spec/cni-error.ts";
import { requireNetworkName, requirePluginType } from "../spec/names.ts";
import { compareVersions, isSupported, oldestVersion } from "../spec/versions.ts";

export const defaultConfigDirectory = "/etc/cni/net.d";
export const defaultPluginPath: readonly string[] = ["/opt/cni/bin"];

export interface Network {
  readonly name: string;
  /** The newest of those the file names and we know. */
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly disableGc: boolean;
  readonly plugins: readonly NetworkPlugin[];
  /** Of the file, whole. */
  readonly text: string;
}

export interface NetworkPlugin {
  readonly type: string;
  readonly capabilities: Readonly<Record<string, boolean>>;
  /** All fields as they were written. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface LoadedNetworks {
  /** In the order of their files' names. */
  readonly networks: readonly Network[];
  /** Files that hold no network, and why. */
  readonly problems: readonly { readonly file: string; readonly error: CniError }[];
}

const singleExtensions = [".conf", ".json"];
const maxFileBytes = 4 * 1024 * 1024;

/** All of a directory; none where there is no such directory. */
export async function loadNetworks(directory = defaultConfigDirectory): Promise<LoadedNetworks> {
  const networks: Network[] = [];
  const problems: { file: string; error: CniError }[] = [];
  for (const file of await filesOf(directory, [".conflist", ...singleExtensions])) {
    try {
      networks.push(await loadNetworkFile(file));
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      problems.push({ file, error });
    }
  }
  return { networks, problems };
}

/** The first network of this name. Throws CniError where there is none. */
export async function loadNetwork(name: string, directory = defaultConfigDirectory): Promise<Network> {
  const { networks, problems } = await loadNetworks(directory);
  const found = networks.find((network) => network.name === name);
  if (found) return found;
  const broken = problems.map(({ file, error }) => `; ${file}: ${error.message}`).join("");
  throw invalidConfig(`no net configuration with name "${name}" in ${directory}${broken}`);
}

/** Throws CniError. */
export async function loadNetworkFile(file: string): Promise<Network> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new CniError(cniErrorCodes.ioFailure, `error reading ${file}: ${(error as Error).message}`, { cause: error });
  }
  if (text.length > maxFileBytes) throw invalidConfig(`${file} is longer than ${maxFileBytes} bytes`);
  if (singleExtensions.includes(extname(file)) && !("plugins" in parseJson(text))) return singleNetwork(text);
  return parseNetwork(text, (name) => furtherPlugins(join(dirname(file), name)));
}

/** A list from its text. `further`: plugins of other sources. */
export async function parseNetwork(
  text: string,
  further: (name: string) => Promise<readonly NetworkPlugin[]> = async () => [],
): Promise<Network> {
  const json = parseJson(text);
  const name = requireName(json);
  const onlyInlined = flag(json, "loadOnlyInlinedPlugins");
  const { plugins } = json;
  if (plugins === undefined && onlyInlined) throw invalid("`loadOnlyInlinedPlugins` is true, and no 'plugins' key");
  if (plugins !== undefined && !Array.isArray(plugins)) throw invalid("'plugins' is no list");
  if (plugins?.length === 0) throw invalid("no plugins in list");
  const inlined = (plugins ?? []).map((plugin: unknown) => parsePlugin(plugin));
  const all = [...inlined, ...(onlyInlined ? [] : await further(name))];
  if (all.length === 0) throw invalid("no plugin configs found");
  return {
    name,
    cniVersion: newestVersion(json),
    disableCheck: flag(json, "disableCheck"),
    disableGc: flag(json, "disableGC"),
    plugins: all,
    text,
  };
}

/** One plugin alone, as a list of one. */
function singleNetwork(text: string): Network {
  const json = parseJson(text);
  const plugin = parsePlugin(json);
  return { name: requireName(json), cniVersion: newestVersion(json), disableCheck: false, disableGc: false, plugins: [plugin], text };
}

async function furtherPlugins(directory: string): Promise<readonly NetworkPlugin[]> {
  const files = await filesOf(directory, [".conf"]);
  return Promise.all(files.map(async (file) => parsePlugin(parseJson(await readFile(file, "utf8")))));
}

/** Sorted by name, byte by byte. */
async function filesOf(directory: string, extensions: readonly string[]): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    names = (await readdir(directory, { withFileTypes: true })).filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return [];
    throw error;
  }
  const wanted = names.filter((name) => extensions.includes(extname(name)));
  return wanted.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((name) => join(directory, name));
}

type Json = Readonly<Record<string, unknown>>;

function parseJson(text: string): Json {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CniError(cniErrorCodes.decodingFailure, `error parsing configuration: ${(error as Error).message}`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new CniError(cniErrorCodes.decodingFailure, "error parsing configuration: it is no object");
  return json as Json;
}

function parsePlugin(value: unknown): NetworkPlugin {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("a plugin is no object");
  const fields = value as Json;
  const { type, capabilities = {} } = fields;
  if (typeof type !== "string" || type === "") throw invalid("missing 'type'");
  requirePluginType(type);
  if (typeof capabilities !== "object" || capabilities === null || Array.isArray(capabilities))
    throw invalid("'capabilities' is no object");
  return { type, capabilities: capabilities as Readonly<Record<string, boolean>>, fields }; // only what is true counts
}

function requireName({ name }: Json): string {
  if (name === undefined) throw invalid("no name");
  if (typeof name !== "string") throw invalid("'name' is no text");
  requireNetworkName(name);
  return name;
}

/** Of those a file is written for; ones that are newer than ours are left out of `cniVersions`. */
function newestVersion({ cniVersion = "", cniVersions = [] }: Json): string {
  if (typeof cniVersion !== "string") throw invalid("'cniVersion' is no text");
  if (!Array.isArray(cniVersions) || !cniVersions.every((version) => typeof version === "string"))
    throw invalid("'cniVersions' is no list of texts");
  const known = [...cniVersions, ...(cniVersion === "" ? [] : [cniVersion])].filter((version) => isSupported(version));
  const newest = known.toSorted(compareVersions).at(-1);
  if (newest !== undefined) return newest;
  if (cniVersion === "") return oldestVersion;
  compareVersions(cniVersion, oldestVersion); // throws for what is no version
  throw new CniError(cniErrorCodes.incompatibleVersion, `unsupported CNI version "${cniVersion}"`);
}

/** Upstream also takes "true". */
function flag(json: Json, name: string): boolean {
  const value = json[name] ?? false;
  if (typeof value === "boolean") return value;
  const word = typeof value === "string" ? value.toLowerCase() : "";
  if (word !== "true" && word !== "false") throw invalid(`invalid value ${JSON.stringify(value)} for ${name}`);
  return word === "true";
}

const invalid = (what: string): CniError => invalidConfig(`error parsing configuration list: ${what}`);
