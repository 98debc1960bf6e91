// The commands that every simulated container has, so that `kubectl exec` and `kubectl cp` find what they look for: of each as
// much as people type. What else an image's containers can run its program says (ImageBehaviour.exec).
import { posix } from "node:path";
import type { ExecSession, SimulatedProcess } from "./process.ts";
import { runShell } from "./shell.ts";
import { runTar } from "./tar.ts";

/** A command's own arguments; its exit code. */
export type Command = (args: readonly string[], session: ExecSession, process: SimulatedProcess) => Promise<number>;

const commands: Readonly<Record<string, Command>> = {
  true: async () => 0,
  false: async () => 1,
  echo: async (args, session) => {
    const isBare = args[0] === "-n";
    await session.write(`${args.slice(isBare ? 1 : 0).join(" ")}${isBare ? "" : "\n"}`);
    return 0;
  },
  cat,
  ls,
  env: printEnvironment,
  printenv: printEnvironment,
  test,
  "[": (args, session, process) => test(args.at(-1) === "]" ? args.slice(0, -1) : args, session, process),
  tar: runTar,
  sh: (args, session, process) => runShell(args, session, process, runBuiltIn),
  bash: (args, session, process) => runShell(args, session, process, runBuiltIn),
  hostname: async (_args, session, { pod }) => {
    await session.write(`${pod.name}\n`);
    return 0;
  },
  date: async (_args, session, { clock }) => {
    await session.write(`${new Date(clock.now()).toUTCString()}\n`);
    return 0;
  },
  sleep: async ([seconds = "0"], { signal }, { clock }) => {
    await clock.sleep(Number.parseFloat(seconds) * 1000, signal);
    return 0;
  },
  mkdir: async (args, _session, { files }) => {
    for (const path of pathsOf(args)) await files.makeDirectory(path);
    return 0;
  },
  rm: async (args, _session, { files }) => {
    for (const path of pathsOf(args)) await files.remove(path);
    return 0;
  },
  wget: fetchPage,
  curl: fetchPage,
};

/** The exit code; undefined where there is no such command. */
export async function runBuiltIn(session: ExecSession, process: SimulatedProcess): Promise<number | undefined> {
  const [path = "", ...args] = session.command;
  const name = posix.basename(path);
  if (!Object.hasOwn(commands, name)) return undefined;
  try {
    return await commands[name]?.(args, session, process);
  } catch (error) {
    if (session.signal.aborted) throw error;
    await session.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`, "stderr");
    return 1;
  }
}

const pathsOf = (args: readonly string[]): readonly string[] => args.filter((arg) => !arg.startsWith("-"));

async function cat(args: readonly string[], session: ExecSession, { files }: SimulatedProcess): Promise<number> {
  if (args.length === 0) for await (const chunk of session.stdin) await session.write(chunk);
  let code = 0;
  for (const path of args) {
    const bytes = await files.read(path);
    if (bytes) await session.write(bytes);
    else {
      code = 1;
      await session.write(`cat: ${path}: ${(await files.info(path)) ? "Is a directory" : "No such file or directory"}\n`, "stderr");
    }
  }
  return code;
}

async function ls(args: readonly string[], session: ExecSession, { files }: SimulatedProcess): Promise<number> {
  const [path = "/"] = pathsOf(args);
  const info = await files.info(path);
  if (!info) {
    await session.write(`ls: ${path}: No such file or directory\n`, "stderr");
    return 1;
  }
  const names = info.kind === "file" ? [path] : await files.list(path);
  await session.write(names.map((name) => `${name}\n`).join(""));
  return 0;
}

async function printEnvironment(args: readonly string[], session: ExecSession, process: SimulatedProcess): Promise<number> {
  const env: Readonly<Record<string, string>> = { HOSTNAME: process.pod.name, ...process.env };
  const [name] = args;
  if (name === undefined)
    await session.write(
      Object.entries(env)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(""),
    );
  else if (env[name] === undefined) return 1;
  else await session.write(`${env[name]}\n`);
  return 0;
}

/** test -d, -f, -e, and whether a text is empty. */
async function test(args: readonly string[], _session: ExecSession, { files }: SimulatedProcess): Promise<number> {
  const [operator = "", operand = ""] = args;
  if (operator === "-z") return operand === "" ? 0 : 1;
  if (operator === "-n") return operand === "" ? 1 : 0;
  if (!["-d", "-f", "-e"].includes(operator)) return operator === "" ? 1 : 0;
  const info = await files.info(operand);
  const holds = operator === "-e" ? info !== undefined : info?.kind === (operator === "-d" ? "directory" : "file");
  return holds ? 0 : 1;
}

/** The page at a URL of the simulated network, as `wget -qO-` and `curl -s` print it. */
async function fetchPage(args: readonly string[], session: ExecSession, process: SimulatedProcess): Promise<number> {
  const address = args.find((arg) => /^[a-z]+:\/\//.test(arg)) ?? `http://${args.findLast((arg) => !arg.startsWith("-")) ?? ""}`;
  const response = await process.fetch(address, { signal: session.signal });
  await session.write(new Uint8Array(await response.arrayBuffer()));
  return response.status < 400 ? 0 : 1;
}
