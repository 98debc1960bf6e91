// The plugin's side of the protocol: environment and standard input of a call become a CniCall, what the plugin returns or throws
// becomes an exit code and the text on standard output. The same for every plugin, in the plugin host and alone.
import { statSync } from "node:fs";
import type { CniCall, CniCommand, CniEffects, CniPlugin, PluginConfig, ValidAttachment } from "../plugins/plugin.ts";
import { CniError, cniErrorCodes, renderCniError } from "./cni-error.ts";
import { parseResult, renderResult } from "./convert-result.ts";
import { requireContainerId, requireInterfaceName, requireNetworkName } from "./names.ts";
import type { CniResult } from "./result.ts";
import { compareVersions, isSupported, oldestVersion, supportedVersions, type VersionFeature, versionHas } from "./versions.ts";

export interface CniRequest {
  /** CNI_COMMAND, CNI_CONTAINERID and so on. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: string;
}

export interface CniAnswer {
  readonly exitCode: number;
  readonly stdout: string;
}

const required: Readonly<Record<string, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
  GC: ["CNI_PATH"],
  STATUS: ["CNI_PATH"],
};

const needs: Readonly<Record<string, VersionFeature>> = { CHECK: "check", GC: "garbage collection", STATUS: "status" };

/** Never rejects: an error is an answer. */
export async function answerCall(plugin: CniPlugin, { env, stdin }: CniRequest, effects: CniEffects): Promise<CniAnswer> {
  let version: string = supportedVersions[supportedVersions.length - 1] ?? oldestVersion;
  try {
    if (env.CNI_COMMAND === "VERSION") return answered({ cniVersion: versionIn(stdin) ?? version, supportedVersions });
    const command = requireCommand(env);
    const json = parseConfig(stdin);
    const written = json.cniVersion ?? "";
    if (typeof written !== "string") throw new CniError(cniErrorCodes.decodingFailure, "cniVersion of the configuration is no text");
    const configVersion = written === "" ? oldestVersion : written;
    requireVersion(configVersion, command);
    version = configVersion;
    const call = toCall(env, { ...json, cniVersion: version });
    requireOtherNamespace(env, call);
    const result = await perform(plugin, command, call, effects);
    return result === undefined ? { exitCode: 0, stdout: "" } : answered(renderResult(result, version));
  } catch (error) {
    return { exitCode: 1, stdout: `${JSON.stringify(renderCniError(error, version), null, 4)}\n` };
  }
}

const answered = (value: object): CniAnswer => ({ exitCode: 0, stdout: `${JSON.stringify(value, null, 4)}\n` });

/** One operation of a plugin, by its name; undefined where the protocol has no answer. */
export async function perform(plugin: CniPlugin, command: CniCommand, call: CniCall, effects: CniEffects): Promise<CniResult | undefined> {
  switch (command) {
    case "ADD":
      return plugin.add(call, effects);
    case "DEL":
      await plugin.del(call, effects);
      return undefined;
    case "CHECK":
      await plugin.check(call, effects);
      return undefined;
    case "STATUS":
      await plugin.status?.(call, effects);
      return undefined;
    case "GC":
      await plugin.gc?.(call, effects);
      return undefined;
  }
}

function requireCommand(env: CniRequest["env"]): CniCommand {
  const command = env.CNI_COMMAND ?? "";
  const names = ["CNI_COMMAND", ...(required[command] ?? [])];
  const missing = names.filter((name) => (env[name] ?? "") === "");
  if (missing.length > 0) throw new CniError(cniErrorCodes.invalidEnvironment, `required env variables [${missing.join(",")}] missing`);
  if (required[command] === undefined) throw new CniError(cniErrorCodes.invalidEnvironment, `unknown CNI_COMMAND: ${command}`);
  if (required[command].includes("CNI_CONTAINERID")) {
    requireContainerId(env.CNI_CONTAINERID ?? "");
    requireInterfaceName(env.CNI_IFNAME ?? "");
  }
  return command as CniCommand; // one of the table's
}

function requireVersion(version: string, command: CniCommand): void {
  const feature = needs[command];
  if (feature !== undefined && !versionHas(version, feature))
    throw new CniError(cniErrorCodes.incompatibleVersion, `config version does not allow ${command}`);
  compareVersions(version, oldestVersion); // throws for what is no version
  if (!isSupported(version))
    throw new CniError(cniErrorCodes.incompatibleVersion, "incompatible CNI versions", {
      details: `config is "${version}", plugin supports [${supportedVersions.map((v) => `"${v}"`).join(" ")}]`,
    });
}

function parseConfig(stdin: string): Readonly<Record<string, unknown>> {
  let json: unknown;
  try {
    json = JSON.parse(stdin);
  } catch (error) {
    throw new CniError(cniErrorCodes.decodingFailure, `error unmarshall network config: ${(error as Error).message}`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new CniError(cniErrorCodes.decodingFailure, "error unmarshall network config: it is no object");
  const { name } = json as { readonly name?: unknown };
  requireNetworkName(typeof name === "string" ? name : "");
  return json as Readonly<Record<string, unknown>>;
}

function toCall(env: CniRequest["env"], json: Readonly<Record<string, unknown>> & { readonly cniVersion: string }): CniCall {
  const { prevResult, "cni.dev/valid-attachments": valid, "cni.dev/attachments": older, ...fields } = json;
  const attachments = (valid ?? older) as readonly ValidAttachment[] | undefined;
  const config: PluginConfig = {
    ...(fields as unknown as PluginConfig), // of the protocol's fields, name and version have been looked at; the others are by those who use them
    ...(prevResult === undefined || prevResult === null ? {} : { prevResult: parseResult(prevResult, json.cniVersion) }),
    ...(attachments === undefined ? {} : { "cni.dev/valid-attachments": attachments }),
  };
  const rawArgs = env.CNI_ARGS ?? "";
  return {
    config,
    containerId: env.CNI_CONTAINERID ?? "",
    netns: env.CNI_NETNS ?? "",
    ifName: env.CNI_IFNAME ?? "",
    args: parseArgs(rawArgs),
    rawArgs,
    path: (env.CNI_PATH ?? "").split(":").filter((directory) => directory !== ""),
  };
}

/** "FOO=BAR;ABC=123". */
export function parseArgs(text: string): Readonly<Record<string, string>> {
  const pairs = text.split(";").filter((pair) => pair !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at <= 0) throw new CniError(cniErrorCodes.invalidEnvironment, `CNI_ARGS: invalid pair ${JSON.stringify(pair)}`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** A container in the plugin's own network namespace would lose the host's interfaces and addresses. */
function requireOtherNamespace(env: CniRequest["env"], { netns }: CniCall): void {
  if (netns === "" || ["TRUE", "1"].includes((env.CNI_NETNS_OVERRIDE ?? "").toUpperCase())) return;
  const [own, other] = [inode("/proc/self/ns/net"), inode(netns)];
  if (own !== undefined && own === other) throw new CniError(8, "plugin's netns and netns from CNI_NETNS should not be the same");
}

function inode(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined; // the namespace is gone, or never was: the plugin says so, if it matters
  }
}

function versionIn(stdin: string): string | undefined {
  try {
    const { cniVersion } = JSON.parse(stdin) as { readonly cniVersion?: unknown };
    return typeof cniVersion === "string" ? cniVersion : undefined;
  } catch {
    return undefined; // a runtime need not say which version it would like
  }
}
