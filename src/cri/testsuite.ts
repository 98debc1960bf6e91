// What every CRI runtime must do for the kubelet: one suite, run against the simulated runtime and against containerd. It uses
// three images that the fixture provides, built by testImages() for real runtimes.
import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Input } from "../rpc/protocol.ts";
import { isRpcError } from "../rpc/rpc-error.ts";
import type { CriRuntime } from "./cri.ts";
import type { ContainerConfig, PodSandboxConfig } from "./generated/runtime-v1.ts";
import type { ImageBehaviour } from "./simulated/programs.ts";

export interface CriFixture {
  readonly runtime: CriRuntime;
  /** Container logs are written below it. */
  readonly logDirectory: string;
  /** Whether sandboxes get an address, as they do wherever CNI plugins can run. */
  readonly podAddress: RegExp;
  /** The control group that sandboxes are put in. Default: the runtime's. */
  readonly cgroupParent?: string;
  /** Lets the runtime's time pass until the condition holds. */
  until(condition: () => Promise<boolean>): Promise<void>;
}

/** Prints two lines, then waits for SIGTERM and ends with 0. */
export const serverImage = "coracle.test/server:1";
/** Prints a line and ends with 3. */
export const failingImage = "coracle.test/failing:1";
/** Nothing ever uses it: for removal. */
export const spareImage = "coracle.test/spare:1";

const output = { stdout: "hello from stdout", stderr: "hello from stderr" };

/** What an image consists of, as buildImage() of src/testing takes it. */
export interface SuiteImage {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly busybox?: boolean;
  readonly entrypoint: readonly string[];
}

/** The images for runtimes that run real programs. */
export function testImages(): readonly SuiteImage[] {
  const server = `#!/bin/sh
trap 'exit 0' TERM
echo "${output.stdout}"
echo "${output.stderr}" >&2
while :; do sleep 1000 & wait $!; done
`;
  return [
    { name: serverImage, files: { "/server": server, "/greeting": "welcome\n" }, entrypoint: ["/server"] },
    { name: failingImage, files: { "/fail": "#!/bin/sh\necho failing\nexit 3\n" }, entrypoint: ["/fail"] },
    { name: spareImage, files: { "/spare": "spare\n" }, busybox: false, entrypoint: ["/spare"] },
  ];
}

/** The same images as behaviours of the simulated runtime. */
export function testBehaviours(): Readonly<Record<string, ImageBehaviour>> {
  return {
    [serverImage]: {
      onTerminate: 0,
      run(process) {
        process.print(output.stdout);
        process.print(output.stderr, "stderr");
      },
      async exec(command, process) {
        if (command[0] === "sleep") await process.clock.sleep(Number(command[1]) * 1000);
        if (command[0] === "cat") return { stdout: "welcome\n" };
        return command[0] === "sh" ? { stderr: "bad\n", exitCode: 4 } : {};
      },
    },
    [failingImage]: { output: ["failing"], exitAfterMs: 1, exitCode: 3 },
  };
}

export function describeCriRuntime(name: string, setUp: () => Promise<CriFixture>): void {
  describe(`${name} as a CRI runtime`, () => {
    let fixture: CriFixture;
    let runtime: CriRuntime;
    let attempt = 0;
    const sandboxes: string[] = [];

    beforeAll(async () => {
      fixture = await setUp();
      runtime = fixture.runtime;
    });
    afterEach(async () => {
      for (const podSandboxId of sandboxes.splice(0)) {
        await runtime.stopPodSandbox({ podSandboxId });
        await runtime.removePodSandbox({ podSandboxId });
      }
    });

    const sandboxConfig = (podName: string): Input<PodSandboxConfig> => ({
      metadata: { name: podName, uid: `uid-${podName}`, namespace: "default", attempt: attempt++ },
      hostname: podName,
      logDirectory: join(fixture.logDirectory, podName),
      labels: { app: podName },
      annotations: { note: "kept" },
      linux: { cgroupParent: fixture.cgroupParent },
    });
    const runSandbox = async (config: Input<PodSandboxConfig>): Promise<string> => {
      const { podSandboxId } = await runtime.runPodSandbox({ config });
      sandboxes.push(podSandboxId);
      return podSandboxId;
    };
    const startContainer = async (podName: string, container: Input<ContainerConfig>): Promise<string> => {
      const config = sandboxConfig(podName);
      const podSandboxId = await runSandbox(config);
      const { containerId } = await runtime.createContainer({
        podSandboxId,
        config: { metadata: { name: "main", attempt: 0 }, logPath: "main/0.log", labels: { container: "main" }, linux: {}, ...container },
        sandboxConfig: config,
      });
      await runtime.startContainer({ containerId });
      return containerId;
    };
    const stateOf = async (containerId: string) => (await runtime.containerStatus({ containerId })).status?.state;
    const logOf = (podName: string, file = "main/0.log"): Promise<string> => readFile(join(fixture.logDirectory, podName, file), "utf8");

    test("says who it is and that it is ready", async () => {
      const version = await runtime.version({});
      expect(version.runtimeName).not.toBe("");
      expect(version.runtimeApiVersion).toBe("v1");
      const { status } = await runtime.status({});
      expect(status?.conditions.map((c) => [c.type, c.status])).toEqual(
        expect.arrayContaining([
          ["RuntimeReady", true],
          ["NetworkReady", true],
        ]),
      );
    });

    test("lists images, finds them by name and id, and removes them", async () => {
      const { image } = await runtime.imageStatus({ image: { image: spareImage } });
      expect(image?.repoTags).toEqual([spareImage]);
      expect(image?.id).toMatch(/^sha256:[0-9a-f]{64}$/);
      const listed = await runtime.listImages({});
      expect(listed.images.map((i) => i.id)).toContain(image?.id);
      expect((await runtime.imageStatus({ image: { image: image?.id ?? "" } })).image?.id).toBe(image?.id);

      await runtime.removeImage({ image: { image: spareImage } });
      expect((await runtime.imageStatus({ image: { image: spareImage } })).image).toBeUndefined();
      await runtime.removeImage({ image: { image: spareImage } });
      expect((await runtime.imageStatus({ image: { image: "coracle.test/never-seen:1" } })).image).toBeUndefined();
      expect((await runtime.imageFsInfo({})).imageFilesystems[0]?.fsId?.mountpoint).not.toBe("");
    });

    test("runs sandboxes, each with an address of its own", async () => {
      const first = await runSandbox(sandboxConfig("first"));
      const second = await runSandbox(sandboxConfig("second"));
      const statuses = [];
      for (const podSandboxId of [first, second]) statuses.push((await runtime.podSandboxStatus({ podSandboxId })).status);
      expect(statuses[0]).toMatchObject({
        id: first,
        state: "SANDBOX_READY",
        metadata: { name: "first", uid: "uid-first", namespace: "default" },
        labels: { app: "first" },
        annotations: { note: "kept" },
      });
      expect(statuses[0]?.createdAt).toBeGreaterThan(10n ** 18n);
      for (const status of statuses) expect(status?.network?.ip).toMatch(fixture.podAddress);
      expect(statuses[0]?.network?.ip).not.toBe(statuses[1]?.network?.ip);
    });

    test("lists sandboxes by label, state and id", async () => {
      const first = await runSandbox(sandboxConfig("list-first"));
      const second = await runSandbox(sandboxConfig("list-second"));
      await runtime.stopPodSandbox({ podSandboxId: second });
      const list = async (filter: object): Promise<readonly string[]> =>
        (await runtime.listPodSandbox({ filter })).items.map((item) => item.id);
      expect([...(await list({}))].sort()).toEqual([first, second].sort());
      expect(await list({ labelSelector: { app: "list-first" } })).toEqual([first]);
      expect(await list({ state: { state: "SANDBOX_NOTREADY" } })).toEqual([second]);
      expect(await list({ id: first })).toEqual([first]);
    });

    test("stops and removes a sandbox any number of times, with its containers", async () => {
      const containerId = await startContainer("stopping", { image: { image: serverImage } });
      const [podSandboxId = ""] = sandboxes.splice(0);
      await runtime.stopPodSandbox({ podSandboxId });
      await runtime.stopPodSandbox({ podSandboxId });
      expect((await runtime.podSandboxStatus({ podSandboxId })).status?.state).toBe("SANDBOX_NOTREADY");
      expect(await stateOf(containerId)).toBe("CONTAINER_EXITED");
      await runtime.removePodSandbox({ podSandboxId });
      await runtime.removePodSandbox({ podSandboxId });
      await expect(runtime.podSandboxStatus({ podSandboxId })).rejects.toSatisfy((e) => isRpcError(e, "NOT_FOUND"));
      await expect(runtime.containerStatus({ containerId })).rejects.toSatisfy((e) => isRpcError(e, "NOT_FOUND"));
    });

    test("takes a container from created over running to exited, and removes it", async () => {
      const config = sandboxConfig("life");
      const podSandboxId = await runSandbox(config);
      const { containerId } = await runtime.createContainer({
        podSandboxId,
        config: {
          metadata: { name: "main", attempt: 2 },
          image: { image: serverImage },
          logPath: "main/2.log",
          labels: { container: "main" },
          linux: {},
        },
        sandboxConfig: config,
      });
      expect(await stateOf(containerId)).toBe("CONTAINER_CREATED");
      await runtime.startContainer({ containerId });
      const { status } = await runtime.containerStatus({ containerId });
      expect(status).toMatchObject({
        state: "CONTAINER_RUNNING",
        metadata: { name: "main", attempt: 2 },
        labels: { container: "main" },
        finishedAt: 0n,
      });
      expect(status?.startedAt).toBeGreaterThanOrEqual(status?.createdAt ?? 0n);
      expect(status?.imageRef).toMatch(/^sha256:|^coracle\.test\/server@sha256:/);
      const listed = await runtime.listContainers({ filter: { podSandboxId, state: { state: "CONTAINER_RUNNING" } } });
      expect(listed.containers.map((c) => c.id)).toEqual([containerId]);

      // The program must have set its trap, or SIGTERM finds process 1 without a handler and waits for the kill.
      await fixture.until(async () => (await logOf("life", "main/2.log")).includes(output.stderr));
      await runtime.stopContainer({ containerId, timeout: 20 });
      const ended = (await runtime.containerStatus({ containerId })).status;
      expect(ended).toMatchObject({ state: "CONTAINER_EXITED", exitCode: 0, reason: "Completed" });
      expect(ended?.finishedAt).toBeGreaterThanOrEqual(ended?.startedAt ?? 0n);
      await runtime.removeContainer({ containerId });
      await runtime.removeContainer({ containerId });
      await expect(runtime.containerStatus({ containerId })).rejects.toSatisfy((e) => isRpcError(e, "NOT_FOUND"));
    });

    test("reports the exit code of a program that ends by itself", async () => {
      const containerId = await startContainer("failing", { image: { image: failingImage } });
      await fixture.until(async () => (await stateOf(containerId)) === "CONTAINER_EXITED");
      expect((await runtime.containerStatus({ containerId })).status).toMatchObject({ exitCode: 3, reason: "Error" });
      expect(await logOf("failing")).toMatch(/^\S+ stdout F failing\n$/);
    });

    test("kills a container without a grace period at once", async () => {
      const containerId = await startContainer("killed", { image: { image: serverImage } });
      await runtime.stopContainer({ containerId, timeout: 0 });
      expect((await runtime.containerStatus({ containerId })).status).toMatchObject({ state: "CONTAINER_EXITED", exitCode: 137 });
    });

    test("writes both output streams in the CRI log format, and to a new file after a rotation", async () => {
      const containerId = await startContainer("logging", { image: { image: serverImage } });
      // The two streams are written by two threads of the runtime.
      await fixture.until(async () => {
        const log = await logOf("logging");
        return [output.stdout, output.stderr].every((text) => log.includes(`F ${text}\n`));
      });
      const lines = (await logOf("logging")).trimEnd().split("\n").sort();
      // Go leaves trailing zeros of the fraction away, and the point with them.
      const stamp = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)`;
      expect(lines).toHaveLength(2);
      const text = lines.join("\n");
      expect(text).toMatch(new RegExp(`^${stamp} stdout F ${output.stdout}$`, "m"));
      expect(text).toMatch(new RegExp(`^${stamp} stderr F ${output.stderr}$`, "m"));

      const path = join(fixture.logDirectory, "logging", "main/0.log");
      await rename(path, `${path}.1`);
      await runtime.reopenContainerLog({ containerId });
      expect(await readFile(path, "utf8")).toBe("");
    });

    test("runs commands in a container", async () => {
      const containerId = await startContainer("exec", { image: { image: serverImage } });
      const read = await runtime.execSync({ containerId, cmd: ["cat", "/greeting"], timeout: 20 });
      expect([Buffer.from(read.stdout).toString(), read.exitCode]).toEqual(["welcome\n", 0]);
      const failed = await runtime.execSync({ containerId, cmd: ["sh", "-c", "echo bad >&2; exit 4"], timeout: 20 });
      expect([Buffer.from(failed.stderr).toString(), failed.exitCode]).toEqual(["bad\n", 4]);
      const late = runtime.execSync({ containerId, cmd: ["sleep", "1000"], timeout: 1 });
      const outcome = late.catch((e: unknown) => e);
      let settled = false;
      void outcome.then(() => {
        settled = true;
      });
      await fixture.until(async () => settled);
      expect(isRpcError(await outcome, "DEADLINE_EXCEEDED")).toBe(true);
    });

    test("measures what containers use", async () => {
      const containerId = await startContainer("stats", { image: { image: serverImage } });
      await fixture.until(async () => ((await runtime.containerStats({ containerId })).stats?.memory?.workingSetBytes?.value ?? 0) > 0);
      const { stats } = await runtime.containerStats({ containerId });
      expect(stats?.attributes).toMatchObject({ id: containerId, metadata: { name: "main" }, labels: { container: "main" } });
      expect(stats?.cpu?.timestamp).toBeGreaterThan(10n ** 18n);
      const listed = await runtime.listContainerStats({ filter: { id: containerId } });
      expect(listed.stats.map((s) => s.attributes?.id)).toEqual([containerId]);
    });

    test("refuses a container of an image that is not there, or in a sandbox that is not", async () => {
      const config = sandboxConfig("refused");
      const podSandboxId = await runSandbox(config);
      const container = { metadata: { name: "main", attempt: 0 }, image: { image: "coracle.test/never-seen:1" }, linux: {} };
      await expect(runtime.createContainer({ podSandboxId, config: container, sandboxConfig: config })).rejects.toSatisfy((e) =>
        isRpcError(e, "NOT_FOUND"),
      );
      const elsewhere = { podSandboxId: "f".repeat(64), config: { ...container, image: { image: serverImage } }, sandboxConfig: config };
      await expect(runtime.createContainer(elsewhere)).rejects.toSatisfy((e) => isRpcError(e, "NOT_FOUND"));
      await expect(runtime.startContainer({ containerId: "f".repeat(64) })).rejects.toSatisfy((e) => isRpcError(e, "NOT_FOUND"));
    });
  });
}
