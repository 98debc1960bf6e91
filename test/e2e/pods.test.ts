// How containers live and end on a real node: init containers and sidecars, restarts, probes, termination, limits and
// privileges, as Kubernetes documents them. One cluster, a namespace for each test, all of them at the same time.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, isReady, shell, statusColumn, statusOf, TestBed } from "../support/namespace.ts";
import { until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`pods are not tried with real containers: ${reason}`);

describe.runIf(reason === undefined)("pods on real containers", { timeout: 120_000, concurrent: true }, () => {
  let bed: TestBed;
  beforeAll(async () => {
    bed = await TestBed.start("pods");
  }, 180_000);
  afterAll(() => bed?.remove(), 180_000);

  describe("init containers", () => {
    it("run one after the other, each to its end, before the others", async () => {
      const ns = await bed.namespace("init-order");
      const step = (name: string) =>
        shell(`sleep 0.2; echo ${name} >> /work/order`, { name, volumeMounts: [{ name: "work", mountPath: "/work" }] });
      await ns.pod(
        "ordered",
        { ...step("main"), command: ["/bin/cat", "/work/order"] },
        {
          restartPolicy: "Never",
          initContainers: [step("first"), step("second")],
          volumes: [{ name: "work", emptyDir: {} }],
        },
      );
      expect(await ns.output("ordered")).toBe("first\nsecond\n");
      const pod = await ns.getPod("ordered");
      expect(pod.status?.initContainerStatuses?.map((s) => [s.name, s.ready, s.state?.terminated?.reason])).toEqual([
        ["first", true, "Completed"],
        ["second", true, "Completed"],
      ]);
      expect(pod.status?.conditions?.find((c) => c.type === "Initialized")).toMatchObject({ status: "True", reason: "PodCompleted" });
    });

    it("a failing one is tried again, and kubectl says Init:CrashLoopBackOff", async () => {
      const ns = await bed.namespace("init-crash");
      await ns.pod("crashing", shell(idle), { initContainers: [shell("exit 3", { name: "init" })] });
      const pod = await ns.untilWaiting("crashing", "CrashLoopBackOff", "init");
      expect(pod.status?.phase).toBe("Pending");
      expect(statusOf(pod, "init")?.lastState?.terminated).toMatchObject({ exitCode: 3, reason: "Error" });
      expect(statusOf(pod)?.state?.waiting?.reason).toBe("PodInitializing");
      await until("the column", async () => (await statusColumn(ns, "crashing")) === "Init:CrashLoopBackOff");
      expect(pod.status?.conditions?.find((c) => c.type === "Initialized")).toMatchObject({
        status: "False",
        reason: "ContainersNotInitialized",
        message: "containers with incomplete status: [init]",
      });
      await ns.untilEvent("crashing", /Warning BackOff: Back-off restarting failed container init in pod crashing_init-crash\(/);
    });

    it("a failing one ends a pod that must not be restarted", async () => {
      const ns = await bed.namespace("init-fails");
      await ns.pod("failed", shell(idle), { restartPolicy: "Never", initContainers: [shell("exit 3", { name: "init" })] });
      await ns.untilPhase("failed", "Failed");
      expect(await statusColumn(ns, "failed")).toBe("Init:Error");
    });
  });

  describe("sidecars", () => {
    it("start before the others, run beside them, and end after them", async () => {
      const ns = await bed.namespace("sidecar");
      const mount = { volumeMounts: [{ name: "work", mountPath: "/work" }] };
      const sidecar = shell("trap 'echo sidecar ends; exit 0' TERM; touch /work/up; echo sidecar; sleep 3600 & wait", {
        ...mount,
        name: "side",
        restartPolicy: "Always",
        startupProbe: { exec: { command: ["test", "-f", "/work/up"] }, periodSeconds: 1 },
      });
      const fields = {
        restartPolicy: "Never",
        initContainers: [sidecar],
        volumes: [{ name: "work", emptyDir: {} }],
        terminationGracePeriodSeconds: 20,
      };
      await ns.pod("with-sidecar", shell("ls /work; sleep 0.5", mount), fields);
      await ns.untilPod(
        "with-sidecar",
        "shows its sidecar",
        (p) => statusOf(p, "side")?.started && statusOf(p)?.state?.running !== undefined,
      );
      expect(await ns.output("with-sidecar")).toBe("up\n");
      const pod = await ns.untilPhase("with-sidecar", "Succeeded");
      expect(statusOf(pod, "side")?.state?.terminated?.exitCode).toBe(0);
      expect(await ns.kubectl("logs", "with-sidecar", "-c", "side")).toBe("sidecar\nsidecar ends\n");
    });

    it("are restarted when they end, and kubectl counts them among the pod's containers", async () => {
      const ns = await bed.namespace("sidecar-restart");
      await ns.pod("counted", shell(idle), { initContainers: [shell("sleep 0.5", { name: "side", restartPolicy: "Always" })] });
      await ns.untilPod("counted", "restarts its sidecar", (p) => (statusOf(p, "side")?.restartCount ?? 0) > 0);
      expect(await ns.kubectl("get", "pod", "counted", "--no-headers")).toMatch(/^counted +[12]\/2 /);
    });
  });

  describe("restart policies", () => {
    it("Never: an exit with 0 is Completed, any other Error; neither is restarted", async () => {
      const ns = await bed.namespace("never");
      await ns.pod("good", shell("exit 0"), { restartPolicy: "Never" });
      await ns.pod("bad", shell("exit 4"), { restartPolicy: "Never" });
      await Promise.all([ns.untilPhase("good", "Succeeded"), ns.untilPhase("bad", "Failed")]);
      expect(await statusColumn(ns, "good")).toBe("Completed");
      expect(await statusColumn(ns, "bad")).toBe("Error");
      expect(statusOf(await ns.getPod("bad"))).toMatchObject({ restartCount: 0, state: { terminated: { exitCode: 4, reason: "Error" } } });
    });

    it("OnFailure: restarted until it ends with 0", async () => {
      const ns = await bed.namespace("on-failure");
      const script = "n=$(cat /work/n 2>/dev/null || echo 0); echo $((n+1)) > /work/n; exit $((n < 1))";
      await ns.pod("retried", shell(script, { volumeMounts: [{ name: "work", mountPath: "/work" }] }), {
        restartPolicy: "OnFailure",
        volumes: [{ name: "work", emptyDir: {} }],
      });
      const pod = await ns.untilPhase("retried", "Succeeded");
      expect(statusOf(pod)).toMatchObject({ restartCount: 1, lastState: { terminated: { exitCode: 1 } } });
    });

    it("Always: a crashing container waits in CrashLoopBackOff, and logs --previous has the last run", async () => {
      const ns = await bed.namespace("always");
      await ns.pod("crashing", shell("echo run; exit 1"));
      const pod = await ns.untilWaiting("crashing", "CrashLoopBackOff");
      expect(statusOf(pod)?.state?.waiting?.message).toMatch(/^back-off \d+s restarting failed container=main pod=crashing_always\(.*\)$/);
      expect(pod.status?.phase).toBe("Running");
      expect(await ns.kubectl("logs", "crashing", "--previous")).toBe("run\n");
      expect(await ns.kubectl("get", "pod", "crashing")).toMatch(/0\/1 +CrashLoopBackOff +[1-9]\d* \(\d+s ago\)/);
    });
  });

  describe("probes", () => {
    it("readiness by HTTP makes a pod ready and unready", async () => {
      const ns = await bed.namespace("readiness");
      const web = shell("mkdir /www; httpd -p 8080 -h /www; sleep 3600", {
        ports: [{ name: "http", containerPort: 8080 }],
        readinessProbe: { httpGet: { port: "http", path: "/ok" }, periodSeconds: 1, failureThreshold: 1 },
      });
      await ns.pod("web", web);
      await ns.untilEvent("web", /Warning Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404/);
      expect(isReady(await ns.getPod("web"))).toBe(false);
      await ns.exec("web", "echo fine > /www/ok");
      await ns.untilReady("web");
      await ns.exec("web", "rm /www/ok");
      const pod = await ns.untilPod("web", "is unready", (p) => !isReady(p));
      expect(pod.status?.conditions?.find((c) => c.type === "Ready")).toMatchObject({
        reason: "ContainersNotReady",
        message: "containers with unready status: [main]",
      });
      expect(statusOf(pod)?.restartCount).toBe(0);
    });

    it("liveness by a command restarts a container", async () => {
      const ns = await bed.namespace("liveness");
      const livenessProbe = {
        exec: { command: ["sh", "-c", "test -f /tmp/well || { echo unwell; exit 1; }"] },
        periodSeconds: 1,
        failureThreshold: 1,
      };
      await ns.pod("sick", shell(`touch /tmp/well; ${idle}`, { livenessProbe: { ...livenessProbe, initialDelaySeconds: 1 } }));
      await ns.untilReady("sick");
      await ns.exec("sick", "rm /tmp/well");
      await ns.untilPod("sick", "is restarted", (p) => statusOf(p)?.restartCount === 1 && isReady(p));
      await ns.untilEvent("sick", /Warning Unhealthy: Liveness probe failed: unwell/);
      await ns.untilEvent("sick", /Normal Killing: Container main failed liveness probe, will be restarted/);
    });

    it("liveness by TCP restarts a container that does not listen", async () => {
      const ns = await bed.namespace("liveness-tcp");
      await ns.pod("deaf", shell(idle, { livenessProbe: { tcpSocket: { port: 9 }, periodSeconds: 1, failureThreshold: 1 } }));
      await ns.untilPod("deaf", "is restarted", (p) => (statusOf(p)?.restartCount ?? 0) > 0);
      await ns.untilEvent("deaf", /Warning Unhealthy: Liveness probe failed: dial tcp 10\.\d+\.\d+\.\d+:9: connect: connection refused/);
    });

    it("a startup probe holds back the others, and its failure restarts the container", async () => {
      const ns = await bed.namespace("startup");
      const startupProbe = { exec: { command: ["test", "-f", "/tmp/started"] }, periodSeconds: 1, failureThreshold: 60 };
      const livenessProbe = { exec: { command: ["true"] }, periodSeconds: 1 };
      await ns.pod("slow", shell(idle, { startupProbe, livenessProbe }));
      await ns.pod("never", shell(idle, { startupProbe: { ...startupProbe, failureThreshold: 1 } }));
      const starting = await ns.untilPod("slow", "runs", (p) => statusOf(p)?.state?.running !== undefined);
      expect(statusOf(starting)).toMatchObject({ started: false, ready: false });
      await ns.exec("slow", "touch /tmp/started");
      const started = await ns.untilReady("slow");
      expect(statusOf(started)).toMatchObject({ started: true, restartCount: 0 });
      await ns.untilPod("never", "is restarted", (p) => (statusOf(p)?.restartCount ?? 0) > 0);
      await ns.untilEvent("never", /Normal Killing: Container main failed startup probe, will be restarted/);
    });
  });

  describe("ending", () => {
    it("preStop, then SIGTERM with time to finish", async () => {
      const ns = await bed.namespace("graceful");
      const preStop = { exec: { command: ["sh", "-c", "echo preStop > /proc/1/fd/1"] } };
      const script = "trap 'echo SIGTERM; sleep 0.5; echo done; exit 0' TERM; echo up; sleep 3600 & wait";
      await ns.pod("polite", shell(script, { lifecycle: { preStop } }), { terminationGracePeriodSeconds: 30 });
      await ns.untilLog("polite", "up");
      const log = ns.kubectl("logs", "-f", "polite");
      await ns.kubectl("delete", "pod", "polite");
      expect(await log).toBe("up\npreStop\nSIGTERM\ndone\n");
      await ns.untilEvent("polite", /Normal Killing: Stopping container main/);
    });

    it("SIGKILL when the grace period is over", async () => {
      const ns = await bed.namespace("stubborn");
      await ns.pod("stubborn", shell("trap '' TERM; echo up; while :; do sleep 1; done"), { terminationGracePeriodSeconds: 2 });
      await ns.untilLog("stubborn", "up");
      const before = Date.now();
      await ns.kubectl("delete", "pod", "stubborn");
      const tookMs = Date.now() - before;
      expect(tookMs).toBeGreaterThan(1_900);
      expect(tookMs).toBeLessThan(20_000);
    });

    it("delete --force removes the object at once, and the containers soon", async () => {
      const ns = await bed.namespace("force");
      await ns.pod("forced", shell("trap '' TERM; echo up; sleep 3600"), { terminationGracePeriodSeconds: 600 });
      await ns.untilLog("forced", "up");
      const result = await ns.tryKubectl(["delete", "pod", "forced", "--force"]);
      expect(result).toMatchObject({ code: 0, stdout: 'pod "forced" force deleted\n' });
      expect(result.stderr).toMatch(/Immediate deletion does not wait/);
      await ns.pod("forced", shell(idle));
      await ns.untilReady("forced");
    });

    it("a pod that is deleted while it starts leaves nothing behind", async () => {
      const ns = await bed.namespace("early");
      const names = Array.from({ length: 5 }, (_, i) => `early-${i}`);
      await Promise.all(
        names.map(async (name, i) => {
          await ns.pod(name, shell(idle));
          if (i > 0) await ns.untilPod(name, "is on a node", (p) => p.spec.nodeName !== undefined);
          await ns.kubectl("delete", "pod", name, "--wait=false");
          await ns.untilGone(name);
        }),
      );
    });

    it("activeDeadlineSeconds ends a pod", async () => {
      const ns = await bed.namespace("deadline");
      await ns.pod("late", shell(idle), { activeDeadlineSeconds: 1 });
      const pod = await ns.untilPhase("late", "Failed");
      expect(pod.status).toMatchObject({
        reason: "DeadlineExceeded",
        message: "Pod was active on the node longer than the specified deadline",
      });
      expect(await statusColumn(ns, "late")).toMatch(/DeadlineExceeded|Completed|Error/);
    });

    it("terminationMessage comes from the file, or from the log of a failure", async () => {
      const ns = await bed.namespace("message");
      await ns.pod("file", shell("echo -n from the file > /tmp/bye", { terminationMessagePath: "/tmp/bye" }), { restartPolicy: "Never" });
      await ns.pod("log", shell("echo from the log; exit 1", { terminationMessagePolicy: "FallbackToLogsOnError" }), {
        restartPolicy: "Never",
      });
      expect(statusOf(await ns.untilPhase("file", "Succeeded"))?.state?.terminated?.message).toBe("from the file");
      expect(statusOf(await ns.untilPhase("log", "Failed"))?.state?.terminated?.message).toBe("from the log\n");
    });

    it("postStart runs in the container, and its failure kills it", async () => {
      const ns = await bed.namespace("post-start");
      const hook = (script: string) => ({ lifecycle: { postStart: { exec: { command: ["sh", "-c", script] } } } });
      await ns.pod("good", shell(idle, hook("echo hooked > /tmp/hook")));
      await ns.pod("bad", shell(idle, hook("exit 9")));
      await ns.untilReady("good");
      expect(await ns.exec("good", "cat /tmp/hook")).toBe("hooked\n");
      await ns.untilEvent("bad", /Warning FailedPostStartHook: PostStartHook failed/);
      await ns.untilPod("bad", "has failed its hook", (p) =>
        ["PostStartHookError", "CrashLoopBackOff"].includes(statusOf(p)?.state?.waiting?.reason ?? ""),
      );
    });
  });

  describe("limits and privileges", () => {
    it("more memory than its limit: OOMKilled, exit 137", async () => {
      const ns = await bed.namespace("oom");
      await ns.pod("hungry", shell("head -c 100m /dev/zero | tail", { resources: { limits: { memory: "16Mi" } } }), {
        restartPolicy: "Never",
      });
      const pod = await ns.untilPhase("hungry", "Failed");
      expect(statusOf(pod)?.state?.terminated).toMatchObject({ reason: "OOMKilled", exitCode: 137 });
      expect(await statusColumn(ns, "hungry")).toBe("OOMKilled");
    });

    it("the limits are those of its cgroup", async () => {
      const ns = await bed.namespace("cgroup");
      const resources = { requests: { cpu: "100m" }, limits: { cpu: "500m", memory: "32Mi" } };
      const script = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes";
      await ns.pod("limited", shell(script, { resources }), { restartPolicy: "Never" });
      expect(await ns.output("limited")).toBe(`${32 * 2 ** 20}\n`);
      const pod = await ns.getPod("limited");
      expect(pod.status?.qosClass).toBe("Burstable");
      expect(statusOf(pod)?.allocatedResources).toMatchObject({ cpu: "100m", memory: "32Mi" });
    });

    it("runAsUser, runAsGroup, fsGroup, a read-only root, no capabilities", async () => {
      const ns = await bed.namespace("security");
      const securityContext = {
        runAsUser: 1234,
        runAsGroup: 2345,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"] },
      };
      const script =
        "id -u; id -g; id -G; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; touch /x 2>&1; touch /data/y && stat -c %g /data/y";
      await ns.pod("confined", shell(script, { securityContext, volumeMounts: [{ name: "data", mountPath: "/data" }] }), {
        restartPolicy: "Never",
        securityContext: { fsGroup: 3456 },
        volumes: [{ name: "data", emptyDir: {} }],
      });
      const log = await ns.output("confined");
      expect(log).toMatch(/^1234\n2345\n2345 3456\n/);
      expect(log).toMatch(/CapBnd:\s+0000000000000000\nNoNewPrivs:\s+1\n/);
      expect(log).toMatch(/touch: \/x: Read-only file system/);
      expect(log).toMatch(/\n3456\n$/);
    });

    it("runAsNonRoot refuses an image whose user is root", async () => {
      const ns = await bed.namespace("non-root");
      await ns.pod("root", shell(idle, { securityContext: { runAsNonRoot: true } }));
      const pod = await ns.untilWaiting("root", "CreateContainerConfigError");
      expect(statusOf(pod)?.state?.waiting?.message).toMatch(
        /^container has runAsNonRoot and image will run as root \(pod: "root_non-root\(.*\)", container: main\)$/,
      );
      await ns.untilEvent("root", /Warning Failed: Error: container has runAsNonRoot/);
    });

    it("privileged containers see the node's devices, others do not", async () => {
      const ns = await bed.namespace("privileged");
      const script = "ls /dev | wc -l; sleep 0.1; grep CapEff /proc/self/status";
      await ns.pod("plain", shell(script), { restartPolicy: "Never" });
      await ns.pod("mighty", shell(script, { securityContext: { privileged: true } }), { restartPolicy: "Never" });
      const [plain, mighty] = await Promise.all([ns.output("plain"), ns.output("mighty")]);
      expect(Number.parseInt(mighty, 10)).toBeGreaterThan(Number.parseInt(plain, 10));
      expect(mighty).not.toBe(plain);
    });

    it("shareProcessNamespace lets containers see each other's processes", async () => {
      const ns = await bed.namespace("processes");
      await ns.pod("shared", [shell(idle), shell("exec sleep 4321", { name: "other" })], { shareProcessNamespace: true });
      await ns.pod("apart", [shell(idle), shell("exec sleep 4321", { name: "other" })]);
      await Promise.all([ns.untilReady("shared"), ns.untilReady("apart")]);
      expect(await ns.exec("shared", "ps")).toMatch(/sleep 4321/);
      expect(await ns.exec("apart", "ps")).not.toMatch(/sleep 4321/);
    });
  });

  it("static pods run from a directory, have a mirror, and end with their file", { timeout: 180_000 }, async () => {
    const directory = join(bed.cluster.dataDir, "manifests");
    await mkdir(directory, { recursive: true });
    const file = join(directory, "static.json");
    const manifest = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "static", namespace: "default" },
      spec: { terminationGracePeriodSeconds: 1, containers: [shell(idle)] },
    };
    await writeFile(file, JSON.stringify(manifest));
    const [node = ""] = (await bed.cluster.kubectl("get", "nodes", "-o", "name")).trim().split("\n");
    const name = `static-${node.replace("node/", "")}`;
    await until(
      "the mirror pod is ready",
      async () => (await bed.cluster.tryKubectl(["wait", "--for=condition=Ready", `pod/${name}`])).code === 0,
    );
    // Comes back under the same name, which kubectl must not take for the old one.
    for (let i = 0; i < 5; i++) {
      await bed.cluster.kubectl("wait", "--for=create", `pod/${name}`, "--timeout=30s");
      await bed.cluster.kubectl("delete", "pod", name, "--timeout=20s");
    }
    await until("the mirror pod is back", async () => (await bed.cluster.tryKubectl(["get", "pod", name])).code === 0);
    await rm(file);
    await until("the mirror pod is gone", async () => (await bed.cluster.tryKubectl(["get", "pod", name])).code !== 0);
  });

  it("20 pods at once all run", async () => {
    const ns = await bed.namespace("many");
    const names = Array.from({ length: 20 }, (_, i) => `many-${i}`);
    await Promise.all(names.map((name) => ns.pod(name, shell(idle))));
    const ready = await Promise.all(names.map((name) => ns.untilReady(name)));
    expect(new Set(ready.map((p) => p.status?.podIP)).size).toBe(20);
    await ns.kubectl("delete", "pods", "--all");
  });
});
