// URLs as Go reads them, which is more lenient in some places and stricter in others than browsers are: the parts are kept as
// they were written, hosts are not looked at beyond their characters, and refusals come in Go's words.

export interface GoUrl {
  /** In lower case; "" where there is none. */
  readonly scheme: string;
  /** What follows the scheme of a URL such as "mailto:a@b". */
  readonly opaque: string;
  /** With its "@"; "" where there is none. */
  readonly user: string;
  /** With its port: "example.com:80", "[::1]". */
  readonly host: string;
  /** Escaped. */
  readonly path: string;
  /** undefined: there is no question mark. */
  readonly query: string | undefined;
  /** undefined: there is no hash. */
  readonly fragment: string | undefined;
}

export class GoUrlError extends Error {
  constructor(url: string, problem: string) {
    super(`parse ${JSON.stringify(url)}: ${problem}`);
    this.name = "GoUrlError";
  }
}

class Problem extends Error {}

/** An absolute URI or an absolute path, with its fragment told apart. Throws GoUrlError. */
export function parseRequestUrl(text: string): GoUrl {
  try {
    parse(text, true);
    const hash = text.indexOf("#");
    if (hash < 0) return { ...parse(text, false), fragment: undefined };
    const fragment = text.slice(hash + 1);
    checkEscapes(fragment);
    return { ...parse(text.slice(0, hash), false), fragment };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw new GoUrlError(text, error.message);
  }
}

/** Whether the text may stand in a request line: an absolute URI or an absolute path. */
export function isRequestUri(text: string): boolean {
  try {
    parse(text, true);
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return false;
  }
}

/** The host without port and brackets. */
export function hostName({ host }: GoUrl): string {
  const name = host.slice(0, host.length - portPart(host).length);
  return name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
}

/** "" where there is none. */
export const port = ({ host }: GoUrl): string => portPart(host).slice(1);

/** The values of each key, unescaped; what cannot be read is left out. */
export function queryValues({ query = "" }: GoUrl): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const pair of query.split("&")) {
    if (pair === "" || pair.includes(";")) continue;
    const [key = "", value = ""] = splitOnce(pair, "=").map(unescaped);
    if (key === undefined || value === undefined) continue;
    const known = values.get(key);
    if (known) known.push(value);
    else values.set(key, [value]);
  }
  return values;
}

export function formatUrl({ scheme, opaque, user, host, path, query, fragment }: GoUrl): string {
  const authority = scheme !== "" || host !== "" || user !== "" ? (host === "" && user === "" ? "" : `//${user}${host}`) : "";
  const start = scheme === "" ? "" : `${scheme}:`;
  const place = opaque === "" ? `${authority}${path}` : opaque;
  return `${start}${place}${query === undefined ? "" : `?${query}`}${fragment ? `#${fragment}` : ""}`;
}

type Parts = Omit<GoUrl, "fragment">;

const nothing: Parts = { scheme: "", opaque: "", user: "", host: "", path: "", query: undefined };

function parse(text: string, isRequest: boolean): Parts {
  if (/[\x00-\x1f\x7f]/.test(text)) throw new Problem("net/url: invalid control character in URL");
  if (text === "" && isRequest) throw new Problem("empty url");
  if (text === "*") return { ...nothing, path: "*" };
  const [scheme, afterScheme] = splitScheme(text);
  const [place = "", query] = splitOnce(afterScheme, "?");
  const parts = { ...nothing, scheme: scheme.toLowerCase(), query };
  if (!place.startsWith("/")) {
    if (scheme !== "") return { ...parts, opaque: place };
    if (isRequest) throw new Problem("invalid URI for request");
    if ((place.split("/")[0] ?? "").includes(":")) throw new Problem("first path segment in URL cannot contain colon");
  }
  const hasAuthority = place.startsWith("//") && (scheme !== "" || (!isRequest && !place.startsWith("///")));
  if (!hasAuthority) return { ...parts, path: checkedPath(place) };
  const slash = place.indexOf("/", 2);
  const authority = slash < 0 ? place.slice(2) : place.slice(2, slash);
  const at = authority.lastIndexOf("@");
  const host = authority.slice(at + 1);
  checkHost(host);
  const user = authority.slice(0, at + 1);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user)) throw new Problem("net/url: invalid userinfo");
  checkEscapes(user);
  return { ...parts, user, host, path: checkedPath(slash < 0 ? "" : place.slice(slash)) };
}

function splitScheme(text: string): readonly [string, string] {
  if (text.startsWith(":")) throw new Problem("missing protocol scheme");
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1] ?? "";
  return [scheme, scheme === "" ? text : text.slice(scheme.length + 1)];
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function checkHost(host: string): void {
  if (host.startsWith("[")) {
    const end = host.lastIndexOf("]");
    if (end < 0) throw new Problem("missing ']' in host");
    checkPort(host.slice(end + 1));
  } else if (host.includes(":")) checkPort(host.slice(host.lastIndexOf(":")));
  const wrong = /[^A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"%\u0080-\u{10ffff}]/u.exec(host);
  if (wrong) throw new Problem(`invalid character ${JSON.stringify(wrong[0])} in host name`);
  checkEscapes(host);
}

function checkPort(text: string): void {
  if (!/^(?::\d*)?$/.test(text)) throw new Problem(`invalid port ${JSON.stringify(text)} after host`);
}

const portPart = (host: string): string => /:\d*$/.exec(host)?.[0] ?? "";

function checkEscapes(text: string): void {
  const wrong = /%(?![0-9a-fA-F]{2}).{0,2}/su.exec(text);
  if (wrong) throw new Problem(`invalid URL escape ${JSON.stringify(wrong[0])}`);
}

/** The path as it was written where that is well escaped, and else escaped anew. */
function checkedPath(path: string): string {
  checkEscapes(path);
  if (/^[A-Za-z0-9\-_.~!$&'()*+,;=:@/%[\]]*$/.test(path)) return path;
  return path.replace(/[^A-Za-z0-9\-_.~$&+,/:;=@%]/gu, (character) => encodeURIComponent(character).replace(/[!'()*[\]?]/g, percent));
}

const percent = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;

/** undefined for what is escaped wrongly. */
function unescaped(text: string | undefined): string | undefined {
  if (text === undefined) return "";
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined; // not worth more: Go leaves such a value out too
  }
}
