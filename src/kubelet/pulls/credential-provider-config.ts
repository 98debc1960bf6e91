// The file (or directory of files) of --image-credential-provider-config: a CredentialProviderConfig, which says which
// programs give credentials for which images. What is wrong in it ends the start.
import { access, constants, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { parseDuration } from "../../base/duration.ts";

export interface CredentialProvider {
  readonly name: string;
  readonly matchImages: readonly string[];
  readonly defaultCacheMs: number;
  readonly apiVersion: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly tokenAttributes?: TokenAttributes;
}

export interface TokenAttributes {
  readonly serviceAccountTokenAudience: string;
  /** "Token": cached for this token; "ServiceAccount": for all pods of the account. */
  readonly cacheType: "Token" | "ServiceAccount";
  readonly requireServiceAccount: boolean;
  readonly requiredServiceAccountAnnotationKeys?: readonly string[];
  readonly optionalServiceAccountAnnotationKeys?: readonly string[];
}

const configVersions = ["v1", "v1beta1", "v1alpha1"].map((v) => `kubelet.config.k8s.io/${v}`);
const pluginVersions = ["v1", "v1beta1", "v1alpha1"].map((v) => `credentialprovider.kubelet.k8s.io/${v}`);

/** Throws an Error that names the file and what is wrong. */
export async function readCredentialProviders(path: string, binDirectory: string): Promise<readonly CredentialProvider[]> {
  const providers: CredentialProvider[] = [];
  for (const file of await filesAt(path)) {
    try {
      providers.push(...parseConfig(parse(await readFile(file, "utf8"))));
    } catch (error) {
      throw new Error(`image credential provider configuration ${file}: ${(error as Error).message}`, { cause: error });
    }
  }
  for (const { name } of providers) {
    if (providers.filter((p) => p.name === name).length > 1) throw new Error(`image credential provider ${name} is configured twice`);
    const program = join(binDirectory, name);
    await access(program, constants.X_OK).catch((cause: unknown) => {
      throw new Error(`plugin binary executable ${program} did not exist`, { cause });
    });
  }
  return providers;
}

async function filesAt(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const names = (await readdir(path)).filter((name) => /\.(json|ya?ml)$/.test(name)).sort();
  if (names.length === 0) throw new Error(`no configuration files found in image credential provider directory ${path}`);
  return names.map((name) => join(path, name));
}

function parseConfig(value: unknown): readonly CredentialProvider[] {
  const { apiVersion, kind, providers } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (kind !== "CredentialProviderConfig" || !configVersions.includes(String(apiVersion)))
    throw new Error(`expected a CredentialProviderConfig of kubelet.config.k8s.io/v1, found ${String(apiVersion)} ${String(kind)}`);
  if (!Array.isArray(providers) || providers.length === 0)
    throw new Error("providers: Required value: at least 1 item in plugins is required");
  return providers.map((provider: Readonly<Record<string, unknown>>, i) => parseProvider(provider, `providers[${i}]`));
}

function parseProvider(given: Readonly<Record<string, unknown>>, at: string): CredentialProvider {
  const { name, matchImages, defaultCacheDuration, apiVersion, args, env, tokenAttributes } = given;
  if (typeof name !== "string" || name === "") throw new Error(`${at}.name: Required value: provider name is required`);
  if (name.includes("/") || name.includes(" ") || name === "." || name === "..")
    throw new Error(`${at}.name: Invalid value: "${name}": provider name must be a file name`);
  if (!isTexts(matchImages) || matchImages.length === 0)
    throw new Error(`${at}.matchImages: Required value: at least 1 item in matchImages is required`);
  if (typeof defaultCacheDuration !== "string")
    throw new Error(`${at}.defaultCacheDuration: Required value: defaultCacheDuration is required`);
  if (!pluginVersions.includes(String(apiVersion)))
    throw new Error(
      `${at}.apiVersion: Unsupported value: "${String(apiVersion)}": supported values: ${pluginVersions.map((v) => `"${v}"`).join(", ")}`,
    );
  return {
    ...{ name, matchImages, defaultCacheMs: providerDurationMs(defaultCacheDuration), apiVersion: String(apiVersion) },
    args: isTexts(args) ? args : [],
    env: (env ?? []) as CredentialProvider["env"],
    ...(tokenAttributes ? { tokenAttributes: tokenAttributes as TokenAttributes } : {}),
  };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** "1h30m", as Go writes durations. */
export function providerDurationMs(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new Error(`"${text}" is no duration such as "12h" or "30m"`);
  return ms;
}
