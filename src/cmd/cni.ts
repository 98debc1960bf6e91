// `coracle cni PLUGIN`: a CNI plugin of ours as any runtime runs one: arguments in the environment, configuration on standard
// input. The node's own plugins come here only where no node answers them.
import { text } from "node:stream/consumers";
import { realClock } from "../base/clock.ts";
import { createLogger } from "../base/log.ts";
import { DirectoryLocks } from "../cni/host/directory-locks.ts";
import { createEffects } from "../cni/host/effects.ts";
import { createPlugins } from "../cni/plugins/all.ts";
import { answerCall } from "../cni/spec/answer-call.ts";
import { supportedVersions } from "../cni/spec/versions.ts";
import { CommandError } from "./command-error.ts";

const callTimeoutMs = 110_000;

export async function run([name]: readonly string[]): Promise<number> {
  const plugins = createPlugins();
  const plugin = name !== undefined && Object.hasOwn(plugins, name) ? plugins[name] : undefined;
  if (!plugin) throw new CommandError(`expected the name of a plugin: ${Object.keys(plugins).join(", ")}`);
  const { env } = process;
  if ((env.CNI_COMMAND ?? "") === "") {
    process.stderr.write(`CNI plugin ${name} of Coracle\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`);
    return 0;
  }
  const stdin = env.CNI_COMMAND === "VERSION" && process.stdin.isTTY ? "" : await text(process.stdin);
  const abort = new AbortController();
  const deadline = realClock.after(callTimeoutMs, () =>
    abort.abort(new Error(`plugin ${name} took longer than ${callTimeoutMs / 1000} s`)),
  );
  const locks = new DirectoryLocks({ acrossProcesses: true, clock: realClock });
  const effects = createEffects({ plugins, clock: realClock, logger: createLogger("cni"), locks, signal: abort.signal });
  const { exitCode, stdout } = await answerCall(plugin, { env, stdin }, effects);
  deadline.cancel();
  await new Promise<void>((done) => void process.stdout.write(stdout, () => done()));
  return exitCode;
}
