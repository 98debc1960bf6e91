import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../base/log.ts";
import { CommandError } from "../command-error.ts";
import { nodeControl } from "../node/node-control.ts";
import { type ControlHandler, callControl, controlSocket, serveControl } from "./control-channel.ts";

describe("the control channel", () => {
  let dataDir: string;
  const stops: (() => Promise<void>)[] = [];
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "cctl-"));
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
    await rm(dataDir, { recursive: true });
  });
  const serve = async (handler: ControlHandler): Promise<void> => {
    const running = await serveControl(dataDir, handler, silentLogger);
    stops.push(() => running.stop());
  };
  const call = async (command: string, ...args: readonly string[]) => {
    const said: string[] = [];
    const result = await callControl(dataDir, { command, args }, (text) => said.push(text));
    return { said, result };
  };

  test("passes on the request, what happens meanwhile, and the result", async () => {
    await serve(async ({ command, args }, say) => {
      say("one moment");
      return `${command} of ${args.join()}`;
    });
    expect(await call("node add", "a", "ü\n")).toEqual({ said: ["one moment"], result: "node add of a,ü\n" });
    expect(await call("again")).toMatchObject({ result: "again of " });
  });

  test("belongs to its owner alone, and takes the place of a dead one", async () => {
    await writeFile(controlSocket(dataDir), "");
    await serve(async () => "");
    expect((await stat(controlSocket(dataDir))).mode & 0o777).toBe(0o600);
  });

  test("what the cluster refuses is an error of the command", async () => {
    await serve(async () => {
      throw new CommandError("there is no such node");
    });
    await expect(call("node rm", "x")).rejects.toThrow(new CommandError("there is no such node"));
  });

  test("a failure of the cluster is told apart", async () => {
    await serve(async () => {
      throw new Error("disk", { cause: new Error("full") });
    });
    await expect(call("node add")).rejects.toThrow("the cluster failed: disk: full");
  });

  test("says that no cluster runs where nobody listens", async () => {
    await expect(call("node list")).rejects.toThrow(/no cluster with nodes runs here/);
    const { stop } = await serveControl(dataDir, async () => "", silentLogger);
    await stop();
    await expect(call("node list")).rejects.toThrow(/no cluster with nodes runs here/);
  });

  test("a request that is none ends its connection, and nothing else", async () => {
    await serve(async () => "still here");
    for (const bytes of ["{nonsense\n", "x".repeat(100_000)]) {
      const socket = connect(controlSocket(dataDir));
      await new Promise<void>((resolve) => {
        socket.on("error", () => undefined);
        socket.on("close", () => resolve());
        socket.write(bytes);
        socket.resume();
      });
    }
    expect(await call("x")).toMatchObject({ result: "still here" });
  });

  test("without real nodes the node commands say what they need", async () => {
    await serve(nodeControl("nodes need a containerd each"));
    await expect(call("node add")).rejects.toThrow("nodes need a containerd each");
  });

  test("a data directory with a long name has its socket elsewhere", () => {
    expect(controlSocket(`/${"x".repeat(100)}`)).toMatch(/^\/run\/coracle\/[0-9a-f]{8}\.control\.sock$/);
  });
});
