// Bounds what a schema makes of one object: a schema of a megabyte and an object of a megabyte each are small, what one asks of
// each part of the other is not. Ordinary objects of the largest size come nowhere near.
import { PatternSteps } from "../../base/regex/pattern.ts";
import { StatusError } from "../meta/status-error.ts";

/** Steps that checking one object may take: a value against one schema, a branch, a problem of ordinary length. */
const maxSteps = 8_000_000;

/** Steps of a pattern that count as one. */
const patternStepsAtOnce = 6;

/** What defaults may add to one object, in characters of JSON. */
const maxDefaultCharacters = 4 * 1024 * 1024;

function tooLarge(why: string): StatusError {
  return new StatusError({ code: 413, reason: "RequestEntityTooLarge", message: `Request entity too large: ${why}` });
}

/** The steps that are left for one object. */
export class WorkLimit {
  #left = maxSteps;
  /** Counts what matching patterns takes. */
  readonly patternSteps: PatternSteps = new PatternSteps((steps) => this.spend(steps / patternStepsAtOnce));

  /** Throws a StatusError (413). */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw tooLarge(`checking the object against its schema takes more than ${maxSteps} steps`);
  }
}

/** What defaults may still add to one object. */
export class DefaultsLimit {
  #left = maxDefaultCharacters;
  readonly #refuses: boolean;

  /** `refuses`: what is beyond the limit is an error (413); otherwise it is left out. */
  constructor(refuses: boolean) {
    this.#refuses = refuses;
  }

  /** Whether a default of so many characters may still be added. */
  takes(characters: number): boolean {
    this.#left -= characters;
    if (this.#left >= 0) return true;
    if (this.#refuses) throw tooLarge(`defaults add more than ${maxDefaultCharacters} characters to the object`);
    return false;
  }
}
