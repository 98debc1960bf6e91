// What a server-side apply is refused with when it would change fields that others own.
import { StatusError } from "../../meta/status-error.ts";
import { type FieldSet, pathsOf } from "./field-set.ts";
import type { Owner } from "./managers.ts";

export interface Conflict {
  readonly owner: Owner;
  /** The fields that both want to have. */
  readonly set: FieldSet;
}

/** The 409 that lists every field and its manager. */
export function conflictError(conflicts: readonly Conflict[]): StatusError {
  const named = conflicts
    .map(({ owner, set }) => ({ order: orderOf(owner), name: ownerText(owner), paths: pathsOf(set) }))
    .sort((a, b) => (a.order < b.order ? -1 : 1));
  const causes = named.flatMap(({ name, paths }) =>
    paths.map((field) => ({ reason: "FieldManagerConflict", message: `conflict with ${name}`, field })),
  );
  return new StatusError({ code: 409, reason: "Conflict", message: message(named, causes.length), details: { causes } });
}

/** Upstream sorts what it knows owners by, which is JSON. */
function orderOf({ manager, operation, apiVersion, subresource }: Owner): string {
  const version = operation === "Update" ? { apiVersion } : {};
  return JSON.stringify({ manager, operation, ...version, ...(subresource === "" ? {} : { subresource }) });
}

function message(named: readonly { readonly name: string; readonly paths: readonly string[] }[], count: number): string {
  const [first] = named;
  if (count === 1 && first) return `Apply failed with 1 conflict: conflict with ${first.name}: ${first.paths[0]}`;
  const lines = named.flatMap(({ name, paths }) => [`conflicts with ${name}:`, ...paths.map((path) => `- ${path}`)]);
  return `Apply failed with ${count} conflicts: ${lines.join("\n")}`;
}

/** `"kubectl" with subresource "status" using v1`: the version is told of updaters only. */
function ownerText({ manager, subresource, operation, apiVersion }: Owner): string {
  const name = JSON.stringify(manager) + (subresource === "" ? "" : ` with subresource ${JSON.stringify(subresource)}`);
  return operation === "Update" ? `${name} using ${apiVersion}` : name;
}
