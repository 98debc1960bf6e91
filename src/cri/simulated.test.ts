import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { RpcError } from "../rpc/rpc-error.ts";
import { serveRpc } from "../rpc/server.ts";
import { connectCri } from "./grpc-runtime.ts";
import { AddressPool } from "./simulated/addresses.ts";
import { createSimulatedRuntime, type SimulatedRuntime } from "./simulated.ts";
import { describeCriRuntime, failingImage, serverImage, spareImage, testBehaviours } from "./testsuite.ts";

const directory = await mkdtemp(join(tmpdir(), "cri-simulated-"));
afterAll(() => rm(directory, { recursive: true, force: true }));

function suiteRuntime(): { runtime: SimulatedRuntime; clock: VirtualClock } {
  const clock = new VirtualClock();
  const runtime = createSimulatedRuntime({
    clock,
    podCidrs: ["10.9.0.0/24"],
    behaviours: testBehaviours(),
    images: [serverImage, failingImage, spareImage],
  });
  return { runtime, clock };
}

function passTime(clock: VirtualClock): (condition: () => Promise<boolean>) => Promise<void> {
  return async (condition) => {
    for (let i = 0; !(await condition()); i++) {
      if (i > 1000) throw new Error("the condition never held");
      await clock.advance(10);
    }
  };
}

describeCriRuntime("the simulated runtime", async () => {
  const { runtime, clock } = suiteRuntime();
  return { runtime, logDirectory: join(directory, "direct"), podAddress: /^10\.9\.0\.\d+$/, until: passTime(clock) };
});

describeCriRuntime("the simulated runtime over a socket", async () => {
  const { runtime, clock } = suiteRuntime();
  const endpoint = `unix://${directory}/cri.sock`;
  const server = await serveRpc({ endpoint, services: runtime.services });
  const connection = connectCri({ endpoint });
  afterAll(async () => {
    connection.close();
    await server.stop();
  });
  return { runtime: connection, logDirectory: join(directory, "socket"), podAddress: /^10\.9\.0\.\d+$/, until: passTime(clock) };
});

describe("createSimulatedRuntime()", () => {
  const pod = { metadata: { name: "p", uid: "u", namespace: "n", attempt: 0 } };

  async function runContainer(runtime: SimulatedRuntime, image: string): Promise<string> {
    const { podSandboxId } = await runtime.runPodSandbox({ config: pod });
    const config = { metadata: { name: "c", attempt: 0 }, image: { image } };
    const { containerId } = await runtime.createContainer({ podSandboxId, config });
    await runtime.startContainer({ containerId });
    return containerId;
  }

  test("reports everything that happens to containers as events", async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({ clock, images: ["app:1"] });
    const abort = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of runtime.getContainerEvents({}, { signal: abort.signal })) seen.push(event.containerEventType);
    })();
    await clock.settle();
    const containerId = await runContainer(runtime, "app:1");
    runtime.exitContainer(containerId, 1);
    await runtime.removeContainer({ containerId });
    await clock.settle();
    expect(seen).toEqual([
      "CONTAINER_STARTED_EVENT", // the sandbox
      "CONTAINER_CREATED_EVENT",
      "CONTAINER_STARTED_EVENT",
      "CONTAINER_STOPPED_EVENT",
      "CONTAINER_DELETED_EVENT",
    ]);
    abort.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
  });

  test("kills a program that ignores SIGTERM when its grace period is over", async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({ clock, images: ["deaf:1"], behaviours: { "deaf:1": { onTerminate: "ignore" } } });
    const containerId = await runContainer(runtime, "deaf:1");
    const stopping = runtime.stopContainer({ containerId, timeout: 30 });
    await clock.advance(29_000);
    expect((await runtime.containerStatus({ containerId })).status?.state).toBe("CONTAINER_RUNNING");
    await clock.advance(1_000);
    await stopping;
    expect((await runtime.containerStatus({ containerId })).status).toMatchObject({ state: "CONTAINER_EXITED", exitCode: 137 });
  });

  test("takes its time to pull, and refuses pulls and calls as told", async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({
      clock,
      delays: { pull: 5000 },
      beforePull: (image) => {
        if (image.startsWith("bad")) throw new RpcError("NOT_FOUND", "manifest unknown");
      },
      beforeCall: (method) => {
        if (method === "status") throw new RpcError("UNAVAILABLE", "down");
      },
    });
    await expect(runtime.pullImage({ image: { image: "bad" } })).rejects.toMatchObject({ code: "NOT_FOUND", details: "manifest unknown" });
    await expect(runtime.pullImage({ image: { image: "Not/Valid" } })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const pulling = runtime.pullImage({ image: { image: "good" } });
    await clock.advance(4999);
    expect((await runtime.imageStatus({ image: { image: "good" } })).image).toBeUndefined();
    await clock.advance(1);
    const { imageRef } = await pulling;
    expect((await runtime.imageStatus({ image: { image: "docker.io/library/good:latest" } })).image?.id).toBe(imageRef);
    await expect(runtime.status({})).rejects.toMatchObject({ code: "UNAVAILABLE", message: "RuntimeService.Status: UNAVAILABLE: down" });
    await expect(runtime.checkpointContainer({})).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });

  test("keeps the deadline of a call", async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({ clock, delays: { pull: 5000 } });
    const pulling = expect(runtime.pullImage({ image: { image: "slow" } }, { timeoutMs: 1000 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    await clock.advance(1000);
    await pulling;
  });

  test("gives pods of a dual-stack node two addresses, and pods on the host's network none", async () => {
    const runtime = createSimulatedRuntime({ clock: new VirtualClock(), podCidrs: ["10.1.2.0/24", "fd00:1::/64"] });
    const { podSandboxId } = await runtime.runPodSandbox({ config: pod });
    const { status } = await runtime.podSandboxStatus({ podSandboxId });
    expect(status?.network).toEqual({ ip: "10.1.2.2", additionalIps: [{ ip: "fd00:1::2" }] });
    const host = {
      ...pod,
      metadata: { ...pod.metadata, name: "host" },
      linux: { securityContext: { namespaceOptions: { network: "NODE" as const } } },
    };
    const onHost = await runtime.runPodSandbox({ config: host });
    expect((await runtime.podSandboxStatus(onHost)).status?.network?.ip).toBe("");
  });

  test("appends to the log file of its container", async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({ clock, images: ["talk:1"], defaultBehaviour: { output: ["one\ntwo"] } });
    const config = { ...pod, logDirectory: join(directory, "talk") };
    const { podSandboxId } = await runtime.runPodSandbox({ config });
    const container = { metadata: { name: "c", attempt: 0 }, image: { image: "talk:1" }, logPath: "c/0.log" };
    const { containerId } = await runtime.createContainer({ podSandboxId, config: container, sandboxConfig: config });
    await runtime.startContainer({ containerId });
    const stamp = "2026-01-01T00:00:00.000000000Z";
    expect(await readFile(join(directory, "talk/c/0.log"), "utf8")).toBe(`${stamp} stdout F one\n${stamp} stdout F two\n`);
  });
});

describe("AddressPool", () => {
  test("gives out addresses in turn, each once, and used ones again only at the end", () => {
    const pool = new AddressPool("10.0.0.0/29");
    const all = Array.from({ length: 5 }, () => pool.take());
    expect(all).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    expect(() => pool.take()).toThrow("no addresses available in range 10.0.0.0/29");
    pool.release("10.0.0.4");
    pool.release("10.0.0.2");
    expect([pool.take(), pool.take()]).toEqual(["10.0.0.2", "10.0.0.4"]);
  });
});

test("a container uses what it is told to, and its CPU time never goes back", async () => {
  const clock = new VirtualClock();
  const runtime = createSimulatedRuntime({ clock, images: [serverImage] });
  const config = { metadata: { name: "p", namespace: "n", uid: "u", attempt: 0 } };
  const { podSandboxId } = await runtime.runPodSandbox({ config });
  const container = { metadata: { name: "c", attempt: 0 }, image: { image: serverImage } };
  const { containerId } = await runtime.createContainer({ podSandboxId, config: container, sandboxConfig: config });
  runtime.setUsage(containerId, { cpuMillicores: 500, memoryBytes: 1000, diskBytes: 77 });
  await runtime.startContainer({ containerId });
  await clock.advance(2000);
  const used = async () => (await runtime.listContainerStats({})).stats[0];
  expect(await used()).toMatchObject({
    cpu: { usageCoreNanoSeconds: { value: 1e9 }, usageNanoCores: { value: 500e6 } },
    memory: { workingSetBytes: { value: 1000 } },
    writableLayer: { usedBytes: { value: 77 } },
  });
  runtime.setUsage(containerId, { cpuMillicores: 0 });
  await clock.advance(1000);
  expect(await used()).toMatchObject({ cpu: { usageCoreNanoSeconds: { value: 1e9 } }, memory: { workingSetBytes: { value: 1000 } } });
});
