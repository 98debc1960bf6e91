// A shell for simulated containers: enough for `sh -c "echo hello > /tmp/x"` and for a person who looks around with
// `kubectl exec -it … -- sh`. Commands one after the other (; && ||), quotes, variables, output into files; no pipes.
import type { ExecSession, SimulatedProcess } from "./process.ts";

type RunCommand = (session: ExecSession, process: SimulatedProcess) => Promise<number | undefined>;

const maxLineLength = 64 * 1024;

export async function runShell(args: readonly string[], session: ExecSession, process: SimulatedProcess, run: RunCommand): Promise<number> {
  const at = args.findIndex((arg) => /^-[a-z]*c$/.test(arg));
  if (at >= 0) return (await runScript(args[at + 1] ?? "", { session, process, run })).code;
  return await interact({ session, process, run });
}

interface Shell {
  readonly session: ExecSession;
  readonly process: SimulatedProcess;
  readonly run: RunCommand;
}

interface Outcome {
  readonly code: number;
  readonly exits: boolean;
}

/** Lines from stdin until its end or `exit`. */
async function interact(shell: Shell): Promise<number> {
  const { session } = shell;
  const prompt = async (): Promise<void> => {
    if (session.tty) await session.write("$ ");
  };
  let line = "";
  let code = 0;
  await prompt();
  for await (const chunk of session.stdin) {
    for (const character of new TextDecoder().decode(chunk)) {
      if (character === "\x04" && line === "") return code;
      if (character === "\x03") line = "";
      else if (character === "\x7f" || character === "\b") {
        if (line !== "" && session.tty) await session.write("\b \b");
        line = line.slice(0, -1);
        continue;
      } else if (character !== "\r" && character !== "\n") {
        if (line.length < maxLineLength) line += character;
        if (session.tty) await session.write(character);
        continue;
      }
      if (session.tty) await session.write("\r\n");
      const outcome = await runScript(line, shell);
      line = "";
      code = outcome.code;
      if (outcome.exits) return code;
      await prompt();
    }
  }
  return line === "" ? code : (await runScript(line, shell)).code;
}

async function runScript(script: string, shell: Shell): Promise<Outcome> {
  const words = split(script, { HOSTNAME: shell.process.pod.name, ...shell.process.env });
  if (words === undefined) {
    await shell.session.write("sh: simulated containers know no pipes, substitutions and background commands\n", "stderr");
    return { code: 2, exits: false };
  }
  let code = 0;
  let operator = ";";
  for (let at = 0; at < words.length; ) {
    const end = words.findIndex((word, i) => i >= at && word.isOperator);
    const command = words.slice(at, end < 0 ? words.length : end).map((word) => word.text);
    const applies = operator === ";" || (operator === "&&") === (code === 0);
    if (applies && command[0] === "exit") return { code: Number(command[1] ?? code), exits: true };
    if (applies && command.length > 0) code = await runOne(command, shell);
    operator = end < 0 ? ";" : (words[end]?.text ?? ";");
    at = end < 0 ? words.length : end + 1;
  }
  return { code, exits: false };
}

async function runOne(command: readonly string[], { session, process, run }: Shell): Promise<number> {
  const at = command.findIndex((word) => word === ">" || word === ">>");
  const toStderr = command.includes(">&2");
  const words = (at < 0 ? command : command.slice(0, at)).filter((word) => word !== ">&2");
  const chunks: Uint8Array[] = [];
  const target = at < 0 ? undefined : command[at + 1];
  const own: ExecSession = {
    ...{ command: words, stdin: session.stdin, tty: session.tty, signal: session.signal },
    write: async (output, stream = "stdout") => {
      if (target !== undefined && stream === "stdout") chunks.push(typeof output === "string" ? Buffer.from(output) : output);
      else
        await session.write(
          session.tty && typeof output === "string" ? output.replaceAll("\n", "\r\n") : output,
          toStderr ? "stderr" : stream,
        );
    },
  };
  const code = await run(own, process);
  if (code === undefined) {
    await session.write(`sh: ${words[0] ?? ""}: not found\n`, "stderr");
    return 127;
  }
  if (target !== undefined && target !== "/dev/null") {
    const before = command[at] === ">>" ? await process.files.read(target) : undefined;
    await process.files.write(target, Buffer.concat([...(before ? [before] : []), ...chunks]));
  }
  return code;
}

interface Word {
  readonly text: string;
  readonly isOperator: boolean;
}

const token = /[^\S\n]+|(&&|\|\||;|\n)|(>&2|>>|>)|((?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s;&|<>'"\\`(]|\((?!))+)/gy;

/** Undefined for what this shell does not know. */
function split(script: string, env: Readonly<Record<string, string>>): readonly Word[] | undefined {
  const words: Word[] = [];
  let at = 0;
  token.lastIndex = 0;
  for (let match = token.exec(script); match; match = token.exec(script)) {
    at = token.lastIndex;
    const [, operator, redirection, word] = match;
    if (operator !== undefined) words.push({ text: operator === "\n" ? ";" : operator, isOperator: true });
    else if (redirection !== undefined) words.push({ text: redirection, isOperator: false });
    else if (word !== undefined) {
      if (/\$\(/.test(word)) return undefined;
      words.push({ text: unquoted(word, env), isOperator: false });
    }
  }
  return at === script.length ? words : undefined;
}

function unquoted(word: string, env: Readonly<Record<string, string>>): string {
  const expanded = (text: string): string => text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_all, long, short) => env[long ?? short] ?? "");
  return word.replace(/'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)/g, (_all, single, double, escaped, bare) => {
    if (single !== undefined) return single;
    if (double !== undefined) return expanded(double.replace(/\\(["\\$`])/g, "$1"));
    return escaped ?? expanded(bare);
  });
}
