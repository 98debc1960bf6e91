// The paths of fields that a schema does not know, as far as they are told: each repeats all names on the way to it, so that
// together they can be far longer than what was sent.

const maxCharacters = 1024 * 1024;

export class UnknownFields {
  readonly #paths: string[] = [];
  #characters = 0;

  /** A path that nobody is told of is not put together. */
  add(path: string): void {
    if (this.#characters > maxCharacters) return;
    this.#characters += path.length;
    this.#paths.push(path);
  }

  sorted(): readonly string[] {
    return this.#paths.length > 1 ? this.#paths.sort() : this.#paths;
  }
}
