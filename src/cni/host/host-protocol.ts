// What the launcher and the plugin host say to each other over the host's socket. The launcher sends, and then closes its side:
//   4 bytes, big-endian: length of the head · the head: the plugin's name, the identity of the launcher's network namespace and
//   the CNI_… variables, with NUL between them · the plugin's standard input
// The host answers with the exit code, a line feed, and the plugin's standard output; or with "-", when the launcher is to run the
// plugin by itself, because the host does not have it or is in another network namespace.

export interface LauncherRequest {
  readonly plugin: string;
  /** "net:[4026531840]", as /proc/self/ns/net links to. */
  readonly namespace: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

export const refusal = "-";

/** Throws where the bytes are no request. */
export function parseRequest(bytes: Buffer): LauncherRequest {
  const length = bytes.length >= 4 ? bytes.readUInt32BE(0) : bytes.length;
  if (bytes.length < 4 + length) throw new Error("the launcher's request is cut off");
  const [plugin = "", namespace = "", ...pairs] = bytes.toString("utf8", 4, 4 + length).split("\0");
  const env = pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]);
  return { plugin, namespace, env: Object.fromEntries(env), stdin: bytes.toString("utf8", 4 + length) };
}

export const renderAnswer = ({ exitCode, stdout }: { readonly exitCode: number; readonly stdout: string }): string =>
  `${exitCode}\n${stdout}`;
