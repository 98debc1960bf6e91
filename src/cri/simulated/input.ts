// What is typed into a simulated container: chunks from any number of attached clients to the one program that reads them.
export class ContainerInput implements AsyncIterable<Uint8Array> {
  readonly #waiting: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #onChunk: () => void = () => undefined;
  #onRoom: (() => void)[] = [];

  /** Resolves when there is room for more. */
  async push(chunk: Uint8Array): Promise<void> {
    if (this.#ended) return;
    this.#waiting.push(chunk);
    this.#bytes += chunk.length;
    this.#onChunk();
    if (this.#bytes > maxBytes) await new Promise<void>((resolve) => this.#onRoom.push(resolve));
  }

  end(): void {
    this.#ended = true;
    this.#onChunk();
    for (const resolve of this.#onRoom.splice(0)) resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#waiting.shift();
      if (chunk) {
        this.#bytes -= chunk.length;
        if (this.#bytes <= maxBytes) for (const resolve of this.#onRoom.splice(0)) resolve();
        yield chunk;
      } else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#onChunk = resolve;
        });
    }
  }
}

const maxBytes = 1024 * 1024;
