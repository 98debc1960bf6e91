// Corners of a pod's life that users meet sooner or later, on a real node: restart rules, host names, sysctls, what the
// runtime or the kernel cannot do and how a pod says so, hooks by HTTP, files of variables, generations.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { events, pods } from "../../src/api/resources.generated.ts";
import type { Pod } from "../../src/api/types/core-v1.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { box, idle, isReady, type Manifest, shell, statusColumn, statusOf, TestBed, type TestNamespace } from "../support/namespace.ts";
import { until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`corners of pods are not tried with real containers: ${reason}`);

const never = { restartPolicy: "Never" };
const work = { volumeMounts: [{ name: "work", mountPath: "/work" }] };
const workVolume = { volumes: [{ name: "work", emptyDir: {} }] };
/** Ends with each of the codes in turn, once for each run. */
const exits = (...codes: readonly number[]): string =>
  `n=$(cat /work/n 2>/dev/null || echo 1); echo $((n+1)) > /work/n; exit $(echo ${codes.join(" ")} | cut -d' ' -f$n)`;

describe.runIf(reason === undefined)("corners of pods on real containers", { timeout: 120_000, concurrent: true }, () => {
  let bed: TestBed;
  beforeAll(async () => {
    bed = await TestBed.start("corners");
  }, 180_000);
  afterAll(() => bed?.remove(), 180_000);

  describe("restarts by container", () => {
    it("rules by exit code come before the policy", async () => {
      const ns = await bed.namespace("rules");
      const restartPolicyRules = [{ action: "Restart", exitCodes: { operator: "In", values: [42] } }];
      const ruled = { ...work, restartPolicy: "Never", restartPolicyRules };
      await ns.pod("retried", shell(exits(42, 0), ruled), { ...never, ...workVolume });
      await ns.pod("given-up", shell(exits(42, 3), ruled), { ...never, ...workVolume });
      expect(statusOf(await ns.untilPhase("retried", "Succeeded"))).toMatchObject({
        restartCount: 1,
        state: { terminated: { exitCode: 0 } },
      });
      expect(statusOf(await ns.untilPhase("given-up", "Failed"))).toMatchObject({
        restartCount: 1,
        state: { terminated: { exitCode: 3 } },
      });
    });

    it("a rule restarts all containers in their place, init containers too", async () => {
      const ns = await bed.namespace("restart-all");
      const restartPolicyRules = [{ action: "RestartAllContainers", exitCodes: { operator: "In", values: [42] } }];
      const ruled = { ...work, name: "watcher", restartPolicy: "Never", restartPolicyRules };
      const initContainers = [shell("exit 0", { name: "prepare" })];
      await ns.pod("reset", [shell(exits(42, 0), ruled), shell("sleep 3600", { name: "main" })], {
        ...never,
        ...workVolume,
        initContainers,
      });
      const done = (p: Pod): boolean =>
        statusOf(p, "watcher")?.state?.terminated?.exitCode === 0 && statusOf(p, "main")?.state?.running !== undefined;
      const pod = await ns.untilPod("reset", "has been restarted as a whole", done, 60_000);
      expect(statusOf(pod, "main")).toMatchObject({ restartCount: 1, lastState: { terminated: { reason: "RestartingAllContainers" } } });
      expect(pod.status?.initContainerStatuses?.[0]?.restartCount).toBe(1);
      expect(pod.status?.conditions?.find((c) => c.type === "AllContainersRestarting")?.status).toBe("False");
      await ns.kubectl("delete", "pod", "reset", "--grace-period=1");
    });

    it("a policy of its own keeps one container running beside others that end", async () => {
      const ns = await bed.namespace("own-policy");
      const kept = shell(exits(1, 0), { ...work, name: "kept", restartPolicy: "OnFailure" });
      await ns.pod("mixed", [kept, shell("exit 0", { name: "once" })], { ...never, ...workVolume });
      const pod = await ns.untilPhase("mixed", "Succeeded");
      expect([statusOf(pod, "kept")?.restartCount, statusOf(pod, "once")?.restartCount]).toEqual([1, 0]);
    });

    it("a probe's own grace period counts, not the pod's", async () => {
      const ns = await bed.namespace("probe-grace");
      const livenessProbe = {
        ...{ exec: { command: ["false"] }, periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 1 },
        terminationGracePeriodSeconds: 1,
      };
      await ns.pod("deaf", shell("trap '' TERM; while :; do sleep 0.2; done", { livenessProbe }), { terminationGracePeriodSeconds: 600 });
      const pod = await ns.untilPod("deaf", "is restarted", (p) => (statusOf(p)?.restartCount ?? 0) > 0, 30_000);
      expect(statusOf(pod)?.lastState?.terminated?.exitCode).toBe(137);
      await ns.kubectl("delete", "pod", "deaf", "--grace-period=1");
    });

    it("a deadline that is set later ends a running pod", async () => {
      const ns = await bed.namespace("later");
      await ns.pod("limited", shell(idle));
      await ns.untilReady("limited");
      await ns.kubectl("patch", "pod", "limited", "-p", '{"spec":{"activeDeadlineSeconds":1}}');
      expect((await ns.untilPhase("limited", "Failed")).status?.reason).toBe("DeadlineExceeded");
    });
  });

  describe("sidecars", () => {
    it("start in order, and end in reverse order after the containers they serve", async () => {
      const ns = await bed.namespace("order");
      const log = (name: string) => `trap 'echo ${name} ends >> /log/all; exit 0' TERM; echo ${name} >> /log/all; sleep 3600 & wait`;
      const volumeMounts = [{ name: "log", mountPath: "/log" }];
      const part = (name: string, fields: Manifest = {}) => shell(log(name), { name, volumeMounts, ...fields });
      const path = join(bed.cluster.dataDir, "order");
      await ns.pod("ordered", part("main"), {
        terminationGracePeriodSeconds: 30,
        initContainers: [part("first", { restartPolicy: "Always" }), part("second", { restartPolicy: "Always" })],
        volumes: [{ name: "log", hostPath: { path, type: "DirectoryOrCreate" } }],
      });
      await ns.untilReady("ordered");
      await ns.kubectl("delete", "pod", "ordered");
      await ns.pod("reader", shell("cat /log/all; rm -r /log/*", { volumeMounts }), {
        ...never,
        volumes: [{ name: "log", hostPath: { path } }],
      });
      expect(await ns.output("reader")).toBe("first\nsecond\nmain\nmain ends\nsecond ends\nfirst ends\n");
    });
  });

  describe("hooks by HTTP", () => {
    it("postStart and preStop ask another pod, and preStop may just wait", async () => {
      const ns = await bed.namespace("hooks");
      await ns.pod("server", shell("httpd -f -vv -p 8080 2>&1"));
      const { status } = await ns.untilReady("server");
      const ask = (path: string) => ({ httpGet: { host: status?.podIP, port: 8080, path } });
      await ns.pod("asking", shell(idle, { lifecycle: { postStart: ask("/started"), preStop: ask("/stopping") } }));
      await ns.untilLog("server", "/started");
      await ns.untilReady("asking");
      await ns.kubectl("delete", "pod", "asking");
      await ns.untilLog("server", "/stopping");
      await ns.pod("waiting", shell(idle, { lifecycle: { preStop: { sleep: { seconds: 1 } } } }), { terminationGracePeriodSeconds: 30 });
      await ns.untilReady("waiting");
      const beganMs = Date.now();
      await ns.kubectl("delete", "pod", "waiting");
      expect(Date.now() - beganMs).toBeGreaterThan(900);
    });
  });

  describe("ephemeral containers", () => {
    const debug = (pod: string, name: string, script: string, ...flags: readonly string[]): readonly string[] => [
      ...["debug", pod, `--image=${box.name}`, "-c", name, "--profile=general", ...flags, "--", "sh", "-c", script],
    ];
    /** What the server says to a list of them: "" when it takes it. */
    const replace = async (ns: TestNamespace, pod: string, ephemeralContainers: readonly Manifest[]): Promise<string> => {
      const path = `/api/v1/namespaces/${ns.name}/pods/${pod}/ephemeralcontainers`;
      const { spec } = await ns.getPod(pod);
      const metadata = { name: pod, namespace: ns.name };
      const input = JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata, spec: { ...spec, ephemeralContainers } });
      const { code, stderr } = await ns.tryKubectl(["replace", "--raw", path, "-f", "-"], { input });
      return code === 0 ? "" : stderr;
    };

    it("one sees its target's processes and files, another one its own alone; the pod is as before", async () => {
      const ns = await bed.namespace("debug");
      await ns.pod("target", shell("echo secret > /tmp/file; exec sleep 4321"));
      const before = await ns.untilReady("target");
      await ns.kubectl(...debug("target", "inside", "ps; cat /proc/1/root/tmp/file; exit 3", "--target=main"));
      await ns.kubectl(...debug("target", "beside", "ps; echo -n over > /dev/termination-log"));
      const pod = await ns.untilPod("target", "has had both", (p) =>
        ["inside", "beside"].every((name) => statusOf(p, name)?.state?.terminated !== undefined),
      );
      expect(await ns.kubectl("logs", "target", "-c", "inside")).toMatch(/sleep 4321[\s\S]*secret/);
      expect(await ns.kubectl("logs", "target", "-c", "beside")).not.toContain("4321");
      const [inside, beside] = [statusOf(pod, "inside"), statusOf(pod, "beside")];
      expect(inside).toMatchObject({
        ready: false,
        restartCount: 0,
        lastState: {},
        state: { terminated: { exitCode: 3, reason: "Error" } },
      });
      expect(inside?.started).toBeUndefined();
      expect(beside?.state?.terminated).toMatchObject({ exitCode: 0, reason: "Completed", message: "over" });
      expect([isReady(pod), statusOf(pod)?.containerID]).toEqual([true, statusOf(before)?.containerID]);
      await ns.untilEvent("target", /Started: Container started\n[\s\S]*Started: Container started\n[\s\S]*Started: Container started/);
      const { items } = await bed.client.list(events, { namespace: ns.name });
      const told = items.filter((e) => e.involvedObject.fieldPath === "spec.ephemeralContainers{inside}");
      expect(told.map((e) => `${e.type} ${e.reason}: ${e.message}`).sort()).toEqual([
        "Normal Created: Container created",
        `Normal Pulled: Container image "${box.name}" already present on machine and can be accessed by the pod`,
        "Normal Started: Container started",
      ]);
    });

    it("what runs in one can be reached, has the pod's volumes and processes, and ends with the pod", async () => {
      const ns = await bed.namespace("debug-running");
      const shared = { ...workVolume, shareProcessNamespace: true, terminationGracePeriodSeconds: 5 };
      await ns.pod("shared", shell(idle, work), shared);
      await ns.untilReady("shared");
      const script = "trap 'echo told > /work/end; exit 5' TERM; echo here > /work/file; sleep 3600 & wait";
      const ephemeral = shell(script, { name: "helper", ...work, env: [{ name: "COLOUR", value: "red" }] });
      expect(await replace(ns, "shared", [ephemeral])).toBe("");
      await ns.untilPod("shared", "has its helper", (p) => statusOf(p, "helper")?.state?.running !== undefined);
      await until("the helper writes to the volume", async () => (await ns.exec("shared", "cat /work/file")) === "here\n");
      expect(await ns.exec("shared", "echo $COLOUR; ps", "helper")).toMatch(/^red\n[\s\S]*\/pause/);
      await ns.kubectl("delete", "pod", "shared", "--wait=true");
    });

    it("one that cannot start says why, and harms nothing", async () => {
      const ns = await bed.namespace("debug-failing");
      await ns.pod("sound", shell(idle));
      await ns.untilReady("sound");
      await ns.pod("ended", [shell("exit 0"), shell(idle, { name: "other" })], never);
      await ns.untilPod("ended", "has one that ended", (p) => statusOf(p)?.state?.terminated !== undefined);
      const wrong = [shell("true", { name: "no-image", image: "example.test/none:1", imagePullPolicy: "Never" })];
      expect(await replace(ns, "sound", wrong)).toBe("");
      expect(await replace(ns, "ended", [shell("true", { name: "no-target", targetContainerName: "main" })])).toBe("");
      const pod = await ns.untilWaiting("sound", "ErrImageNeverPull", "no-image");
      expect(isReady(pod)).toBe(true);
      const left = await ns.untilWaiting("ended", "CreateContainerError", "no-target");
      expect(statusOf(left, "no-target")?.state?.waiting?.message).toMatch(
        /invalid target container: .* is not running - in state CONTAINER_EXITED/,
      );
      expect(statusOf(left, "other")?.state?.running).toBeDefined();
    });

    it("those of a pod are only added to, have no ports, probes, hooks or resources, and no place in a new pod", async () => {
      const ns = await bed.namespace("debug-refused");
      await ns.pod("target", shell(idle));
      await ns.untilReady("target");
      const one = shell("true", { name: "one" });
      expect(await replace(ns, "target", [one])).toBe("");
      const refusals: readonly (readonly [readonly Manifest[], string])[] = [
        [[], "existing ephemeral containers"],
        [[{ ...one, image: "example.test/other:1" }], "existing ephemeral containers"],
        [[one, shell("true", { name: "main" })], "Duplicate value"],
        [
          [one, shell("true", { name: "two", targetContainerName: "nobody" })],
          "spec.ephemeralContainers[1].targetContainerName: Not found",
        ],
        [[one, shell("true", { name: "two", ports: [{ containerPort: 80 }] })], "ephemeralContainers[1].ports: Forbidden"],
        [[one, shell("true", { name: "two", resources: { limits: { cpu: "1" } } })], "ephemeralContainers[1].resources: Forbidden"],
        [[one, shell("true", { name: "two", readinessProbe: { exec: { command: ["true"] } } })], "readinessProbe: Forbidden"],
        [[one, shell("true", { name: "two", lifecycle: { preStop: { exec: { command: ["true"] } } } })], "lifecycle: Forbidden"],
      ];
      for (const [list, text] of refusals) expect(await replace(ns, "target", list)).toContain(text);
      const fresh = ns.pod("fresh", shell(idle), { ephemeralContainers: [one] });
      await expect(fresh).rejects.toThrow("spec.ephemeralContainers: Forbidden: cannot be set on create");
    });
  });

  describe("names", () => {
    it("setHostnameAsFQDN and hostnameOverride reach the kernel and /etc/hosts", async () => {
      const ns = await bed.namespace("fqdn");
      const script = "hostname; grep $(hostname) /etc/hosts | cut -f2-";
      await ns.pod("full", shell(script), { ...never, subdomain: "sub", setHostnameAsFQDN: true });
      await ns.pod("other", shell(script), { ...never, hostnameOverride: "over.example" });
      expect(await ns.output("full")).toBe("full.sub.fqdn.svc.cluster.local\nfull.sub.fqdn.svc.cluster.local\tfull\n");
      expect(await ns.output("other")).toBe("over.example\nover.example\n");
    });

    it("a full name that is too long is said in an event", async () => {
      const ns = await bed.namespace("fqdn-long");
      await ns.pod("long", shell(idle), { subdomain: "s".repeat(60), setHostnameAsFQDN: true });
      await ns.untilEvent(
        "long",
        /Warning FailedCreatePodSandBox: Failed to create pod sandbox: failed to construct FQDN .* is too long \(64 characters is the max/,
      );
    });

    it("limits of the resolver are said in an event", async () => {
      const ns = await bed.namespace("dns-limits");
      const nameservers = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
      const searches = ["b".repeat(60), ...Array.from({ length: 33 }, (_, i) => `s${i}.example`)].slice(0, 32);
      await ns.pod("many", shell("grep -c nameserver /etc/resolv.conf"), {
        ...never,
        dnsPolicy: "Default",
        dnsConfig: { nameservers, searches },
      });
      expect(await ns.output("many")).toBe("3\n");
      await ns.untilEvent("many", /Warning DNSConfigForming: Nameserver limits were exceeded, some nameservers have been omitted/);
    });
  });

  describe("what a pod may not, or cannot here", () => {
    it("safe sysctls are set, others refused at the door", async () => {
      const ns = await bed.namespace("sysctls");
      const sysctls = (...list: readonly (readonly [string, string])[]) => ({
        securityContext: { sysctls: list.map(([name, value]) => ({ name, value })) },
      });
      await ns.pod("safe", shell("cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start"), {
        ...never,
        ...sysctls(["kernel.shm_rmid_forced", "1"], ["net.ipv4.ip_unprivileged_port_start", "80"]),
      });
      await ns.pod("unsafe", shell(idle), sysctls(["kernel.msgmax", "1"]));
      expect(await ns.output("safe")).toBe("1\n80\n");
      expect((await ns.untilPhase("unsafe", "Failed")).status).toMatchObject({
        reason: "SysctlForbidden",
        message: 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted',
      });
      expect(await statusColumn(ns, "unsafe")).toBe("SysctlForbidden");
      await ns.untilEvent("unsafe", /Warning SysctlForbidden: forbidden sysctl: "kernel.msgmax" not allowlisted/);
    });

    it("users of its own, read-only mounts all the way down: an error where the runtime has no such thing", async () => {
      const ns = await bed.namespace("unsupported");
      const { items } = await bed.cluster.get<{ items: { status: { runtimeHandlers?: { features?: Record<string, boolean> }[] } }[] }>(
        "nodes",
      );
      const features = items[0]?.status.runtimeHandlers?.[0]?.features ?? {};
      await ns.pod("users", shell("cat /proc/self/uid_map"), { ...never, hostUsers: false });
      const mount = { name: "work", mountPath: "/work", readOnly: true };
      const data = (recursiveReadOnly: string) => shell(idle, { volumeMounts: [{ ...mount, recursiveReadOnly }] });
      await ns.pod("deep", data("Enabled"), workVolume);
      await ns.pod("maybe", data("IfPossible"), workVolume);
      const status = statusOf(await ns.untilReady("maybe"));
      const supported = features.recursiveReadOnlyMounts === true;
      expect(status?.volumeMounts?.[0]).toMatchObject({ recursiveReadOnly: supported ? "Enabled" : "Disabled" });
      if (features.userNamespaces) expect(await ns.output("users")).toMatch(/^ +0 +[1-9]/);
      else
        await ns.untilEvent(
          "users",
          /Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces/,
        );
      if (supported) await ns.untilReady("deep");
      else
        expect(statusOf(await ns.untilWaiting("deep", "CreateContainerConfigError"))?.state?.waiting?.message).toBe(
          'failed to resolve recursive read-only mode: volume "work" requested recursive read-only mode, but it is not supported by the runtime',
        );
    });

    it("a RuntimeClass that is not there, or whose handler the runtime does not know", async () => {
      const ns = await bed.namespace("runtime-class");
      await bed.cluster.apply({ apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: { name: "strange" }, handler: "strange" });
      const missing = await ns.tryKubectl(["run", "none", `--image=${box.name}`, '--overrides={"spec":{"runtimeClassName":"none"}}']);
      expect(missing.stderr).toMatch(/RuntimeClass "none" not found/);
      await ns.pod("strange", shell(idle), { runtimeClassName: "strange" });
      await ns.untilEvent(
        "strange",
        /Warning FailedCreatePodSandBox: Failed to create pod sandbox: .*no runtime for "strange" is configured/,
      );
    });

    it("a container that cannot be made is tried again now and then, not all the time", async () => {
      const ns = await bed.namespace("no-command");
      await ns.pod("empty", { name: "main", image: box.name, command: ["/no/such/program"] });
      await ns.untilPod("empty", "has failed to start", (p) =>
        /RunContainerError|CrashLoopBackOff/.test(statusOf(p)?.state?.waiting?.reason ?? ""),
      );
      const texts = await ns.eventTexts("empty");
      expect(texts.split("\n").filter((t) => t.includes("Failed: Error")).length).toBeLessThan(4);
      const seccompProfile = { type: "Localhost", localhostProfile: "missing.json" };
      await ns.pod("unconfined", shell(idle), { securityContext: { seccompProfile } });
      await ns.untilWaiting("unconfined", "CreateContainerError");
      await ns.untilEvent("unconfined", /Warning Failed: Error: .*missing\.json/);
    });
  });

  describe("what containers are given", () => {
    it("the command and arguments of their image, unless they bring their own", async () => {
      const ns = await bed.namespace("commands");
      const image = "example.test/echo:1";
      await bed.cluster.importImages({ name: image, entrypoint: ["/bin/echo", "image"], cmd: ["says", "this"] });
      const run = (name: string, fields: Manifest) => ns.pod(name, { name: "main", image, ...fields }, never);
      const own = { command: ["/bin/echo", "pod"], args: ["$(WHO)", "$$(WHO)", "$(NONE)"], env: [{ name: "WHO", value: "me" }] };
      await Promise.all([
        run("none", {}),
        run("args", { args: own.args, env: own.env }),
        run("command", { command: own.command }),
        run("both", own),
      ]);
      const said = await Promise.all(["none", "args", "command", "both"].map((name) => ns.output(name)));
      expect(said).toEqual(["image says this\n", "image me $(WHO) $(NONE)\n", "pod\n", "pod me $(WHO) $(NONE)\n"]);
    });

    it("a subPathExpr that could not be used is used once it is right", async () => {
      const ns = await bed.namespace("sub-path");
      const env = [{ name: "DIR", valueFrom: { fieldRef: { fieldPath: "metadata.annotations['dir']" } } }];
      const volumeMounts = [{ name: "work", mountPath: "/work", subPathExpr: "$(DIR)" }];
      const spec = { ...workVolume, annotations: { dir: "/absolute" } };
      await ns.pod("changing", shell(idle, { env, volumeMounts }), spec);
      const pod = await ns.untilWaiting("changing", "CreateContainerConfigError");
      expect(statusOf(pod)?.state?.waiting?.message).toBe("error SubPath `/absolute` must not be an absolute path");
      await ns.kubectl("annotate", "pod", "changing", "dir=right", "--overwrite");
      await ns.untilReady("changing");
    });

    it.each([
      ["", "777"],
      ["Memory", "1777"],
    ])("emptyDir (medium %j): every user may write, modes are the files' own", async (medium, mode) => {
      const ns = await bed.namespace(`empty-${medium.toLowerCase() || "disk"}`);
      const make =
        "stat -c %a /work; for m in 644 666 777; do echo x > /work/$USER_$m; chmod $m /work/$USER_$m; stat -c '%a %u' /work/$USER_$m; done";
      const as = (user: number) => ({ ...work, securityContext: { runAsUser: user } });
      const volumes = [{ name: "work", emptyDir: { medium } }];
      await ns.pod("root", shell(make, as(0)), { ...never, volumes });
      await ns.pod("user", shell(make, as(1001)), { ...never, volumes });
      expect(await ns.output("root")).toBe(`${mode}\n644 0\n666 0\n777 0\n`);
      expect(await ns.output("user")).toBe(`${mode}\n644 1001\n666 1001\n777 1001\n`);
    });

    it("files of ConfigMaps and Secrets for a user and a group that are not root", async () => {
      const ns = await bed.namespace("file-owners");
      await ns.configMap("settings", { color: "red" });
      await ns.secret("key", { token: "t" });
      const volumeMounts = [
        { name: "settings", mountPath: "/settings" },
        { name: "key", mountPath: "/key" },
        { name: "all", mountPath: "/all" },
      ];
      const script =
        "cat /settings/color; cat /key/token; echo; stat -L -c '%a %g' /settings/color /key/token /all/color /all/secret/token; id -u";
      await ns.pod("reader", shell(script, { volumeMounts }), {
        ...never,
        securityContext: { runAsUser: 1000, fsGroup: 1001 },
        volumes: [
          { name: "settings", configMap: { name: "settings", defaultMode: 0o440 } },
          { name: "key", secret: { secretName: "key", defaultMode: 0o440 } },
          {
            name: "all",
            projected: {
              defaultMode: 0o440,
              sources: [
                { configMap: { name: "settings", items: [{ key: "color", path: "color", mode: 0o400 }] } },
                { secret: { name: "key", items: [{ key: "token", path: "secret/token" }] } },
              ],
            },
          },
        ],
      });
      expect(await ns.output("reader")).toBe("redt\n440 1001\n440 1001\n440 1001\n440 1001\n1000\n");
    });

    it("fifty ConfigMap volumes at once; a hosts file of their own; a subPath over a file of the image", async () => {
      const ns = await bed.namespace("many-volumes");
      const names = Array.from({ length: 50 }, (_, i) => `map-${i}`);
      await Promise.all(names.map((name) => ns.configMap(name, { name })));
      const volumes = names.map((name) => ({ name, configMap: { name } }));
      const volumeMounts = names.map((name) => ({ name, mountPath: `/maps/${name}` }));
      const read = shell("cat /maps/*/name | wc -c", { volumeMounts });
      await Promise.all(["a", "b", "c"].map((name) => ns.pod(name, read, { ...never, volumes })));
      const bytes = `${names.join("").length}\n`;
      expect(await Promise.all(["a", "b", "c"].map((name) => ns.output(name)))).toEqual([bytes, bytes, bytes]);
      const own = shell("cat /etc/hosts; echo; cat /etc/passwd", {
        volumeMounts: [
          { name: "map-1", mountPath: "/etc/hosts", subPath: "name" },
          { name: "map-2", mountPath: "/etc/passwd", subPath: "name" },
        ],
      });
      await ns.pod("own", own, { ...never, volumes });
      expect(await ns.output("own")).toBe("map-1\nmap-2");
    });

    it("a termination message at a place of their own as any user; none of a success that logged", async () => {
      const ns = await bed.namespace("messages");
      const securityContext = { runAsUser: 1001 };
      await ns.pod("own", shell("printf bye > /tmp/said", { terminationMessagePath: "/tmp/said", securityContext }), never);
      await ns.pod("quiet", shell("echo logged", { terminationMessagePolicy: "FallbackToLogsOnError" }), never);
      expect(statusOf(await ns.untilPhase("own", "Succeeded"))?.state?.terminated?.message).toBe("bye");
      expect(statusOf(await ns.untilPhase("quiet", "Succeeded"))?.state?.terminated?.message).toBeUndefined();
    });

    it("variables from a file that an init container has written", async () => {
      const ns = await bed.namespace("env-file");
      const write = shell("printf \"# made\\nCOLOR='deep blue'\\nX='1'\\n\" > /work/env", { ...work, name: "write" });
      const key = (name: string, optional = false) => ({
        name,
        valueFrom: { fileKeyRef: { volumeName: "work", path: "env", key: name, optional } },
      });
      const script = "echo $COLOR ${NONE-unset}";
      await ns.pod("filled", shell(script, { env: [key("COLOR"), key("NONE", true)] }), {
        ...never,
        ...workVolume,
        initContainers: [write],
      });
      await ns.pod("lacking", shell(script, { env: [key("NONE")] }), { ...workVolume, initContainers: [write] });
      expect(await ns.output("filled")).toBe("deep blue unset\n");
      const pod = await ns.untilWaiting("lacking", "CreateContainerConfigError");
      expect(statusOf(pod)?.state?.waiting?.message).toMatch(/^environment variable key "NONE" not found in file/);
    });

    it("no more memory in a volume of memory than the pod may have", async () => {
      const ns = await bed.namespace("memory-volume");
      const resources = { limits: { memory: "32Mi" } };
      await ns.pod("small", shell("df -m /work | tail -1 | tr -s ' ' | cut -d' ' -f2", { ...work, resources }), {
        ...never,
        volumes: [{ name: "work", emptyDir: { medium: "Memory" } }],
      });
      expect(await ns.output("small")).toBe("32\n");
    });

    it("an image as a volume, or the runtime's word that it cannot", async () => {
      const ns = await bed.namespace("image-volume");
      const volumes = [{ name: "tools", image: { reference: box.name, pullPolicy: "Never" } }];
      const volumeMounts = [{ name: "tools", mountPath: "/tools" }];
      await ns.pod("tools", shell("ls /tools/bin/busybox", { volumeMounts }), { ...never, volumes });
      const absent = [{ name: "tools", image: { reference: "example.test/absent:1", pullPolicy: "Never" } }];
      await ns.pod("absent", shell("true", { volumeMounts }), { ...never, volumes: absent });
      await ns.untilWaiting("absent", "ErrImageNeverPull");
      const pod = await ns.untilPod(
        "tools",
        "has ended or says why not",
        (p) => p.status?.phase === "Succeeded" || statusOf(p)?.state?.waiting?.reason === "CreateContainerError",
      );
      if (pod.status?.phase === "Succeeded") expect(await ns.output("tools")).toBe("/tools/bin/busybox\n");
      else await ns.untilEvent("tools", /Warning Failed: Error: failed to generate container/);
    });

    it("as much of a termination message as a pod may have", async () => {
      const ns = await bed.namespace("long-message");
      const say = (name: string) => shell("head -c 8000 /dev/zero | tr '\\0' x > /dev/termination-log", { name });
      await ns.pod("talkative", ["a", "b", "c", "d"].map(say), never);
      const pod = await ns.untilPhase("talkative", "Succeeded");
      expect(pod.status?.containerStatuses?.map((s) => s.state?.terminated?.message?.length)).toEqual([3072, 3072, 3072, 3072]);
    });
  });

  it("generations: 100 changes in a row, and the status has seen the last one", async () => {
    const ns = await bed.namespace("generations");
    await ns.pod("changing", shell(idle));
    expect((await ns.untilReady("changing")).status?.observedGeneration).toBe(1);
    const path = `/api/v1/namespaces/${ns.name}/pods/changing`;
    expect(await ns.kubectl("get", "--raw", path)).toMatch(/"generation":1/);
    for (let i = 1; i <= 100; i++) {
      const { metadata, ...pod } = await ns.getPod("changing");
      const tolerations = [...(pod.spec.tolerations ?? []), { key: `key-${i}`, operator: "Exists" as const }];
      await until(`change ${i}`, () =>
        bed.client.update(pods, { ...pod, metadata: { ...metadata, resourceVersion: "" }, spec: { ...pod.spec, tolerations } }),
      );
    }
    const pod = await ns.untilPod(
      "changing",
      "is seen as it is",
      (p) => p.metadata.generation === 101 && p.status?.observedGeneration === 101,
    );
    expect(pod.status?.conditions?.find((c) => c.type === "Ready")?.observedGeneration).toBe(101);
    expect(statusOf(pod)?.restartCount).toBe(0);
  });
});
