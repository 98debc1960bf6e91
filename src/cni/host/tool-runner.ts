// Who runs the tools that plugins need: this process, or the launcher of the call (launcher-session.ts), for which starting a
// program is many times cheaper.
import { join } from "node:path";
import { type CommandResult, runCommand } from "../../linux/run-command.ts";

export interface ToolRun {
  readonly tool: string;
  readonly args: readonly string[];
  readonly input?: string;
  /** Path of another network namespace. */
  readonly netns?: string;
  /** Values below /proc/sys that are written before, in that namespace; those that are not there are left out. */
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface ToolRunner {
  /** Rejects with CommandError. */
  run(run: ToolRun): Promise<CommandResult>;
  /** Brings an interface up or down. */
  setLink(link: { readonly netns: string; readonly name: string; readonly up: boolean; readonly signal: AbortSignal }): Promise<void>;
}

/** Writes pairs of files and values, those that are there, then becomes the command after "--". */
const writeThenExec = 'while [ "$1" != -- ]; do if [ -e "$1" ]; then printf %s "$2" > "$1"; fi; shift 2; done; shift; exec "$@"';

const linkTimeoutMs = 20_000;

export const localRunner: ToolRunner = {
  async run({ tool, args, input, netns, sysctls = {}, timeoutMs, signal }) {
    const pairs = Object.entries(sysctls).flatMap(([name, value]) => [join("/proc/sys", name), value]);
    const inner = pairs.length === 0 ? [tool, ...args] : ["sh", "-c", writeThenExec, "sh", ...pairs, "--", tool, ...args];
    const [command = tool, ...rest] = netns === undefined ? inner : ["nsenter", `--net=${netns}`, ...inner];
    return runCommand(command, rest, { timeoutMs, signal, ...(input === undefined ? {} : { input }) });
  },
  async setLink({ netns, name, up, signal }) {
    const args = [`--net=${netns}`, "ip", "link", "set", "dev", name, up ? "up" : "down"];
    await runCommand("nsenter", args, { timeoutMs: linkTimeoutMs, signal });
  },
};
