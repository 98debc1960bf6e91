// The query of a request as Go reads it: a pair with a semicolon or a broken escape is as if it were not there.

const brokenPair = /;|%(?![0-9a-fA-F]{2})/;

/** `text`: what follows the question mark. */
export function parseQuery(text: string): URLSearchParams {
  if (!brokenPair.test(text)) return new URLSearchParams(text);
  const whole = text.split("&").filter((pair) => !brokenPair.test(pair));
  return new URLSearchParams(whole.join("&"));
}
