// The options of a request, read off its query as upstream's CreateOptions, UpdateOptions, PatchOptions, DeleteOptions and
// ListOptions, with upstream's checks and texts.

import { type FieldError, forbiddenField, invalidValue, notSupported, required, tooLong } from "../../api/meta/field-error.ts";
import { int64Problem } from "../../api/meta/go-number.ts";
import { badRequest, invalid, StatusError } from "../../api/meta/status-error.ts";
import type { DeleteOptions } from "../../api/types/meta-v1.ts";
import { appendAll } from "../../base/append-all.ts";
import { LruMap } from "../../base/lru-map.ts";

export type FieldValidation = "Strict" | "Warn" | "Ignore";

export interface WriteOptions {
  readonly dryRun: boolean;
  /** "" where the client does not say. */
  readonly fieldManager: string;
  readonly fieldValidation: FieldValidation;
  /** Patches only. */
  readonly force: boolean;
  /** As admission plugins see them. */
  readonly asObject: Readonly<Record<string, unknown>>;
}

export type WriteOptionsKind = "CreateOptions" | "UpdateOptions" | "PatchOptions";

/** `apply`: a server-side apply, for which a field manager is required and force allowed. */
export function parseWriteOptions(kind: WriteOptionsKind, query: URLSearchParams, apply = false): WriteOptions {
  if (query.size === 0 && !apply) return defaultOptions[kind];
  const dryRunValues = query.getAll("dryRun");
  const fieldManager = query.get("fieldManager") ?? "";
  const fieldValidation = query.get("fieldValidation") ?? "";
  const force = query.get("force");
  const errors = [
    ...(kind === "PatchOptions" ? checkPatchOptions(apply, fieldManager, force) : []),
    ...checkFieldManager(fieldManager),
    ...checkDryRun(dryRunValues),
    ...checkFieldValidation(fieldValidation),
  ];
  if (errors.length > 0) throw invalid({ group: "meta.k8s.io", kind }, "", errors);
  return {
    dryRun: dryRunValues.length > 0,
    fieldManager,
    fieldValidation: fieldValidation === "" ? "Warn" : (fieldValidation as FieldValidation),
    force: force !== null && parseBoolean(force),
    asObject: {
      kind,
      apiVersion: "meta.k8s.io/v1",
      ...(dryRunValues.length > 0 ? { dryRun: dryRunValues } : {}),
      ...(force === null ? {} : { force: parseBoolean(force) }),
      ...(fieldManager === "" ? {} : { fieldManager }),
      ...(fieldValidation === "" ? {} : { fieldValidation }),
    },
  };
}

const withoutQuery = (kind: WriteOptionsKind): WriteOptions => ({
  dryRun: false,
  fieldManager: "",
  fieldValidation: "Warn",
  force: false,
  asObject: { kind, apiVersion: "meta.k8s.io/v1" },
});

/** Of requests without a query. */
const defaultOptions: Readonly<Record<WriteOptionsKind, WriteOptions>> = {
  CreateOptions: withoutQuery("CreateOptions"),
  UpdateOptions: withoutQuery("UpdateOptions"),
  PatchOptions: withoutQuery("PatchOptions"),
};

function checkPatchOptions(apply: boolean, fieldManager: string, force: string | null): FieldError[] {
  if (apply) return fieldManager === "" ? [required("fieldManager", "is required for apply patch")] : [];
  return force === null ? [] : [forbiddenField("force", "may not be specified for non-apply patch")];
}

const maxFieldManagerBytes = 128;

function checkFieldManager(manager: string): FieldError[] {
  const errors: FieldError[] = [];
  if (Buffer.byteLength(manager) > maxFieldManagerBytes) errors.push(tooLong("fieldManager", maxFieldManagerBytes));
  let position = 0;
  for (const character of manager) {
    if (!isPrintable(character)) {
      const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
      errors.push(invalidValue("fieldManager", manager, `invalid character U+${code} (at position ${position})`));
      break;
    }
    position += Buffer.byteLength(character);
  }
  return errors;
}

const isPrintable = (character: string): boolean => character === " " || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character);

const checkDryRun = (values: readonly string[]): FieldError[] =>
  values.every((value) => value === "All") ? [] : [notSupported("dryRun", values, ["All"])];

const fieldValidations = ["", "Ignore", "Strict", "Warn"];

const checkFieldValidation = (value: string): FieldError[] =>
  fieldValidations.includes(value) ? [] : [notSupported("fieldValidation", value, fieldValidations)];

/** The manager recorded for a write: the one named, or the user agent up to its first slash. */
export function managerOf(options: WriteOptions, userAgent: string | undefined): string {
  if (options.fieldManager !== "") return options.fieldManager;
  let manager = managers.get(userAgent ?? "");
  if (manager === undefined) {
    manager = managerOfAgent(userAgent ?? "");
    if ((userAgent ?? "").length <= maxKnownAgent) managers.set(userAgent ?? "", manager);
  }
  return manager;
}

/** Clients send the same with each request. */
const managers = new LruMap<string, string>(256);
/** A head may hold one of a megabyte. */
const maxKnownAgent = 512;

function managerOfAgent(userAgent: string): string {
  // Headers come as bytes.
  const name = Buffer.from(userAgent.split("/")[0] ?? "", "latin1").toString();
  // Upstream cuts at 128 bytes and drops what cannot be printed.
  const printable = [...name].filter(isPrintable).join("");
  return printable === "" ? "unknown" : Buffer.from(printable).subarray(0, maxFieldManagerBytes).toString();
}

const propagationPolicies = ["Foreground", "Background", "Orphan"];

/** Checks DeleteOptions, from the body or the query. */
export function checkDeleteOptions(options: DeleteOptions): DeleteOptions {
  const errors: FieldError[] = [];
  const { propagationPolicy, orphanDependents, dryRun } = options;
  if (propagationPolicy !== undefined) {
    if (orphanDependents !== undefined)
      errors.push(invalidValue("propagationPolicy", propagationPolicy, "orphanDependents and deletionPropagation cannot be both set"));
    if (!propagationPolicies.includes(propagationPolicy))
      errors.push(notSupported("propagationPolicy", propagationPolicy, [...propagationPolicies, "nil"]));
  }
  appendAll(errors, checkDryRun(dryRun ?? []));
  if (errors.length > 0) throw invalid({ group: "meta.k8s.io", kind: "DeleteOptions" }, "", errors);
  return options;
}

/** DeleteOptions of a request without a body. */
export function deleteOptionsOf(query: URLSearchParams): DeleteOptions {
  const gracePeriod = query.get("gracePeriodSeconds");
  const orphan = query.get("orphanDependents");
  const propagationPolicy = query.get("propagationPolicy");
  const dryRun = query.getAll("dryRun");
  const uid = query.get("uid");
  const resourceVersion = query.get("resourceVersion");
  const preconditions = { ...(uid === null ? {} : { uid }), ...(resourceVersion === null ? {} : { resourceVersion }) };
  return {
    ...(Object.keys(preconditions).length > 0 ? { preconditions } : {}),
    ...(gracePeriod === null ? {} : { gracePeriodSeconds: parseInteger(gracePeriod) }),
    ...(orphan === null ? {} : { orphanDependents: parseBoolean(orphan) }),
    ...(propagationPolicy === null ? {} : { propagationPolicy }),
    ...(dryRun.length > 0 ? { dryRun } : {}),
  };
}

export interface ListOptions {
  readonly labelSelector: string;
  readonly fieldSelector: string;
  /** "": of all shards. */
  readonly shardSelector: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
  /** 0: no limit. */
  readonly limit: number;
  readonly continue: string;
  readonly allowWatchBookmarks: boolean;
  readonly sendInitialEvents: boolean | undefined;
  readonly timeoutSeconds: number | undefined;
}

export function parseListOptions(query: URLSearchParams, watch: boolean): ListOptions {
  const sendInitialEvents = query.get("sendInitialEvents");
  const timeout = query.get("timeoutSeconds");
  const options: ListOptions = {
    labelSelector: query.get("labelSelector") ?? "",
    fieldSelector: query.get("fieldSelector") ?? "",
    shardSelector: query.get("shardSelector") ?? "",
    resourceVersion: query.get("resourceVersion") ?? "",
    resourceVersionMatch: query.get("resourceVersionMatch") ?? "",
    limit: parseInteger(query.get("limit") ?? "0"),
    continue: query.get("continue") ?? "",
    allowWatchBookmarks: booleanOf(query, "allowWatchBookmarks"),
    sendInitialEvents: sendInitialEvents === null ? undefined : parseBoolean(sendInitialEvents),
    timeoutSeconds: timeout === null ? undefined : parseInteger(timeout),
  };
  const errors = watch ? checkWatchOptions(options) : checkListOptions(options);
  if (errors.length > 0) throw invalid({ group: "meta.k8s.io", kind: "ListOptions" }, "", errors);
  return options;
}

const matches = ["Exact", "NotOlderThan", ""];

function checkListOptions(options: ListOptions): FieldError[] {
  const { resourceVersionMatch: match } = options;
  const errors: FieldError[] = [];
  if (match !== "") {
    if (options.resourceVersion === "")
      errors.push(forbiddenField("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"));
    if (options.continue !== "")
      errors.push(forbiddenField("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
    if (!matches.includes(match)) errors.push(notSupported("resourceVersionMatch", match, matches));
    if (match === "Exact" && options.resourceVersion === "0")
      errors.push(forbiddenField("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
  }
  if (options.sendInitialEvents !== undefined) errors.push(forbiddenField("sendInitialEvents", "sendInitialEvents is forbidden for list"));
  return errors;
}

function checkWatchOptions(options: ListOptions): FieldError[] {
  const { resourceVersionMatch: match, sendInitialEvents, resourceVersion } = options;
  const errors: FieldError[] = [];
  // Such a watch begins with what there is, no older than the present: the match is as good as said.
  const isImplied = match === "" && sendInitialEvents === undefined && (resourceVersion === "" || resourceVersion === "0");
  if (isImplied && options.continue !== "")
    errors.push(forbiddenField("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
  if (sendInitialEvents !== undefined && match !== "NotOlderThan")
    errors.push(forbiddenField("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
  if (match === "") return errors;
  if (sendInitialEvents === undefined)
    errors.push(forbiddenField("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
  if (match !== "NotOlderThan") errors.push(notSupported("resourceVersionMatch", match, ["NotOlderThan"]));
  if (options.continue !== "")
    errors.push(forbiddenField("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
  return errors;
}

/** A resource version as a number; undefined for what is none. */
export function parseResourceVersion(text: string): number | undefined {
  return /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}

/** The answer to a resource version in an object that is no number. */
export function malformedResourceVersion(text: string): StatusError {
  return new StatusError({ code: 500, message: `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax` });
}

function parseInteger(text: string): number {
  const problem = int64Problem(text);
  if (problem !== undefined) throw badRequest(problem);
  return Number(text);
}

/** As upstream reads booleans of a query that are there: all that is neither "false" nor "0" is true, without a value too. */
export function parseBoolean(text: string): boolean {
  return text.toLowerCase() !== "false" && text !== "0";
}

/** What is not there is false; of several values the first counts. */
export function booleanOf(query: URLSearchParams, name: string): boolean {
  return parseBoolean(query.get(name) ?? "false");
}
