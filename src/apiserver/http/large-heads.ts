// What the heads of requests under way may take together. A head may have a megabyte, a watch keeps its own for hours, and
// what is made of a selector of that size is twenty times as large: a few hundred such watches would fill the memory. Heads
// of ordinary size are not counted; where large ones have used up what there is, others of them are to come back later.
import type { ApiRequest } from "../request.ts";

const ordinaryCharacters = 16 * 1024;
const defaultMaxCharacters = 32 * 1024 * 1024;

const nothing = (): void => undefined;

export class LargeHeads {
  readonly #maxCharacters: number;
  #characters = 0;

  constructor(maxCharacters = defaultMaxCharacters) {
    this.#maxCharacters = maxCharacters;
  }

  /** One more; the returned function, called once, says that it has ended. Undefined: there is no room for it. */
  begin(request: Pick<ApiRequest, "uri" | "headers">): (() => void) | undefined {
    const characters = charactersOf(request);
    if (characters <= ordinaryCharacters) return nothing;
    if (this.#characters + characters > this.#maxCharacters) return undefined;
    this.#characters += characters;
    return () => {
      this.#characters -= characters;
    };
  }
}

function charactersOf({ uri = "", headers }: Pick<ApiRequest, "uri" | "headers">): number {
  let characters = uri.length;
  for (const name in headers) characters += name.length + (headers[name]?.length ?? 0);
  return characters;
}
