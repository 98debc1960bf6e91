// What the launcher and the plugin host say to each other over the host's socket. Numbers are 4 bytes, big-endian; "text" is its
// length in bytes and the bytes.
//   launcher: text head · text standard input. The head is the plugin's name, the identity of the launcher's network namespace and
//             the CNI_… variables, with NUL between them.
//   host:     one letter · text, any number of times, where the letter is
//     R  run a tool: text namespace · text input · count of texts and texts: paths and values of kernel parameters, by turns ·
//        count of texts and texts: the command. The launcher answers with text: number exit code · text output · text errors
//     L  bring an interface up or down: text namespace · text name · text "up" or "down". The same answer.
//     A  the end: exit code, a line feed, and the plugin's standard output
//     -  the end: the launcher is to run the plugin by itself, as the host does not have it or is in another namespace

export interface LauncherRequest {
  readonly plugin: string;
  /** "net:[4026531840]", as /proc/self/ns/net links to. */
  readonly namespace: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

export function parseHead(head: Buffer, stdin: Buffer): LauncherRequest {
  const [plugin = "", namespace = "", ...pairs] = head.toString("utf8").split("\0");
  const env = pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]);
  return { plugin, namespace, env: Object.fromEntries(env), stdin: stdin.toString("utf8") };
}

export interface RunRequest {
  readonly netns: string;
  readonly input: string;
  /** Paths and values, by turns. */
  readonly sysctls: readonly string[];
  readonly command: readonly string[];
}

export const renderRun = ({ netns, input, sysctls, command }: RunRequest): Buffer =>
  frame("R", Buffer.concat([text(netns), text(input), texts(sysctls), texts(command)]));

export const renderLink = (netns: string, name: string, up: boolean): Buffer =>
  frame("L", Buffer.concat([text(netns), text(name), text(up ? "up" : "down")]));

export const renderAnswer = ({ exitCode, stdout }: { readonly exitCode: number; readonly stdout: string }): Buffer =>
  frame("A", Buffer.from(`${exitCode}\n${stdout}`));

export const refusal = frame("-", Buffer.alloc(0));

export interface RunOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function parseOutcome(bytes: Buffer): RunOutcome {
  const exitCode = bytes.readUInt32BE(0);
  const length = bytes.readUInt32BE(4);
  const errorsAt = 8 + length;
  return { exitCode, stdout: bytes.toString("utf8", 8, errorsAt), stderr: bytes.toString("utf8", errorsAt + 4) };
}

function frame(letter: string, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(letter), number(payload.length), payload]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number(bytes.length), bytes]);
}

const texts = (values: readonly string[]): Buffer => Buffer.concat([number(values.length), ...values.map(text)]);
