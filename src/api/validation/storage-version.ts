// Which version of a resource each API server writes and reads (StorageVersion): a version that a server writes it can read,
// and so it can what it serves; what all servers agree on is said once more.
import { duplicate, type FieldError, invalidValue, required } from "../meta/field-error.ts";
import { formatProblem, isDNS1035Label, isDNS1123Subdomain, isQualifiedName } from "../meta/names.ts";
import { sentEmptyOf } from "../meta/sent-empty.ts";
import type { ServerStorageVersion, StorageVersion, StorageVersionCondition } from "../types/apiserverinternal-v1alpha1.ts";
import { addProblems } from "./rules.ts";

/** "apps.deployments". */
export function storageVersionName(name: string): readonly string[] {
  const dot = name.lastIndexOf(".");
  if (dot < 0) return ["name must be in the form of <group>.<resource>"];
  return [
    ...isDNS1123Subdomain(name.slice(0, dot)).map((problem) => `the group segment ${problem}`),
    ...isDNS1035Label(name.slice(dot + 1)).map((problem) => `the resource segment ${problem}`),
  ];
}

export function validateStorageVersionStatus({ status }: StorageVersion): FieldError[] {
  const errors: FieldError[] = [];
  const { storageVersions: servers = [], conditions = [], commonEncodingVersion } = status ?? {};
  const ids = new Set<string>();
  for (const [i, server] of servers.entries()) {
    const at = `status.storageVersions[${i}]`;
    const { apiServerID = "" } = server;
    if (ids.has(apiServerID)) errors.push(duplicate(`${at}.apiServerID`, apiServerID));
    ids.add(apiServerID);
    validateServer(errors, at, server);
  }
  validateCommonVersion(errors, commonEncodingVersion ?? undefined, servers);
  validateConditions(errors, conditions);
  return errors;
}

function validateServer(errors: FieldError[], at: string, server: ServerStorageVersion): void {
  const { apiServerID = "", encodingVersion = "", decodableVersions: decodable = [], servedVersions: served = [] } = server;
  const checkVersion = (field: string, version: string): void => {
    const problems = apiVersionProblems(version);
    if (problems.length > 0) errors.push(invalidValue(field, version, problems.join(",")));
  };
  addProblems(errors, `${at}.apiServerID`, apiServerID, isDNS1123Subdomain(apiServerID));
  checkVersion(`${at}.encodingVersion`, encodingVersion);
  for (const [i, version] of decodable.entries()) checkVersion(`${at}.decodableVersions[${i}]`, version);
  if (!decodable.includes(encodingVersion)) {
    const detail = `decodableVersions must include encodingVersion ${encodingVersion}`;
    const shown = server.decodableVersions ?? sentEmptyOf(server, "decodableVersions") ?? null;
    errors.push(invalidValue(`${at}.decodableVersions`, shown, detail));
  }
  for (const [i, version] of served.entries()) {
    checkVersion(`${at}.servedVersions[${i}]`, version);
    if (decodable.includes(version)) continue;
    const detail = `individual served version : ${version} must be included in decodableVersions : [${decodable.join(" ")}]`;
    errors.push(invalidValue(`${at}.servedVersions[${i}]`, version, detail));
  }
}

function validateCommonVersion(errors: FieldError[], common: string | undefined, servers: readonly ServerStorageVersion[]): void {
  const field = "status.commonEncodingVersion";
  const written = new Set(servers.map(({ encodingVersion = "" }) => encodingVersion));
  const [agreed] = written;
  if (written.size !== 1 || agreed === undefined) {
    const detail =
      "should be nil if servers do not agree on the same encoding version, or if there is no server reporting the supported versions yet";
    if (common !== undefined) errors.push(invalidValue(field, common, detail));
  } else if (common === undefined) errors.push(invalidValue(field, null, `the common encoding version is ${agreed}`));
  else if (common !== agreed) errors.push(invalidValue(field, common, `the actual common encoding version is ${agreed}`));
}

/** Types and states may be any, now or later. */
function validateConditions(errors: FieldError[], conditions: readonly StorageVersionCondition[]): void {
  const indices = new Map<string, number>();
  for (const [i, { type = "", status = "", reason = "", message = "" }] of conditions.entries()) {
    const at = `status[${i}]`; // upstream's path has no "conditions" in it
    const before = indices.get(type);
    if (before !== undefined)
      errors.push(invalidValue(`${at}.type`, type, `the type of the condition is not unique, it also appears in conditions[${before}]`));
    indices.set(type, i);
    addProblems(errors, `${at}.type`, type, isQualifiedName(type));
    addProblems(errors, `${at}.status`, status, isQualifiedName(status));
    if (reason === "") errors.push(required(`${at}.reason`));
    if (message === "") errors.push(required(`${at}.message`));
  }
}

const formProblem = `an apiVersion is ${formatProblem(
  "a DNS-1035 label, which must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  "[a-z]([-a-z0-9]*[a-z0-9])?",
  "my-name",
  "abc-123",
)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyVersion')`;
const empty = "must be non-empty";

/** "v1", "apps/v1". */
function apiVersionProblems(apiVersion: string): readonly string[] {
  const parts = apiVersion.split("/");
  if (parts.length > 2) return [formProblem];
  const version = parts.at(-1) ?? "";
  const ofPart = (part: string, text: string, check: (text: string) => readonly string[]): readonly string[] =>
    (text === "" ? [empty] : check(text)).map((problem) => `${part} part: ${problem}`);
  return [
    ...(parts.length === 2 ? ofPart("group", parts[0] ?? "", isDNS1123Subdomain) : []),
    ...ofPart("version", version, isDNS1035Label),
  ];
}
