// What an applier no longer applies goes, unless someone else owns it. It is found in the version of the API that it was
// applied in, and what others own in the versions that they know.
import { difference, emptySet, type FieldSet, intersection, union } from "./field-set.ts";
import type { Owner } from "./managers.ts";
import { removeFields } from "./merge-objects.ts";
import { fieldsOf, withDeclaredFields } from "./object-fields.ts";
import type { OtherVersion, VersionedForm } from "./other-versions.ts";
import type { Shape } from "./shape.ts";

type OwnedPart = Pick<Owner, "apiVersion" | "set">;

/**
 * Removes what the manager applied before and nobody wants any more. A field that contains fields of others stays with
 * these; one that was not the manager's stays whole. `wanted` begins with what the manager applies now.
 */
export function prune(merged: unknown, before: OwnedPart, wanted: readonly [OwnedPart, ...OwnedPart[]], form: VersionedForm): unknown {
  const written = wanted[0].apiVersion;
  const other = before.apiVersion === written ? undefined : form.otherVersions?.(before.apiVersion);
  if (before.apiVersion !== written && form.otherVersions && !other) return merged;
  const shape = other?.shape ?? form.shape;
  const whole = other ? other.convert(merged) : merged;
  const last = withDeclaredFields(before.set, shape);
  const ownedIn = ownedByVersion(wanted, form);
  const version = other ? before.apiVersion : written;
  let kept = withOwned(whole, removeFields(whole, last, shape), ownedIn.get(version) ?? emptySet, shape);
  ownedIn.delete(version);
  if (ownedIn.size > 0) {
    let object = back(other, kept);
    for (const [apiVersion, owned] of ownedIn) object = withOwnedIn(apiVersion, merged, object, owned, { ...form, written });
    kept = other ? other.convert(object) : object;
  }
  const gone = difference(allFields(whole, shape), allFields(kept, shape));
  return back(other, removeFields(whole, intersection(gone, last), shape));
}

const back = (version: OtherVersion | undefined, object: unknown): unknown => (version ? version.convertBack(object) : object);

const allFields = (object: unknown, shape: Shape): FieldSet => withDeclaredFields(fieldsOf(object, shape), shape);

/** What is owned, by version; where versions are not told apart, all of it in the one that is written. */
function ownedByVersion(wanted: readonly [OwnedPart, ...OwnedPart[]], { otherVersions }: VersionedForm): Map<string, FieldSet> {
  const result = new Map<string, FieldSet>();
  for (const { apiVersion, set } of wanted) {
    const version = otherVersions ? apiVersion : wanted[0].apiVersion;
    result.set(version, union(result.get(version) ?? emptySet, set));
  }
  return result;
}

/** `bare` with what is owned of `whole`. */
function withOwned(whole: unknown, bare: unknown, owned: FieldSet, shape: Shape): unknown {
  const kept = union(allFields(bare, shape), withDeclaredFields(owned, shape));
  return removeFields(whole, difference(allFields(whole, shape), kept), shape);
}

function withOwnedIn(
  apiVersion: string,
  whole: unknown,
  bare: unknown,
  owned: FieldSet,
  form: VersionedForm & { readonly written: string },
): unknown {
  if (apiVersion === form.written) return withOwned(whole, bare, owned, form.shape);
  const version = form.otherVersions?.(apiVersion);
  return version ? version.convertBack(withOwned(version.convert(whole), version.convert(bare), owned, version.shape)) : bare;
}
