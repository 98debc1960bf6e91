// Owners name their fields in the API version they wrote. Where an object is written in another version of its kind, the
// change is looked at in each owner's own version: what was done to spec.metrics of autoscaling/v2 was done to
// spec.targetCPUUtilizationPercentage for whoever owns that field of autoscaling/v1. What was owned in a version that the
// kind is not served in (any more) is forgotten.
import { StatusError } from "../../meta/status-error.ts";
import { type FieldSet, recursiveDifference } from "./field-set.ts";
import { type Comparison, compareFields } from "./object-fields.ts";
import type { JsonObject, Shape } from "./shape.ts";
import { appliedProblem } from "./validate-applied.ts";

/** How the fields of objects are owned in one version. */
export interface OwnedForm {
  readonly shape: Shape;
  /** Fields that this endpoint resets and so never owns: the status of a write to the object itself. */
  readonly resetFields?: FieldSet;
}

/** Another version of the kind that is written. */
export interface OtherVersion extends OwnedForm {
  /** From the version that is written to this one, and back. */
  convert(object: unknown): unknown;
  convertBack(object: unknown): unknown;
}

/** By apiVersion; undefined where the kind is not served in it. */
export type OtherVersions = (apiVersion: string) => OtherVersion | undefined;

/** Absent: all versions name their fields alike. */
export interface VersionedForm extends OwnedForm {
  readonly otherVersions?: OtherVersions;
}

/** How two states of an object differ, in the version that each owner knows. */
export class Changes {
  /** In the version that is written. */
  readonly written: Comparison;
  readonly #live: unknown;
  readonly #updated: unknown;
  readonly #apiVersion: string;
  readonly #otherVersions: OtherVersions | undefined;
  #others: Map<string, Comparison | undefined> | undefined;

  constructor(live: unknown, updated: unknown, apiVersion: string, form: VersionedForm) {
    this.written = comparisonFor(live, updated, form);
    this.#live = live;
    this.#updated = updated;
    this.#apiVersion = apiVersion;
    this.#otherVersions = form.otherVersions;
  }

  /** undefined where there is no such version. */
  in(apiVersion: string): Comparison | undefined {
    if (apiVersion === this.#apiVersion || !this.#otherVersions) return this.written;
    this.#others ??= new Map();
    if (!this.#others.has(apiVersion)) this.#others.set(apiVersion, this.#comparedIn(this.#otherVersions(apiVersion)));
    return this.#others.get(apiVersion);
  }

  #comparedIn(version: OtherVersion | undefined): Comparison | undefined {
    return version && comparisonFor(inVersion(version, this.#live, "old"), inVersion(version, this.#updated, "new"), version);
  }
}

/** An object has fields that another version, in which some are owned, does not know. */
export class UnknownInVersionError extends StatusError {}

function inVersion(version: OtherVersion, object: unknown, which: "old" | "new"): unknown {
  const converted = version.convert(object);
  const problem = appliedProblem(converted as JsonObject, version.shape);
  if (problem !== undefined) throw new UnknownInVersionError({ code: 500, message: `failed to convert ${which} object: ${problem}` });
  return converted;
}

/** How two versions differ, without the fields that the endpoint resets. */
function comparisonFor(live: unknown, updated: unknown, { shape, resetFields }: OwnedForm): Comparison {
  const changes = compareFields(live, updated, shape);
  if (!resetFields) return changes;
  return {
    added: recursiveDifference(changes.added, resetFields),
    removed: recursiveDifference(changes.removed, resetFields),
    modified: recursiveDifference(changes.modified, resetFields),
  };
}
