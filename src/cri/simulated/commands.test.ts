import { extract } from "tar-stream";
import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { runBuiltIn } from "./commands.ts";
import { SimulatedFiles } from "./files.ts";
import type { SimulatedProcess } from "./process.ts";

function container(files = new SimulatedFiles([])) {
  const process = {
    ...{ files, clock: new VirtualClock(), env: { COLOUR: "blue" }, args: [] },
    pod: { name: "web-1", namespace: "shop", uid: "u", addresses: ["10.0.0.1"] },
  } as unknown as SimulatedProcess; // commands look at nothing else
  return async (command: readonly string[], stdin: string | readonly Uint8Array[] = "", tty = false) => {
    const output = { stdout: [] as Buffer[], stderr: "" };
    async function* input(): AsyncGenerator<Uint8Array> {
      if (typeof stdin === "string") yield Buffer.from(stdin);
      else yield* stdin;
    }
    const code = await runBuiltIn(
      {
        ...{ command, stdin: input(), tty, signal: new AbortController().signal },
        write: async (text, stream = "stdout") => {
          if (stream === "stdout") output.stdout.push(Buffer.from(text));
          else output.stderr += text;
        },
      },
      process,
    );
    return { code, bytes: Buffer.concat(output.stdout), stdout: Buffer.concat(output.stdout).toString(), stderr: output.stderr };
  };
}

describe("commands of simulated containers", () => {
  it.each([
    [["echo", "a", "b"], 0, "a b\n", ""],
    [["/bin/echo", "-n", "a"], 0, "a", ""],
    [["cat", "/none"], 1, "", "cat: /none: No such file or directory\n"],
    [["ls", "/"], 0, "tmp\n", ""],
    [["printenv", "COLOUR"], 0, "blue\n", ""],
    [["env"], 0, "HOSTNAME=web-1\nCOLOUR=blue\n", ""],
    [["test", "-d", "/tmp"], 0, "", ""],
    [["test", "-f", "/tmp"], 1, "", ""],
    [["hostname"], 0, "web-1\n", ""],
    [["false"], 1, "", ""],
    [["nonesuch"], undefined, "", ""],
    [["tar", "rf", "-"], 1, "", "tar: only c and x are there, with an archive on stdout or stdin (f -)\n"],
  ])("%j", async (command, code, stdout, stderr) => {
    expect(await container()(command)).toMatchObject({ code, stdout, stderr });
  });

  it.each([
    ["echo $COLOUR; exit 3", 3, "blue\n", ""],
    [`echo "\${COLOUR} 'x'" '$COLOUR' \\$`, 0, "blue 'x' $COLOUR $\n", ""],
    ["false && echo no || echo yes", 0, "yes\n", ""],
    ["echo a > /tmp/f; echo b >> /tmp/f\ncat /tmp/f", 0, "a\nb\n", ""],
    ["echo bad >&2; false", 1, "", "bad\n"],
    ["nonesuch", 127, "", "sh: nonesuch: not found\n"],
    ["echo $(date)", 2, "", "sh: simulated containers know no pipes, substitutions and background commands\n"],
    ["cat /tmp/x | wc", 2, "", "sh: simulated containers know no pipes, substitutions and background commands\n"],
  ])("sh -c %j", async (script, code, stdout, stderr) => {
    expect(await container()(["sh", "-c", script])).toMatchObject({ code, stdout, stderr });
  });

  it("sh reads lines, and echoes them on a terminal", async () => {
    expect(await container()(["sh"], "echo one\nexit 4\necho two\n")).toMatchObject({ code: 4, stdout: "one\n" });
    expect(await container()(["sh"], "ecjo\x7f\x7fho hi\rexit\r", true)).toMatchObject({
      code: 0,
      stdout: "$ ecjo\b \b\b \bho hi\r\nhi\r\n$ exit\r\n",
    });
  });

  it("tar packs and unpacks as kubectl cp asks for it", async () => {
    const files = new SimulatedFiles([]);
    await files.write("/srv/a.txt", "first");
    await files.write("/srv/deep/b.txt", "second");
    const packed = await container(files)(["tar", "cf", "-", "/srv"]);
    const names: string[] = [];
    const reader = extract();
    reader.end(packed.bytes);
    for await (const entry of reader) {
      names.push(entry.header.name);
      entry.resume();
    }
    expect([packed.code, names]).toEqual([0, ["srv/", "srv/a.txt", "srv/deep/", "srv/deep/b.txt"]]);

    const other = new SimulatedFiles([]);
    // In pieces, as they arrive over a connection.
    const pieces = Array.from({ length: Math.ceil(packed.bytes.length / 100) }, (_, i) => packed.bytes.subarray(i * 100, i * 100 + 100));
    expect(await container(other)(["tar", "-xmf", "-", "-C", "/copy"], pieces)).toMatchObject({ code: 0, stderr: "" });
    expect([await other.readText("/copy/srv/a.txt"), await other.readText("/copy/srv/deep/b.txt")]).toEqual(["first", "second"]);
    const missing = await container(files)(["tar", "cf", "-", "/none"]);
    expect([missing.code, missing.stderr]).toEqual([2, "tar: /none: Cannot stat: No such file or directory\n"]);
  });
});

describe("SimulatedFiles", () => {
  it("keeps within its room, and gives it back", async () => {
    const files = new SimulatedFiles([]);
    const half = new Uint8Array(40 * 2 ** 20);
    await files.write("/a", half);
    await expect(files.write("/b", half)).rejects.toThrow("/b: No space left on device");
    await files.remove("/a");
    await files.write("/b", half);
    expect(await files.list("/")).toEqual(["b", "tmp"]);
  });

  it("does not reach the machine's files beyond the directories it is given", async () => {
    const mounts = [{ containerPath: "/host", hostPath: "/etc", readonly: false }] as never; // the other fields are not looked at
    const files = new SimulatedFiles(mounts, ["/var/lib/coracle"]);
    expect(await files.readText("/host/passwd")).toBeUndefined();
    await files.write("/host/passwd", "mine");
    expect(await files.readText("/host/passwd")).toBe("mine");
  });
});
