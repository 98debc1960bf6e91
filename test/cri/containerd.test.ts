// A real containerd under our launcher: real pods, without any download. Runs as root on Linux where the packages containerd,
// runc, containernetworking-plugins and busybox-static are installed; leaves nothing behind.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { realClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { applyMasquerade } from "../../src/cni/masquerade.ts";
import { podBridgeName, podNetworkName, writePodNetwork } from "../../src/cni/network-config.ts";
import { removePodNetwork } from "../../src/cni/teardown.ts";
import { type Containerd, destroyContainerd, startContainerd, withContainerd } from "../../src/cri/containerd.ts";
import { containerdPaths } from "../../src/cri/containerd-paths.ts";
import { importImage, listImages, removeImage } from "../../src/cri/images.ts";
import { pauseImageReference } from "../../src/cri/pause-image.ts";
import { describeCriRuntime, serverImage, testImages } from "../../src/cri/testsuite.ts";
import { cgroupfsNames } from "../../src/linux/cgroup-names.ts";
import { createCgroups, detectCgroups } from "../../src/linux/cgroups.ts";
import { findDirectoryWith, findExecutable } from "../../src/linux/find-executable.ts";
import { listMounts } from "../../src/linux/mounts.ts";
import { findProcesses, isRunning } from "../../src/linux/processes.ts";
import { buildImage } from "../../src/testing/image-builder.ts";

const tools = await Promise.all(["containerd", "ctr", "runc", "busybox", "nft"].map(findExecutable));
const plugins = await findDirectoryWith(["bridge"], ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"]);
const hasCrun = (await findExecutable("crun")) !== undefined;
const canRun = process.platform === "linux" && process.getuid?.() === 0 && tools.every(Boolean) && plugins !== undefined;
if (!canRun)
  console.log(
    "the runtime suite is not run against containerd: it needs Linux, root, containerd, runc, busybox-static, nftables and the CNI plugins",
  );
const dependencies = { clock: realClock, log: silentLogger };

// Timers of the clock do not keep a process alive, and nothing else may be open while a test waits.
const keepAlive = setInterval(() => undefined, 1000);
afterAll(() => clearInterval(keepAlive));

async function until(condition: () => Promise<boolean> | boolean, what = "the condition"): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not hold within 30 s`);
    await realClock.sleep(25);
  }
}

async function prepareDataDir(podCidr: string, prefix = "coracle-cri-"): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), prefix));
  await writePodNetwork({ dataDir, podCidrs: [podCidr], mtu: 1400 });
  return dataDir;
}

/** The control group that pods of a data directory are in. */
function groupOf(dataDir: string): string {
  return `/${podNetworkName(dataDir)}`;
}

async function destroy(dataDir: string): Promise<void> {
  await destroyContainerd(dataDir, dependencies);
  await createCgroups(await detectCgroups(), dependencies).remove(groupOf(dataDir));
  await removePodNetwork(dataDir);
  await rm(dataDir, { recursive: true, force: true });
}

/** Everything on this machine that names a data directory. */
async function traces(dataDir: string): Promise<readonly string[]> {
  const { state, socket } = containerdPaths(dataDir);
  const mounts = (await listMounts()).map((m) => m.mountPoint).filter((path) => path.startsWith(dataDir) || path.startsWith(state));
  const processes = (await findProcesses((args) => args.some((arg) => arg.includes(dataDir) || arg.includes(socket)))).map(
    (p) => `process ${p.pid}`,
  );
  const links = execFileSync("ip", ["-o", "link", "show"], { encoding: "utf8" });
  const rules = execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" });
  return [
    ...mounts,
    ...processes,
    ...(links.includes(podBridgeName(dataDir)) ? ["bridge"] : []),
    ...(rules.includes(podNetworkName(dataDir)) ? ["nftables rules"] : []),
    ...(existsSync(state) ? [state] : []),
  ];
}

function fetchText(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, timeout: 2000 }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
    });
    request.on("error", reject);
    request.on("timeout", () => request.destroy(new Error("no answer")));
  });
}

describe.runIf(canRun)("containerd", () => {
  let dataDir: string;
  let containerd: Containerd;

  beforeAll(async () => {
    dataDir = await prepareDataDir("10.213.1.0/24");
    containerd = await startContainerd({ dataDir }, dependencies);
    for (const image of testImages()) await importImage({ ...containerd, clock: realClock }, await buildImage(image));
  });
  afterAll(async () => {
    await containerd?.stop();
    await destroy(dataDir);
  });

  describeCriRuntime("containerd", async () => ({
    runtime: containerd.runtime,
    logDirectory: join(dataDir, "logs"),
    cgroupParent: groupOf(dataDir),
    podAddress: /^10\.213\.1\.\d+$/,
    until,
  }));
});

describe.runIf(canRun)("our containerd", () => {
  let dataDir: string;
  const started: Containerd[] = [];
  beforeEach(async () => {
    dataDir = await prepareDataDir("10.213.2.0/24");
  });
  afterEach(async () => {
    // A supervisor that is still at work would start again what is being destroyed.
    for (const containerd of started.splice(0)) await containerd.stop();
    await destroy(dataDir);
  });

  const start = async (directory = dataDir): Promise<Containerd> => {
    const containerd = await startContainerd({ dataDir: directory }, dependencies);
    started.push(containerd);
    return containerd;
  };

  async function runPod(containerd: Containerd, name: string, extra: { shared?: boolean; hostPort?: number; cgroupParent?: string } = {}) {
    const config = {
      metadata: { name, uid: name, namespace: "default", attempt: 0 },
      hostname: name,
      logDirectory: join(dataDir, "logs", name),
      ...(extra.hostPort ? { portMappings: [{ containerPort: 8080, hostPort: extra.hostPort }] } : {}),
      linux: {
        cgroupParent: extra.cgroupParent ?? groupOf(dataDir),
        securityContext: { namespaceOptions: { pid: extra.shared ? ("POD" as const) : ("CONTAINER" as const) } },
      },
    };
    const { podSandboxId } = await containerd.runtime.runPodSandbox({ config });
    const { containerId } = await containerd.runtime.createContainer({
      podSandboxId,
      config: {
        metadata: { name: "main", attempt: 0 },
        image: { image: serverImage },
        command: ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/"],
        logPath: "main/0.log",
        linux: { securityContext: config.linux.securityContext },
      },
      sandboxConfig: config,
    });
    await containerd.runtime.startContainer({ containerId });
    const { status } = await containerd.runtime.podSandboxStatus({ podSandboxId });
    return { podSandboxId, containerId, address: status?.network?.ip ?? "" };
  }

  async function importServer(containerd: Containerd): Promise<void> {
    const [server] = testImages();
    if (server) await importImage({ ...containerd, clock: realClock }, await buildImage(server));
  }

  async function firstAnswer(address: string, port = 8080): Promise<string> {
    let text = "";
    await until(async () => {
      text = await fetchText(address, port).catch(() => "");
      return text !== "";
    }, `an answer from ${address}:${port}`);
    return text;
  }

  test("serves pods that the host reaches by address and by host port, and leaves nothing when it stops", async () => {
    const containerd = await start();
    await importServer(containerd);
    await applyMasquerade({ dataDir, podCidrs: ["10.213.2.0/24"], clusterCidrs: ["10.213.0.0/16"] });
    const { address, containerId } = await runPod(containerd, "web", { hostPort: 31_877 });
    const other = await runPod(containerd, "other");
    await writeFile(join(dataDir, "marker"), "x");
    const page = await containerd.runtime.execSync({
      containerId,
      cmd: ["sh", "-c", "echo from the pod > /index.html; hostname"],
      timeout: 10,
    });
    expect(Buffer.from(page.stdout).toString()).toBe("web\n");
    expect(await firstAnswer(address)).toBe("from the pod\n");
    const fetched = await containerd.runtime.execSync({
      containerId: other.containerId,
      cmd: ["wget", "-qO-", `http://${address}:8080`],
      timeout: 10,
    });
    expect(Buffer.from(fetched.stdout).toString()).toBe("from the pod\n");
    const hostAddress = execFileSync("hostname", ["-I"], { encoding: "utf8" }).trim().split(" ")[0] ?? "";
    expect(await firstAnswer(hostAddress, 31_877)).toBe("from the pod\n");
    await containerd.stop();
    await removePodNetwork(dataDir);
    expect(await traces(dataDir)).toEqual([]);
    expect(execFileSync("iptables-save", ["-t", "nat"], { encoding: "utf8" })).not.toContain(podNetworkName(dataDir));
  });

  test("keeps containers running over a stop and a start, and removes them with the next full stop", async () => {
    const first = await start();
    await importServer(first);
    const pod = await runPod(first, "kept");
    const before = (await first.runtime.containerStatus({ containerId: pod.containerId })).status;
    await first.stop({ keepContainers: true });
    expect(await firstAnswer(pod.address)).toContain("404");

    const second = await start();
    const after = (await second.runtime.containerStatus({ containerId: pod.containerId })).status;
    expect(after).toEqual(before);
    const { status } = await second.runtime.podSandboxStatus({ podSandboxId: pod.podSandboxId });
    expect(status).toMatchObject({ state: "SANDBOX_READY", network: { ip: pod.address } });
    await second.stop();
    expect(await traces(dataDir)).toEqual(["bridge"]);
  });

  test.runIf(hasCrun)("containers go on when the next start has another OCI runtime, which makes the new ones", async () => {
    const run = async (from: Containerd, containerId: string, script: string): Promise<string> =>
      Buffer.from((await from.runtime.execSync({ containerId, cmd: ["sh", "-c", script], timeout: 20 })).stdout)
        .toString()
        .trim();
    const rootOf = async (from: Containerd, id: string): Promise<string | undefined> => {
      for (const name of ["runc", "crun"]) if (existsSync(join(from.paths.state, name, "k8s.io", id))) return name;
      return undefined;
    };
    const kept: { readonly by: string; readonly pod: Awaited<ReturnType<typeof runPod>> }[] = [];
    for (const by of ["runc", "crun", "runc"]) {
      const containerd = await startContainerd({ dataDir, ociRuntime: by }, dependencies);
      started.push(containerd);
      if (kept.length === 0) await importServer(containerd);
      for (const { by: itsOwn, pod } of kept) {
        expect(await run(containerd, pod.containerId, "hostname")).toMatch(/^pod/);
        // A further container, as after one that ended, is made by the runtime of its sandbox.
        const sandboxConfig = {
          metadata: { name: "x", uid: "x", namespace: "default", attempt: 0 },
          linux: { cgroupParent: groupOf(dataDir) },
        };
        const config = { metadata: { name: "again", attempt: kept.length }, image: { image: serverImage }, command: ["sleep", "1000"] };
        const { podSandboxId } = pod;
        const { containerId } = await containerd.runtime.createContainer({ podSandboxId, sandboxConfig, config });
        await containerd.runtime.startContainer({ containerId });
        expect(await rootOf(containerd, containerId)).toBe(itsOwn);
        expect(await run(containerd, containerId, "hostname")).toMatch(/^pod/);
        await containerd.runtime.stopContainer({ containerId, timeout: 0 });
        await containerd.runtime.removeContainer({ containerId });
      }
      const pod = await runPod(containerd, `pod${kept.length}`);
      expect(await rootOf(containerd, pod.containerId)).toBe(by);
      const other = by === "runc" ? "crun" : "runc";
      const metadata = { name: other, uid: other, namespace: "default", attempt: kept.length };
      const chosen = await containerd.runtime.runPodSandbox({
        config: { metadata, linux: { cgroupParent: groupOf(dataDir) } },
        runtimeHandler: other,
      });
      expect(await rootOf(containerd, chosen.podSandboxId)).toBe(other);
      kept.push({ by, pod });
      await containerd.stop({ keepContainers: kept.length < 3 });
    }
    expect(await traces(dataDir)).toEqual(["bridge"]);
    await createCgroups(await detectCgroups(), dependencies).remove(groupOf(dataDir));
    const left = execFileSync(
      "unshare",
      ["-m", "sh", "-c", "umount -l /sys/fs/cgroup/unified 2>/dev/null; find /sys/fs/cgroup -name '*'"],
      {
        encoding: "utf8",
        maxBuffer: 64 * 1024 * 1024,
      },
    );
    expect(left).not.toContain(groupOf(dataDir));
  });

  test("is started again when it dies, and its connection recovers", async () => {
    const containerd = await start();
    const readPid = async (): Promise<number> => JSON.parse(await readFile(containerd.paths.pidFile, "utf8")).pid;
    const pid = await readPid();
    process.kill(pid, "SIGKILL");
    await until(async () => (await readPid()) !== pid, "a new process");
    await until(
      () =>
        containerd.runtime.version({}).then(
          () => true,
          () => false,
        ),
      "the connection",
    );
    await containerd.stop();
    expect(await traces(dataDir)).toEqual([]);
  });

  test("is taken over from a run that crashed, and left alone by a second user", async () => {
    const crashed = await start();
    const pid = JSON.parse(await readFile(crashed.paths.pidFile, "utf8")).pid;
    // The crashed run never stops: only its connection is closed here, so that the test can end.
    const next = await start();
    expect(JSON.parse(await readFile(next.paths.pidFile, "utf8")).pid).toBe(pid);
    const images = await withContainerd({ dataDir }, dependencies, (own) => listImages(own));
    expect(images.flatMap((image) => image.repoTags)).toEqual([pauseImageReference]);
    expect((await next.runtime.version({})).runtimeName).toBe("containerd");
    // Both stop: the second finds nothing left to end.
    await next.stop();
    await crashed.stop();
    expect(await traces(dataDir)).toEqual([]);
  });

  test("is started for the time of a call when it does not run", async () => {
    const archive = join(dataDir, "app.tar.gz");
    await writeFile(archive, gzipSync(await buildImage({ name: "app:2", files: { "/a": "a" }, busybox: false, entrypoint: ["/a"] })));
    const names = await withContainerd({ dataDir }, dependencies, (own) => importImage({ ...own, clock: realClock }, archive));
    expect(names).toEqual(["docker.io/library/app:2"]);
    expect(await findProcesses((args) => args.includes(containerdPaths(dataDir).config))).toEqual([]);
    await withContainerd({ dataDir }, dependencies, async (own) => {
      expect((await listImages(own)).flatMap((image) => image.repoTags).sort()).toEqual([pauseImageReference, "docker.io/library/app:2"]);
      await removeImage(own, "app:2");
      await expect(removeImage(own, "app:2")).rejects.toThrow("no image app:2 on this node");
    });
  });

  test("says what is wrong with an archive", async () => {
    const containerd = await start();
    const store = { ...containerd, clock: realClock };
    await expect(importImage(store, join(dataDir, "missing.tar"))).rejects.toThrow(/importing .*missing\.tar: .*ENOENT/);
    await expect(importImage(store, Buffer.from("not a tar at all, but long enough to be looked at".repeat(40)))).rejects.toThrow(
      /importing an image archive: /,
    );
    await containerd.stop();
  });

  test("lives in a data directory with a name too long for sockets", async () => {
    const long = await prepareDataDir("10.213.3.0/24", `coracle-${"x".repeat(90)}-`);
    try {
      const containerd = await start(long);
      expect(containerd.paths.socket).toMatch(/^\/run\/coracle\/[0-9a-f]{8}\/containerd\.sock$/);
      await importServer(containerd);
      const { address } = await runPod(containerd, "long");
      expect(await firstAnswer(address)).toContain("404");
      await containerd.stop();
      expect(await traces(long)).toEqual(["bridge"]);
    } finally {
      for (const containerd of started.splice(0)) await containerd.stop();
      await destroy(long);
    }
  });

  test("the pause program reaps orphans and ends on SIGTERM as process 1 of a pod", async () => {
    const containerd = await start();
    await importServer(containerd);
    const { containerId, podSandboxId } = await runPod(containerd, "shared", { shared: true });
    const run = async (script: string): Promise<string> =>
      Buffer.from((await containerd.runtime.execSync({ containerId, cmd: ["sh", "-c", script], timeout: 20 })).stdout).toString();
    expect(await run("cat /proc/1/cmdline")).toBe("/pause\0");
    // The inner shell ends at once; its child becomes process 1's, and would stay a zombie if that did not wait for it.
    const orphan = (await run("sh -c 'sleep 0.1 >/dev/null & echo $!'")).trim();
    await until(async () => (await run(`test -e /proc/${orphan} && echo there || echo gone`)) === "gone\n", "the orphan to be reaped");
    await run("kill -TERM 1");
    await until(
      async () => (await containerd.runtime.podSandboxStatus({ podSandboxId })).status?.state === "SANDBOX_NOTREADY",
      "the sandbox to end",
    );
    await containerd.stop();
  });

  test("puts pods into the control group they are given, whose removal ends them", async () => {
    const containerd = await start();
    await importServer(containerd);
    const cgroups = createCgroups(await detectCgroups(), dependencies);
    const group = cgroupfsNames.pod(groupOf(dataDir), "Burstable", "0123");
    await cgroups.ensure(group, { cpuShares: 512, memoryBytes: 128 * 1024 * 1024, pids: 100 });
    const { containerId } = await runPod(containerd, "grouped", { cgroupParent: group });
    const pids = await cgroups.processes(group);
    expect(pids).toHaveLength(2);
    await until(async () => ((await cgroups.usage(group))?.memoryBytes ?? 0) > 0, "memory use");
    expect(await cgroups.usage(group)).toMatchObject({ memoryLimitBytes: 128 * 1024 * 1024, processes: expect.any(Number) });
    await cgroups.remove(group);
    expect(await cgroups.exists(group)).toBe(false);
    await until(
      async () => (await containerd.runtime.containerStatus({ containerId })).status?.state === "CONTAINER_EXITED",
      "the container's end",
    );
    await containerd.stop();
    expect(execFileSync("find", ["/sys/fs/cgroup", "-path", `*${groupOf(dataDir)}*pod0123`], { encoding: "utf8" })).toBe("");
  });

  test("after a reboot, finds its containers ended and its images there", async () => {
    const first = await start();
    await importServer(first);
    const { podSandboxId, containerId } = await runPod(first, "rebooted");
    await first.stop({ keepContainers: true });
    // What a reboot does: every process ends, and the kernel has another boot id.
    await createCgroups(await detectCgroups(), dependencies).remove(groupOf(dataDir));
    for (const shim of await findProcesses((args) => args.includes(first.paths.socket))) process.kill(shim.pid, "SIGKILL");
    await writeFile(first.paths.bootFile, "another boot");

    const second = await start();
    expect((await second.runtime.podSandboxStatus({ podSandboxId })).status?.state).toBe("SANDBOX_NOTREADY");
    expect((await second.runtime.containerStatus({ containerId })).status?.state).toMatch(/CONTAINER_(EXITED|UNKNOWN)/);
    await second.runtime.stopPodSandbox({ podSandboxId });
    await second.runtime.removePodSandbox({ podSandboxId });
    const { address } = await runPod(second, "rebooted");
    expect(await firstAnswer(address)).toContain("404");
    await second.stop();
    expect(await traces(dataDir)).toEqual(["bridge"]);
  });

  test("destroyContainerd() takes everything down although containerd was killed", async () => {
    const containerd = await start();
    await importServer(containerd);
    await writePodNetwork({ dataDir, podCidrs: ["10.213.2.0/24"], mtu: 1400, acceptForwarding: true });
    await until(async () => {
      await runPod(containerd, `doomed-${Math.random()}`, { hostPort: 31_878 }).catch(() => undefined);
      return execFileSync("iptables-save", { encoding: "utf8" }).includes("-A CNI-FORWARD -s 10.213.2.");
    }, "a pod of the new network configuration");
    await containerd.stop({ keepContainers: true });
    const shims = await findProcesses((args) => args.includes(containerd.paths.socket));
    expect(shims.length).toBeGreaterThan(0);
    await destroyContainerd(dataDir, dependencies);
    for (const shim of shims) expect(await isRunning(shim)).toBe(false);
    expect(await traces(dataDir)).toEqual(["bridge"]);
    await removePodNetwork(dataDir);
    expect(await traces(dataDir)).toEqual([]);
    const rules = execFileSync("iptables-save", { encoding: "utf8" });
    expect(rules).not.toContain(podNetworkName(dataDir));
    expect(rules).not.toContain("10.213.2.");
  });
});
