// Why a text is no URL, in the words of Go's net/url, which stand in messages about webhooks. What this accepts, its parser
// accepts.

/** 'parse "50%": invalid URL escape "%"'; undefined where it is one. */
export function urlProblem(text: string): string | undefined {
  const mark = text.indexOf("#");
  const [url, fragment] = mark < 0 ? [text, ""] : [text.slice(0, mark), text.slice(mark + 1)];
  const problem = partsProblem(url);
  if (problem !== undefined) return `parse ${JSON.stringify(url)}: ${problem}`;
  const wrongEscape = escapeProblem(fragment);
  return wrongEscape === undefined ? undefined : `parse ${JSON.stringify(text)}: ${wrongEscape}`;
}

const controls = /[\u0000-\u001f\u007f]/;

function partsProblem(url: string): string | undefined {
  if (controls.test(url)) return "net/url: invalid control character in URL";
  if (url === "*") return undefined;
  if (url.startsWith(":")) return "missing protocol scheme";
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:/.exec(url)?.[0] ?? "";
  const rest = (url.slice(scheme.length).split("?", 1)[0] ?? "") as string;
  if (!rest.startsWith("/")) {
    if (scheme !== "") return undefined;
    if (rest.split("/", 1)[0]?.includes(":")) return "first path segment in URL cannot contain colon";
  }
  const hasAuthority = rest.startsWith("//") && (scheme !== "" || !rest.startsWith("///"));
  if (!hasAuthority) return escapeProblem(rest);
  const slash = rest.indexOf("/", 2);
  const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
  return authorityProblem(authority) ?? (slash < 0 ? undefined : escapeProblem(rest.slice(slash)));
}

function authorityProblem(authority: string): string | undefined {
  const at = authority.lastIndexOf("@");
  if (at >= 0 && !/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(authority.slice(0, at))) return "net/url: invalid userinfo";
  return hostProblem(authority.slice(at + 1)) ?? (at < 0 ? undefined : escapeProblem(authority.slice(0, at)));
}

function hostProblem(host: string): string | undefined {
  let end = host.lastIndexOf(":");
  if (host.startsWith("[")) {
    const closing = host.lastIndexOf("]");
    if (closing < 0) return "missing ']' in host";
    end = closing + 1;
  }
  const port = end < 0 ? "" : host.slice(end);
  if (port !== "" && !/^:\d*$/.test(port)) return `invalid port ${JSON.stringify(port)} after host`;
  return escapeProblem(host, true) ?? characterProblem(host);
}

function characterProblem(host: string): string | undefined {
  const found = /[^A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"%\u0080-\uffff]/.exec(host)?.[0];
  return found === undefined ? undefined : `invalid character ${JSON.stringify(found)} in host name`;
}

/** In a host only bytes beyond ASCII may be escaped, and the percent sign of a zone. */
function escapeProblem(part: string, isHost = false): string | undefined {
  for (let i = part.indexOf("%"); i >= 0; i = part.indexOf("%", i + 1)) {
    const coded = part.slice(i, i + 3);
    const isSound = /^%[\da-fA-F]{2}$/.test(coded) && (!isHost || coded === "%25" || /^%[89a-fA-F]/.test(coded));
    if (!isSound) return `invalid URL escape ${JSON.stringify(coded)}`;
  }
  return undefined;
}
