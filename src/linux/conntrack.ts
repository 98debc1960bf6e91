// The kernel's table of connections by way of `conntrack`: which flows are being translated where to, and the end of some of
// them. A flow that is forgotten is looked at by the packet rules again with its next packet.
import { CommandError, type CommandResult, runCommand } from "./run-command.ts";

export type FlowFamily = "ipv4" | "ipv6";

export interface Flow {
  /** Where the client sent to. */
  readonly destination: string;
  readonly destinationPort: number;
  /** Who answers. */
  readonly answeredBy: string;
  readonly answeringPort: number;
}

export interface Conntrack {
  /** Flows of UDP. Rejects with a CommandError, whose `notFound` says that the tool is missing. */
  listUdp(family: FlowFamily): Promise<readonly Flow[]>;
  /** Forgets all flows of UDP with these ends, whoever the client; resolves with how many there were. */
  forgetUdp(family: FlowFamily, flow: Flow): Promise<number>;
}

export interface ConntrackOptions {
  /** Another network namespace, as a path ("/run/netns/blue"). Default this process's own. */
  readonly netns?: string;
}

const maxOutputBytes = 64 * 2 ** 20;
const timeoutMs = 10_000;

export function createConntrack({ netns }: ConntrackOptions = {}): Conntrack {
  const run = (args: readonly string[]): Promise<CommandResult> => {
    const options = { timeoutMs, maxOutputBytes };
    return netns === undefined
      ? runCommand("conntrack", args, options)
      : runCommand("nsenter", [`--net=${netns}`, "conntrack", ...args], options);
  };
  return {
    async listUdp(family) {
      const { stdout } = await run(["-L", "-p", "udp", "-f", family]);
      return parseFlows(stdout);
    },
    async forgetUdp(family, { destination, destinationPort, answeredBy, answeringPort }) {
      const forward = ["--orig-dst", destination, "--orig-port-dst", String(destinationPort)];
      const back = ["--reply-src", answeredBy, "--reply-port-src", String(answeringPort)];
      try {
        const { stderr } = await run(["-D", "-p", "udp", "-f", family, ...forward, ...back]);
        return Number(/(\d+) flow entries have been deleted/.exec(stderr)?.[1] ?? 0);
      } catch (error) {
        // "Nothing found" is a failure to the tool.
        if (error instanceof CommandError && /\b0 flow entries have been deleted/.test(error.stderr)) return 0;
        throw error;
      }
    },
  };
}

/** Each line has both directions: "udp 17 28 src=A dst=B sport=1 dport=2 [UNREPLIED] src=C dst=A sport=3 dport=1 …". */
export function parseFlows(output: string): readonly Flow[] {
  return output.split("\n").flatMap((line) => {
    const fields = new Map<string, string[]>();
    for (const [, name = "", value = ""] of line.matchAll(/\b(src|dst|sport|dport)=(\S+)/g))
      fields.set(name, [...(fields.get(name) ?? []), value]);
    const destination = fields.get("dst")?.[0];
    const answeredBy = fields.get("src")?.[1];
    if (destination === undefined || answeredBy === undefined) return [];
    return [
      { destination, destinationPort: Number(fields.get("dport")?.[0]), answeredBy, answeringPort: Number(fields.get("sport")?.[1]) },
    ];
  });
}
