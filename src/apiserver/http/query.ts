// The query of a request, read as Go reads it: pairs that hold a semicolon, or an escape that is none, are passed over, where
// URLSearchParams would take them as they stand. Who asks and who is asked must not understand two different things.

const none = new URLSearchParams();
const malformed = /;|%(?![0-9A-Fa-f]{2})/;

/** `text`: what follows the question mark. The result is only read. */
export function parseQuery(text: string): URLSearchParams {
  if (text === "") return none;
  const sound = malformed.test(text)
    ? text
        .split("&")
        .filter((pair) => !malformed.test(pair))
        .join("&")
    : text;
  // A second question mark belongs to the first name: URLSearchParams would drop it.
  return new URLSearchParams(sound.startsWith("?") ? `&${sound}` : sound);
}
