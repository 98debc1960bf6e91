// The documents in a directory of manifests (staticManifestsDir): all files that end in .yaml, .yml or .json, in the order of
// their names, and a hash of what they hold, by which changes are told.
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../../../api/encode/config-fields.ts";
import type { ParsedText } from "../../../api/encode/json-text.ts";

export interface ManifestDocument {
  readonly file: string;
  readonly parsed: ParsedText;
}

export interface ManifestFiles {
  readonly documents: readonly ManifestDocument[];
  /** "sha256:…", or "" where there is nothing. */
  readonly hash: string;
}

const maxFileBytes = 3 * 1024 * 1024;
const isManifest = (name: string): boolean => /\.(?:yaml|yml|json)$/i.test(name);

/** Throws ConfigError. */
export async function readManifestFiles(directory: string): Promise<ManifestFiles> {
  const documents: ManifestDocument[] = [];
  const hash = createHash("sha256");
  let isEmpty = true;
  for (const name of await manifestNames(directory)) {
    const file = join(directory, name);
    const bytes = await contents(file);
    if (bytes.length === 0) continue;
    isEmpty = false;
    hash.update(bytes).update("\0");
    documents.push(...(await parse(file, bytes.toString("utf8"))));
  }
  return { documents, hash: isEmpty ? "" : `sha256:${hash.digest("hex")}` };
}

/** Sorted. */
async function manifestNames(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory() && isManifest(entry.name))
      .map(({ name }) => name)
      .toSorted();
  } catch (error) {
    throw new ConfigError(`failed to read manifest directory ${JSON.stringify(directory)}: ${(error as Error).message}`);
  }
}

async function contents(file: string): Promise<Buffer> {
  try {
    const bytes = await readFile(file);
    if (bytes.length > maxFileBytes) throw new Error(`larger than ${maxFileBytes} bytes`);
    return bytes;
  } catch (error) {
    throw new ConfigError(`failed to read file ${JSON.stringify(file)}: ${(error as Error).message}`);
  }
}

async function parse(file: string, text: string): Promise<readonly ManifestDocument[]> {
  // The YAML parser is loaded when the first file wants it.
  const { parseYamlDocuments, YamlSyntaxError } = await import("../../../api/encode/yaml-text.ts");
  try {
    return parseYamlDocuments(text).map((parsed) => ({ file, parsed }));
  } catch (error) {
    if (error instanceof YamlSyntaxError) throw new ConfigError(`error loading ${file}: ${error.message}`);
    throw error;
  }
}
