// Mutation runs in at most two rounds: when a webhook or policy has changed the object, every mutating plugin is asked once
// more, so that the built-in ones see what has come out. What has to know the round keeps its memory here; a request that
// no such plugin concerns never has one.

export class Reinvocation {
  #isSecond = false;
  #isNeeded = false;
  readonly #memories = new Map<string, unknown>();

  /** Whether this is the second round. */
  get isSecond(): boolean {
    return this.#isSecond;
  }

  get isNeeded(): boolean {
    return this.#isNeeded;
  }

  /** Asks for a second round. */
  need(): void {
    this.#isNeeded = true;
  }

  beginSecond(): void {
    this.#isSecond = true;
  }

  /** What a plugin remembers between the rounds; made when it is first asked for. */
  memoryOf<T>(plugin: string, make: () => T): T {
    const known = this.#memories.get(plugin) as T | undefined; // made by the same plugin
    if (known !== undefined) return known;
    const made = make();
    this.#memories.set(plugin, made);
    return made;
  }
}
