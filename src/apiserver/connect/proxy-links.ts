// Links in what a proxied pod or service answers: a page at "/" that names "/login" means the pod's, which is below the
// proxy's path for whoever asked. Redirects and the links of HTML pages are rewritten so; links to other hosts and relative
// ones stay. As upstream, what scripts and style sheets make of URLs is theirs.

export interface ProxyPath {
  /** "/api/v1/namespaces/ns/services/web/proxy", as the client wrote it. */
  readonly prefix: string;
  /** What follows: "", "/" or "/a/b". */
  readonly rest: string;
}

/** Splits the path of a request to pods/proxy, services/proxy or nodes/proxy behind the "proxy". */
export function splitProxyPath(path: string, isNamespaced: boolean): ProxyPath {
  // "", api, v1, [namespaces, name,] resource, name, proxy
  const count = isNamespaced ? 8 : 6;
  let at = 0;
  for (let i = 1; i < count && at >= 0; i++) at = path.indexOf("/", at + 1);
  return at < 0 ? { prefix: path, rest: "" } : { prefix: path.slice(0, at), rest: path.slice(at) };
}

export interface LinkContext {
  readonly prefix: string;
  /** Of the pod, and the one the client asked: links to these are links to the page's own host. */
  readonly hosts: readonly string[];
}

/** A link as the client has to follow it. */
export function rewriteLink(link: string, { prefix, hosts }: LinkContext): string {
  const match = /^(?:([a-z][a-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(.*)$/is.exec(link.trim());
  const [, scheme, host, path = "", tail = ""] = match ?? [];
  const isOfPage = host === undefined ? scheme === undefined : hosts.includes(host);
  if (!match || !isOfPage || (!path.startsWith("/") && host === undefined)) return link;
  if (path === prefix || path.startsWith(`${prefix}/`)) return `${path}${tail}`;
  return `${prefix}${path.startsWith("/") ? path : `/${path}`}${tail}`;
}

/** Attributes with a URL, by element (HTML 4 and 5). */
const linkAttributes: Readonly<Record<string, readonly string[]>> = {
  a: ["href"],
  applet: ["codebase"],
  area: ["href"],
  audio: ["src"],
  base: ["href"],
  blockquote: ["cite"],
  body: ["background"],
  button: ["formaction"],
  command: ["icon"],
  del: ["cite"],
  embed: ["src"],
  form: ["action"],
  frame: ["longdesc", "src"],
  head: ["profile"],
  html: ["manifest"],
  iframe: ["longdesc", "src"],
  img: ["longdesc", "src", "usemap"],
  input: ["src", "usemap", "formaction"],
  ins: ["cite"],
  link: ["href"],
  object: ["classid", "codebase", "data", "usemap"],
  q: ["cite"],
  script: ["src"],
  source: ["src"],
  video: ["poster", "src"],
};

/**
 * The page with its links rewritten. Comments and the insides of scripts and styles are left alone. Reads the page once from
 * front to end, whatever is in it: it may be made by somebody who wants to keep this server busy.
 */
export function rewriteHtml(html: string, context: LinkContext): string {
  let written = "";
  let copiedTo = 0;
  for (const { from, to } of linksIn(html)) {
    written += html.slice(copiedTo, from) + rewriteLink(html.slice(from, to), context);
    copiedTo = to;
  }
  return written + html.slice(copiedTo);
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** Where links stand in a page, without their quotes. */
function* linksIn(html: string): Iterable<Span> {
  let at = 0;
  for (;;) {
    at = html.indexOf("<", at);
    if (at < 0) return;
    if (html.startsWith("<!--", at)) {
      const end = html.indexOf("-->", at + 4);
      if (end < 0) return;
      at = end + 3;
      continue;
    }
    const name = match(/[a-z][a-z0-9]*/iy, html, at + 1)?.toLowerCase();
    if (name === undefined) {
      at++;
      continue;
    }
    const names = linkAttributes[name] ?? [];
    at += 1 + name.length;
    for (;;) {
      const attribute = nextAttribute(html, at);
      if (!attribute) return;
      at = attribute.end;
      if (attribute.isEnd) break;
      if (attribute.value && names.includes(attribute.name)) yield attribute.value;
    }
    if (name === "script" || name === "style") {
      const closing = name === "script" ? /<\/script/gi : /<\/style/gi;
      closing.lastIndex = at;
      if (!closing.test(html)) return;
      at = closing.lastIndex;
    }
  }
}

interface Attribute {
  readonly name: string;
  readonly value?: Span;
  /** Behind it. */
  readonly end: number;
  /** No attribute: the ">" of the element. */
  readonly isEnd: boolean;
}

/** Undefined where the page ends within the element. */
function nextAttribute(html: string, from: number): Attribute | undefined {
  let at = skip(/[\s/]*/y, html, from);
  if (at >= html.length) return undefined;
  if (html[at] === ">") return { name: "", end: at + 1, isEnd: true };
  // A name that begins with what no name can is one character long, so that there is always progress.
  const name = match(/[^\s/>=]+/y, html, at) ?? html.slice(at, at + 1);
  const nameEnd = at + name.length;
  const equals = skip(/\s*/y, html, nameEnd);
  if (html[equals] !== "=") return { name: name.toLowerCase(), end: nameEnd, isEnd: false };
  at = skip(/\s*/y, html, equals + 1);
  const quote = html[at];
  if (quote === '"' || quote === "'") {
    const end = html.indexOf(quote, at + 1);
    return end < 0 ? undefined : { name: name.toLowerCase(), value: { from: at + 1, to: end }, end: end + 1, isEnd: false };
  }
  const end = skip(/[^\s>]*/y, html, at);
  return { name: name.toLowerCase(), value: { from: at, to: end }, end, isEnd: false };
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

const skip = (pattern: RegExp, text: string, at: number): number => at + (match(pattern, text, at)?.length ?? 0);
