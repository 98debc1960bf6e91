import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import type { Input } from "../../rpc/protocol.ts";
import type { ContainerConfig } from "../generated/runtime-v1.ts";
import { createSimulatedRuntime, type SimulatedRuntime, type SimulatedRuntimeOptions } from "../simulated.ts";
import { SimulatedNetwork } from "./network.ts";
import { checkedImages, type ImageBehaviour, SimulatedPrograms } from "./programs.ts";

const image = "example.test/app:1";
let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-programs-"));
});
afterAll(() => rm(directory, { recursive: true }));

interface Started {
  readonly clock: VirtualClock;
  readonly runtime: SimulatedRuntime;
  readonly containerId: string;
  readonly network: SimulatedNetwork;
  status(): Promise<{ readonly state: string; readonly exitCode: number; readonly reason: string }>;
  log(): Promise<readonly string[]>;
}

let pods = 0;

async function start(
  behaviour: ImageBehaviour,
  { config, options }: { readonly config?: Input<ContainerConfig>; readonly options?: Partial<SimulatedRuntimeOptions> } = {},
): Promise<Started> {
  const clock = new VirtualClock();
  const network = new SimulatedNetwork();
  const runtime = createSimulatedRuntime({ clock, network, images: [image], behaviours: { [image]: behaviour }, ...options });
  const name = `pod-${++pods}`;
  const logDirectory = join(directory, name);
  const sandboxConfig = { metadata: { name, namespace: "shop", uid: name, attempt: 0 }, logDirectory };
  const { podSandboxId } = await runtime.runPodSandbox({ config: sandboxConfig });
  const container = { metadata: { name: "main", attempt: 0 }, image: { image }, logPath: "main.log", ...config };
  const { containerId } = await runtime.createContainer({ podSandboxId, config: container, sandboxConfig });
  await runtime.startContainer({ containerId });
  const status = async () => {
    const found = (await runtime.containerStatus({ containerId })).status;
    return { state: found?.state ?? "", exitCode: found?.exitCode ?? -1, reason: found?.reason ?? "" };
  };
  const log = async () => {
    const lines = (await readFile(join(logDirectory, "main.log"), "utf8")).split("\n").slice(0, -1);
    return lines.map((line) => line.split(" ").slice(1).join(" "));
  };
  return { clock, runtime, containerId, network, status, log };
}

const ended = (exitCode: number, reason = exitCode === 0 ? "Completed" : "Error") => ({ state: "CONTAINER_EXITED", exitCode, reason });
const running = { state: "CONTAINER_RUNNING", exitCode: 0, reason: "" };

describe("a simulated program", () => {
  it("knows its arguments, environment and pod, and ends with the code that it gives", async () => {
    const config = { command: ["serve"], args: ["--fast"], envs: [{ key: "COLOUR", value: Buffer.from("blue") }] };
    const { clock, status, log } = await start(
      {
        run: async ({ args, env, pod, print }) => {
          print([...args, env.COLOUR, pod.namespace, ...pod.addresses].join(" "));
          return 7;
        },
      },
      { config },
    );
    await clock.settle();
    expect([await status(), await log()]).toEqual([ended(7), ["stdout F serve --fast blue shop 10.244.0.2"]]);
  });

  it("runs on when it gives no code, and waits by the clock", async () => {
    const { clock, status, log } = await start({
      run: async (process) => {
        await process.sleep(60_000);
        process.stdout.write("half ");
        process.stdout.write("a line\nand more");
      },
    });
    await clock.advance(59_000);
    expect(await log()).toEqual([]);
    await clock.advance(1_000);
    expect([await status(), await log()]).toEqual([running, ["stdout F half a line"]]);
  });

  it("ends with 1 when it throws, and says why", async () => {
    const { clock, status, log } = await start({
      run: async () => {
        throw new Error("no disk");
      },
    });
    await clock.settle();
    expect(await status()).toEqual(ended(1));
    expect((await log())[0]).toBe("stderr F Error: no disk");
  });

  it("ends at once on its stop signal, unless it has something to do before", async () => {
    const stop = async ({ runtime, containerId, clock }: Started, advanceMs = 0): Promise<void> => {
      const stopping = runtime.stopContainer({ containerId, timeout: 30 });
      await clock.advance(advanceMs);
      await stopping;
    };
    const plain = await start({ run: () => undefined });
    await stop(plain);
    expect(await plain.status()).toEqual(ended(143));

    const other = await start({}, { config: { stopSignal: "SIGUSR1" } });
    await stop(other);
    expect(await other.status()).toEqual(ended(138));

    const tidy = await start({
      run: (process) =>
        process.onStop(async ({ signal, number, graceMs }) => {
          await process.clock.sleep(10_000);
          process.print(`${signal} ${number} ${graceMs}`);
        }),
    });
    await stop(tidy, 10_000);
    expect([await tidy.status(), await tidy.log()]).toEqual([ended(0), ["stdout F SIGTERM 15 30000"]]);

    const slow = await start({ run: (process) => process.onStop(() => process.clock.sleep(60_000)) });
    await stop(slow, 30_000);
    expect(await slow.status()).toEqual(ended(137));

    const waiting = await start({ run: async (process) => process.sleep(60_000) });
    await stop(waiting);
    expect(await waiting.status()).toEqual(ended(143));
  });

  it("is killed when it uses more memory than it may", async () => {
    const config = { linux: { resources: { memoryLimitInBytes: 100 } } };
    const { runtime, containerId, status } = await start({ usage: { cpuMillicores: 1, memoryBytes: 60 } }, { config });
    runtime.setUsage(containerId, { memoryBytes: 100 });
    expect(await status()).toEqual(running);
    runtime.setUsage(containerId, { memoryBytes: 101 });
    expect(await status()).toEqual(ended(137, "OOMKilled"));
    const lowered = await start({ run: (process) => process.use({ memoryBytes: 90, cpuCores: 2 }) }, { config });
    await lowered.runtime.updateContainerResources({ containerId: lowered.containerId, linux: { memoryLimitInBytes: 80 } });
    expect(await lowered.status()).toEqual(ended(137, "OOMKilled"));
  });

  it("finds its volumes in real directories, and keeps other files in memory", async () => {
    const volume = await mkdtemp(join(directory, "volume-"));
    const mounts = [{ containerPath: "/data", hostPath: volume }];
    const { clock, log } = await start(
      {
        run: async ({ files, stdout }) => {
          await files.write("/data/deep/a", "kept");
          await files.write("/scratch/b", "lost");
          stdout.write(
            `${await files.readText("/data/deep/a")} ${await files.readText("/scratch/../scratch/b")} ${await files.list("/")}\n`,
          );
          stdout.write(`${(await files.info("/data/../../etc/passwd"))?.kind} ${await files.list("/data")}\n`);
        },
      },
      { config: { mounts } },
    );
    // Files of volumes are written in real time.
    await expect.poll(async () => (await clock.settle().then(log)).length).toBe(2);
    expect(await log()).toEqual(["stdout F kept lost data,scratch,tmp", "stdout F undefined deep"]);
    expect(await readFile(join(volume, "deep/a"), "utf8")).toBe("kept");
  });

  it("serves HTTP at its pod's address, and other programs reach it by address and by name", async () => {
    const { network, status, runtime, containerId } = await start({
      run: (process) => process.serve(80, async (request) => new Response(`${request.method} ${await request.text()}`, { status: 201 })),
    });
    network.useResolver((host, port, namespace) =>
      host === "web" ? { host: "10.244.0.2", port: namespace === "shop" ? port - 1000 : 1 } : undefined,
    );
    const client = createSimulatedRuntime({
      ...{ clock: new VirtualClock(), network, images: [image], podCidrs: ["10.244.1.0/24"] },
      behaviours: {
        [image]: {
          exec: async (_command, process) => {
            const byAddress = await process.fetch("http://10.244.0.2/x", { method: "POST", body: "a" });
            const byName = await process.fetch("http://web:1080/");
            const refused = await process.fetch("http://10.244.0.2:81/").catch((error: Error) => error.message);
            const unknown = await process.fetch("http://nowhere/").catch((error: Error) => error.message);
            return { stdout: [byAddress.status, await byAddress.text(), await byName.text(), refused, unknown].join("|") };
          },
        },
      },
    });
    const sandboxConfig = { metadata: { name: "client", namespace: "shop", uid: "client", attempt: 0 } };
    const { podSandboxId } = await client.runPodSandbox({ config: sandboxConfig });
    const config = { metadata: { name: "main", attempt: 0 }, image: { image } };
    const made = await client.createContainer({ podSandboxId, config, sandboxConfig });
    await client.startContainer(made);
    const { stdout } = await client.execSync({ containerId: made.containerId, cmd: ["ask"] });
    expect(Buffer.from(stdout).toString()).toBe("201|POST a|GET |connect ECONNREFUSED 10.244.0.2:81|getaddrinfo ENOTFOUND nowhere");

    await runtime.stopContainer({ containerId, timeout: 1 });
    expect(await status()).toEqual(ended(143));
    const after = await client.execSync({ containerId: made.containerId, cmd: ["ask"] }).catch((error: Error) => error.message);
    expect(after).toContain("connect ECONNREFUSED 10.244.0.2:80");
  });
});

describe("stages of a container's life", () => {
  it("take the time they are told, an image's own before the general", async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({
      clock,
      delays: { pull: 1000, create: 100, start: 10, stop: 500 },
      behaviours: { "slow:1": { delays: { pull: 5000 } } },
    });
    const timed = async (work: Promise<unknown>): Promise<number> => {
      const fromMs = clock.now();
      let atMs = -1;
      void work.then(() => {
        atMs = clock.now();
      });
      while (atMs < 0) await clock.advance(1);
      return atMs - fromMs;
    };
    expect(await timed(runtime.pullImage({ image: { image: "fast:1" } }))).toBe(1000);
    expect(await timed(runtime.pullImage({ image: { image: "slow:1" } }))).toBe(5000);
    const sandboxConfig = { metadata: { name: "p", namespace: "n", uid: "u", attempt: 0 } };
    const { podSandboxId } = await runtime.runPodSandbox({ config: sandboxConfig });
    const config = { metadata: { name: "c", attempt: 0 }, image: { image: "fast:1" } };
    const creating = runtime.createContainer({ podSandboxId, config, sandboxConfig });
    expect(await timed(creating)).toBe(100);
    const made = await creating;
    expect(await timed(runtime.startContainer(made))).toBe(10);
    expect(await timed(runtime.stopContainer({ ...made, timeout: 30 }))).toBe(500);
  });

  it("fail as often as they are told, and the same way with the same seed", async () => {
    const outcomes = async (seed: number): Promise<string> => {
      const runtime = createSimulatedRuntime({ clock: new VirtualClock(), failures: { pull: 0.5 }, seed });
      let text = "";
      for (let i = 0; i < 40; i++) {
        const pulled = await runtime.pullImage({ image: { image: `app:${i}` } }).then(
          () => "ok",
          (error: Error) => error.message,
        );
        text += pulled === "ok" ? "." : "x";
        if (pulled !== "ok") expect(pulled).toContain(`simulated failure: pull of docker.io/library/app:${i}`);
      }
      return text;
    };
    const [first, again, other] = [await outcomes(1), await outcomes(1), await outcomes(2)];
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    expect(first.replaceAll(".", "").length).toBeGreaterThan(10);
    expect(first.replaceAll("x", "").length).toBeGreaterThan(10);
  });
});

describe("SimulatedPrograms", () => {
  it("finds programs by image, by tag before repository, and refuses unknown images where it should", async () => {
    const programs = new SimulatedPrograms(
      [
        { name: "web", exitCode: 1 },
        { name: "web:2", exitCode: 2 },
      ],
      { refuseUnknown: true },
    );
    const codes = ["web:latest", "web:1", "web:2", "db:1"].map((name) => programs.behaviourOf(`docker.io/library/${name}`).exitCode);
    expect(codes).toEqual([1, 1, 2, undefined]);
    const runtime = createSimulatedRuntime({ clock: new VirtualClock(), programs });
    await runtime.pullImage({ image: { image: "web:7" } });
    await expect(runtime.pullImage({ image: { image: "db:1" } })).rejects.toThrow(
      'failed to pull and unpack image "docker.io/library/db:1": failed to resolve reference "docker.io/library/db:1"',
    );
    programs.replace([{ name: "db" }]);
    await runtime.pullImage({ image: { image: "db:1" } });
  });

  it.each([
    [undefined, "expected a default export"],
    [[], "at least one image"],
    [{ run: () => 0 }, "name: expected the name of an image"],
    [{ name: "Not Valid" }, "invalid image name"],
    [{ name: "a:1", run: 1 }, "image a:1: run: expected a function"],
    [[{ name: "a:1" }, { name: "docker.io/library/a:1" }], "image docker.io/library/a:1: given twice"],
  ])("checks what a module exports: %j", (exported, why) => {
    expect(() => checkedImages(exported)).toThrow(why);
  });
});
