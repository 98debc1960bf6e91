// Shutdowns announced by logind, with stand-ins for systemd's tools: scripts that say what the tools would say.
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { realClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { announcementOf, followShutdowns } from "./logind.ts";

const signalLine = (active: boolean): string =>
  JSON.stringify({ type: "signal", member: "PrepareForShutdown", payload: { type: "b", data: [active] } });

describe("announcementOf()", () => {
  test("reads busctl's lines", () => {
    expect(
      [signalLine(true), signalLine(false), '{"member":"Other","payload":{"data":[true]}}', "Monitoring bus"].map(announcementOf),
    ).toEqual([true, false, undefined, undefined]);
  });
});

describe("followShutdowns()", () => {
  let directory: string;
  const path = process.env.PATH;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "logind-"));
    process.env.PATH = `${directory}:${path}`;
  });
  afterEach(async () => {
    process.env.PATH = path;
    await rm(directory, { recursive: true, force: true });
  });

  async function tool(name: string, script: string): Promise<void> {
    await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(directory, name), 0o755);
  }

  /** `monitor` stands for what busctl does when it monitors. */
  async function tools(monitor: string): Promise<void> {
    await tool(
      "busctl",
      `echo "$1" >> ${directory}/calls
case "$1" in
  get-property) cat ${directory}/delay;;
  call) echo "t 30000000" > ${directory}/delay;;
  monitor) ${monitor};;
esac`,
    );
    // exec: what ends the shell has to end what it runs.
    await tool("systemd-inhibit", `echo held >> ${directory}/lock; cat > /dev/null; echo freed >> ${directory}/lock`);
    await writeFile(join(directory, "delay"), "t 5000000\n");
  }

  const follow = (calls: string[], onShutdown?: () => Promise<void>) =>
    followShutdowns(
      {
        ...{ clock: realClock, logger: silentLogger, onCancel: () => void calls.push("cancelled") },
        onShutdown: onShutdown ?? (async () => void calls.push("shutdown")),
      },
      { delaySeconds: 30, systemDirectory: directory, configDirectory: join(directory, "conf") },
    );

  const until = async (what: string, condition: () => Promise<boolean> | boolean): Promise<void> => {
    const endMs = realClock.monotonic() + 10_000;
    while (!(await condition())) {
      if (realClock.monotonic() > endMs) throw new Error(`${what}: not in ten seconds`);
      await realClock.sleep(10);
    }
  };
  const linesOf = async (name: string): Promise<readonly string[]> =>
    (await readFile(join(directory, name), "utf8").catch(() => "")).split("\n").filter((l) => l !== "");

  test("makes logind wait longer, holds the lock while pods end, and frees it then", async () => {
    await tools(`echo '${signalLine(true)}'; exec sleep 60`);
    let finish = (): void => undefined;
    const calls: string[] = [];
    const running = await follow(calls, async () => {
      calls.push("shutdown");
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    await until("the shutdown is announced", () => calls.length > 0);
    expect(await readFile(join(directory, "conf", "99-kubelet.conf"), "utf8")).toBe(
      "# Kubelet logind override\n[Login]\nInhibitDelayMaxSec=30\n",
    );
    expect((await linesOf("calls")).slice(0, 3)).toEqual(["get-property", "call", "get-property"]);
    await until("the lock is held", async () => (await linesOf("lock")).length > 0);
    expect(await linesOf("lock")).toEqual(["held"]);
    finish();
    await until("the lock is freed", async () => (await linesOf("lock")).includes("freed"));
    await running?.stop();
  });

  test("takes the lock again when the shutdown is called off", async () => {
    await tools(`echo '${signalLine(true)}'; echo '${signalLine(false)}'; exec sleep 60`);
    await writeFile(join(directory, "delay"), "t 90000000\n");
    const calls: string[] = [];
    const running = await follow(calls);
    await until("both are announced", () => calls.length === 2);
    expect(calls).toEqual(["shutdown", "cancelled"]);
    await until("the lock is held again", async () => (await linesOf("lock")).filter((l) => l === "held").length === 2);
    expect(await linesOf("calls")).not.toContain("call");
    await running?.stop();
  });

  test("listens again when the tool has ended", async () => {
    await tools(`[ -e ${directory}/again ] && echo '${signalLine(true)}' && exec sleep 60; touch ${directory}/again`);
    const calls: string[] = [];
    const running = await follow(calls);
    await until("the shutdown is announced", () => calls.length > 0);
    await running?.stop();
  });

  test("does without where there is no systemd", async () => {
    await tools("exec sleep 60");
    const options = { delaySeconds: 30, systemDirectory: join(directory, "nothing") };
    const none = { onCancel: () => undefined, onShutdown: async () => undefined };
    expect(await followShutdowns({ clock: realClock, logger: silentLogger, ...none }, options)).toBeUndefined();
  });
});
