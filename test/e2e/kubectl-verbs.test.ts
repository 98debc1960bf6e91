// The verbs of the stock kubectl that kubectl.test.ts leaves out: patches, edits, dry runs, waits, watches, tokens, debugging
// and what they print and refuse.
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ConfigMap, Pod } from "../../src/api/types/core-v1.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { box, idle, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { freePort, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`kubectl's verbs are not tried with real containers: ${reason}`);

const deployment = (name: string, replicas: number) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { terminationGracePeriodSeconds: 1, containers: [shell(idle)] } },
  },
});

describe.runIf(reason === undefined)("kubectl's verbs", { timeout: 120_000, concurrent: true }, () => {
  let bed: TestBed;
  beforeAll(async () => {
    bed = await TestBed.start("verbs", ["--metrics-server=false"]);
  }, 180_000);
  afterAll(() => bed?.remove(), 180_000);

  /** kubectl in the background, and what it has printed. */
  function background(ns: TestNamespace, ...args: readonly string[]) {
    const child = spawn("kubectl", ["--kubeconfig", bed.cluster.kubeconfig, "-n", ns.name, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    let printed = "";
    child.stdout.on("data", (chunk) => (printed += chunk));
    child.stderr.on("data", (chunk) => (printed += chunk));
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    return { child, ended, printed: () => printed };
  }

  const configMap = async (ns: TestNamespace, name: string): Promise<ConfigMap> =>
    JSON.parse(await ns.kubectl("get", "configmap", name, "-o", "json")) as ConfigMap;

  it("apply of a List, get -o yaml, jsonpath, custom-columns, go-template", async () => {
    const ns = await bed.namespace("output");
    const objects = ["one", "two"].map((name) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { value: name } }));
    expect(await ns.apply(...objects)).toBe("configmap/one created\nconfigmap/two created\n");
    expect(await ns.apply(...objects)).toBe("configmap/one unchanged\nconfigmap/two unchanged\n");
    const yaml = await ns.kubectl("get", "configmap", "one", "-o", "yaml");
    expect(yaml).toMatch(/^apiVersion: v1\ndata:\n {2}value: one\nkind: ConfigMap\nmetadata:\n/);
    expect(yaml).not.toMatch(/managedFields/);
    expect(yaml).toMatch(/\n {2}resourceVersion: "\d+"\n {2}uid: [0-9a-f-]{36}\n$/);
    expect(await ns.kubectl("get", "cm", "-l", "!x", "-o", "jsonpath={range .items[*]}{.data.value},{end}")).toMatch(/one,two,/);
    expect(await ns.kubectl("get", "cm", "one", "-o", "custom-columns=A:.data.value,B:.metadata.name")).toBe("A     B\none   one\n");
    expect(await ns.kubectl("get", "cm", "one", "-o", "go-template={{.data.value}}")).toBe("one");
    expect(await ns.kubectl("get", "cm", "one", "two", "-o", "name", "--sort-by=.metadata.name")).toBe("configmap/one\nconfigmap/two\n");
    expect(await ns.kubectl("get", "cm", "--show-labels", "--no-headers", "one")).toMatch(/^one +1 +\d+s +<none>\n$/);
  });

  it("patch: strategic, merge, JSON, of the status too", async () => {
    const ns = await bed.namespace("patch");
    await ns.apply(deployment("web", 0));
    const patch = (type: string, body: unknown, ...more: string[]) =>
      ns.kubectl("patch", "deployment", "web", "--type", type, "-p", JSON.stringify(body), ...more);
    const env = (name: string) => ({ spec: { template: { spec: { containers: [{ name: "main", env: [{ name, value: "1" }] }] } } } });
    expect(await patch("strategic", env("A"))).toBe("deployment.apps/web patched\n");
    await patch("strategic", env("B"));
    const names = async () =>
      (await ns.kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}")).split(" ").sort();
    expect(await names()).toEqual(["A", "B"]);
    await patch("json", [{ op: "remove", path: "/spec/template/spec/containers/0/env/0" }]);
    expect(await names()).toHaveLength(1);
    await patch("merge", { metadata: { labels: { tier: "front" } } });
    expect(await patch("merge", { metadata: { labels: { tier: "front" } } })).toBe("deployment.apps/web patched (no change)\n");
    const refused = await ns.tryKubectl([
      "patch",
      "deployment",
      "web",
      "--type=json",
      "-p",
      '[{"op":"test","path":"/spec/replicas","value":7}]',
    ]);
    expect(refused).toMatchObject({ code: 1 });
    await ns.kubectl("patch", "deployment", "web", "--subresource=status", "--type=merge", "-p", '{"status":{"observedGeneration":99}}');
  });

  it("replace, replace --force, and a conflict", async () => {
    const ns = await bed.namespace("replace");
    await ns.configMap("settings", { a: "1" });
    const old = await configMap(ns, "settings");
    const replace = (object: object, ...args: string[]) =>
      ns.tryKubectl(["replace", ...args, "-f", "-"], { input: JSON.stringify(object) });
    expect(await replace({ ...old, data: { a: "2" } })).toMatchObject({ code: 0, stdout: "configmap/settings replaced\n" });
    const conflict = await replace({ ...old, data: { a: "3" } });
    expect(conflict.stderr).toMatch(
      /Error from server \(Conflict\).*the object has been modified; please apply your changes to the latest version/s,
    );
    const { resourceVersion: _, uid: __, ...metadata } = old.metadata;
    expect(await replace({ ...old, metadata, data: { a: "4" } }, "--force")).toMatchObject({ code: 0 });
    expect((await configMap(ns, "settings")).metadata.uid).not.toBe(old.metadata.uid);
  });

  it("edit, with an editor that changes the file and one that does not", async () => {
    const ns = await bed.namespace("edit");
    await ns.configMap("settings", { a: "before" });
    const editor = join(bed.cluster.dataDir, "editor.sh");
    await writeFile(editor, '#!/bin/sh\nexec sed -i "s/before/after/" "$1"\n', { mode: 0o755 });
    const edit = () => ns.tryKubectl(["edit", "configmap", "settings"], { env: { EDITOR: editor } });
    expect(await edit()).toMatchObject({ code: 0, stdout: "configmap/settings edited\n" });
    expect((await configMap(ns, "settings")).data).toEqual({ a: "after" });
    expect((await edit()).stderr + (await edit()).stdout).toMatch(/no changes made/);
  });

  it("dry runs change nothing, unknown fields are refused, warnings are shown", async () => {
    const ns = await bed.namespace("dry");
    expect(await ns.kubectl("create", "configmap", "x", "--from-literal=a=1", "--dry-run=server")).toBe(
      "configmap/x created (server dry run)\n",
    );
    expect((await ns.tryKubectl(["get", "configmap", "x"])).stderr).toMatch(/Error from server \(NotFound\): configmaps "x" not found/);
    const wrong = { ...deployment("web", 0), spec: { ...deployment("web", 0).spec, replicaz: 3 } };
    const strict = await ns.tryKubectl(["create", "-f", "-"], { input: JSON.stringify(wrong) });
    expect(strict.stderr).toMatch(/strict decoding error: unknown field "spec\.replicaz"/);
    const invalid = { ...deployment("web", 0), spec: { ...deployment("web", 0).spec, selector: { matchLabels: { app: "other" } } } };
    const refused = await ns.tryKubectl(["create", "-f", "-"], { input: JSON.stringify(invalid) });
    expect(refused.stderr).toMatch(
      /The Deployment "web" is invalid: spec\.template\.metadata\.labels: Invalid value:.*`selector` does not match template `labels`/,
    );
  });

  it("server-side apply owns fields, and says who else does", async () => {
    const ns = await bed.namespace("ownership");
    const apply = (data: object, manager: string, ...args: string[]) =>
      ns.tryKubectl(["apply", "--server-side", `--field-manager=${manager}`, ...args, "-f", "-"], {
        input: JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "owned" }, data }),
      });
    expect(await apply({ a: "1" }, "alice")).toMatchObject({ code: 0, stdout: "configmap/owned serverside-applied\n" });
    const conflict = await apply({ a: "2", b: "1" }, "bob");
    expect(conflict.stderr).toMatch(/Apply failed with 1 conflict: conflict with "alice": \.data\.a/);
    expect(await apply({ a: "2", b: "1" }, "bob", "--force-conflicts")).toMatchObject({ code: 0 });
    expect(await apply({}, "bob")).toMatchObject({ code: 0 });
    expect((await configMap(ns, "owned")).data ?? {}).toEqual({});
  });

  it("wait: for conditions, jsonpath, creation, deletion, and in vain", async () => {
    const ns = await bed.namespace("wait");
    const created = ns.kubectl("wait", "--for=create", "pod/later", "--timeout=60s");
    await ns.pod("later", shell(idle));
    expect(await created).toMatch(/condition met/);
    expect(await ns.kubectl("wait", "--for=condition=Ready", "pod/later", "--timeout=60s")).toBe("pod/later condition met\n");
    expect(await ns.kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/later", "--timeout=60s")).toBe(
      "pod/later condition met\n",
    );
    const vain = await ns.tryKubectl(["wait", "--for=condition=Nope", "pod/later", "--timeout=1s"]);
    expect(vain).toMatchObject({ code: 1 });
    expect(vain.stderr).toMatch(/timed out waiting for the condition on pods\/later/);
    const deleted = ns.kubectl("wait", "--for=delete", "pod/later", "--timeout=60s");
    await ns.kubectl("delete", "pod", "later");
    expect(await deleted).toMatch(/condition met|^$/);
  });

  it("get --watch-only and --output-watch-events", async () => {
    const ns = await bed.namespace("watch");
    await ns.configMap("old", {});
    const watch = background(ns, "get", "configmaps", "--watch-only", "--output-watch-events", "--no-headers");
    try {
      let n = 0;
      await until("an addition", async () => {
        await ns.configMap(`new-${n++}`, {});
        return watch.printed().includes("ADDED");
      });
      await ns.kubectl("delete", "configmap", "old");
      await until("a deletion", () => /DELETED +old/.test(watch.printed()));
      expect(watch.printed()).not.toMatch(/ADDED +old/);
    } finally {
      watch.child.kill();
    }
  });

  it("events, of everything and of one object", async () => {
    const ns = await bed.namespace("events");
    await ns.pod("seen", shell(idle));
    await ns.untilReady("seen");
    await ns.untilEvent("seen", /Started/);
    const events = await ns.kubectl("events", "--for", "pod/seen");
    expect(events).toMatch(/^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE$/m);
    expect(events).toMatch(/Normal +Scheduled +Pod\/seen +Successfully assigned events\/seen to /);
    expect(await ns.kubectl("get", "events", "--field-selector=reason=Started")).toMatch(/Normal +Started +pod\/seen +Container started/);
    expect(await ns.kubectl("get", "events.events.k8s.io")).toMatch(/pod\/seen/);
  });

  it("logs -f ends with the container; logs of all containers; of a label", async () => {
    const ns = await bed.namespace("logs");
    await ns.pod("short", [shell("echo one; sleep 1; echo two"), shell("echo side", { name: "side" })], {
      restartPolicy: "Never",
      labels: { app: "short" },
    });
    await ns.untilPod("short", "has begun", (p) => p.status?.phase !== "Pending");
    expect(await ns.kubectl("logs", "-f", "short", "-c", "main")).toBe("one\ntwo\n");
    expect((await ns.kubectl("logs", "short", "--all-containers", "--prefix")).split("\n").sort().slice(1)).toEqual([
      "[pod/short/main] one",
      "[pod/short/main] two",
      "[pod/short/side] side",
    ]);
    expect(await ns.kubectl("logs", "-l", "app=short", "-c", "side")).toBe("side\n");
    expect((await ns.tryKubectl(["logs", "short", "-c", "none"])).stderr).toMatch(/container none is not valid for pod short/);
    expect((await ns.tryKubectl(["logs", "absent"])).stderr).toMatch(/pods "absent" not found/);
  });

  it("attach: sees the output, gives input, ends with the container", async () => {
    const ns = await bed.namespace("attach");
    await ns.pod(
      "talk",
      { ...shell('while read line; do echo "heard $line"; [ "$line" = bye ] && exit 0; done'), stdin: true, stdinOnce: true },
      { restartPolicy: "Never" },
    );
    await ns.untilReady("talk");
    const attach = background(ns, "attach", "-i", "talk");
    // The runtime may take input a moment before it hands on output: what was said then is not heard of.
    attach.child.stdin.on("error", () => undefined); // kubectl has ended: its code says more
    await until("what the container says", () => {
      attach.child.stdin.write("hello\n");
      return attach.printed().includes("heard hello\n");
    });
    attach.child.stdin.end("bye\n");
    expect(await attach.ended).toBe(0);
    expect(attach.printed()).toMatch(/heard bye\n/);
    await ns.untilPhase("talk", "Succeeded");
  });

  it("run --rm -i: a pod for one command", async () => {
    const ns = await bed.namespace("run");
    const result = await ns.tryKubectl(["run", "once", "--rm", "-i", "--restart=Never", `--image=${box.name}`, "--", "cat"], {
      input: "through\n",
    });
    expect(result.stdout).toMatch(/^through\n/);
    expect(result.stdout).toMatch(/pod "once" deleted/);
    expect(result.code).toBe(0);
  });

  it("debug adds an ephemeral container that sees the pod's processes", async () => {
    const ns = await bed.namespace("debug");
    await ns.pod("target", shell("exec sleep 4321"));
    await ns.untilReady("target");
    await ns.kubectl(
      "debug",
      "target",
      `--image=${box.name}`,
      "--target=main",
      "-c",
      "probe",
      "--profile=general",
      "--",
      "sh",
      "-c",
      "ps; echo seen",
    );
    const log = await ns.untilLog("target", "seen", "probe");
    expect(log).toMatch(/sleep 4321/);
    expect(await ns.kubectl("describe", "pod", "target")).toMatch(/Ephemeral Containers:\n +probe:/);
  });

  it("top says clearly that there are no metrics, where nobody serves them", async () => {
    const ns = await bed.namespace("top");
    const result = await ns.tryKubectl(["top", "pods"]);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toBe("error: Metrics API not available\n");
  });

  it("create token, auth whoami and can-i with it", async () => {
    const ns = await bed.namespace("tokens");
    await ns.kubectl("create", "serviceaccount", "robot");
    const token = (await ns.kubectl("create", "token", "robot", "--duration=15m")).trim();
    expect(token.split(".")).toHaveLength(3);
    const kubeconfig = join(bed.cluster.dataDir, "token.kubeconfig");
    const admin = await readFile(bed.cluster.kubeconfig, "utf8");
    // A certificate would go before the token.
    await writeFile(kubeconfig, admin.replace(/^ *client-(certificate|key)-data:.*\n/gm, ""));
    const asRobot = (...args: string[]) => ns.tryKubectl([`--kubeconfig=${kubeconfig}`, `--token=${token}`, ...args]);
    const whoami = await asRobot("auth", "whoami", "-o", "json");
    expect(whoami).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(whoami.stdout)).toMatchObject({ status: { userInfo: { username: "system:serviceaccount:tokens:robot" } } });
    expect((await asRobot("auth", "can-i", "list", "pods")).stdout).toBe("no\n");
    await ns.kubectl("create", "rolebinding", "view", "--clusterrole=view", "--serviceaccount=tokens:robot");
    await until("the role works", async () => (await asRobot("auth", "can-i", "list", "pods")).stdout === "yes\n");
    expect((await asRobot("get", "nodes")).stderr).toMatch(
      /nodes is forbidden: User "system:serviceaccount:tokens:robot" cannot list resource "nodes"/,
    );
    expect(await bed.cluster.kubectl("auth", "whoami")).toMatch(/Username +kubernetes-admin/);
    expect((await asRobot("auth", "can-i", "--list")).stdout).toMatch(/pods\/log +\[\] +\[\] +\[get list watch\]/);
  });

  it("rollout pause, resume, restart, status", async () => {
    const ns = await bed.namespace("rollout");
    await ns.apply(deployment("web", 2));
    await ns.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    const images = async () => (await ns.kubectl("get", "rs", "-o", "name")).trim().split("\n").length;
    expect(await ns.kubectl("rollout", "pause", "deployment/web")).toBe("deployment.apps/web paused\n");
    await ns.kubectl("set", "env", "deployment/web", "ROUND=2");
    const status = await ns.tryKubectl(["rollout", "status", "deployment/web", "--timeout=1s"]);
    expect(status.code).toBe(1);
    expect(await images()).toBe(1);
    expect(await ns.kubectl("rollout", "resume", "deployment/web")).toBe("deployment.apps/web resumed\n");
    await ns.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    expect(await images()).toBe(2);
    expect(await ns.kubectl("rollout", "restart", "deployment/web")).toBe("deployment.apps/web restarted\n");
    await ns.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    expect(await images()).toBe(3);
    const pods = JSON.parse(await ns.kubectl("get", "pods", "-l", "app=web", "-o", "json")) as { readonly items: readonly Pod[] };
    const running = pods.items.filter((p) => p.metadata.deletionTimestamp === undefined);
    expect(running.every((p) => p.metadata.annotations?.["kubectl.kubernetes.io/restartedAt"] !== undefined)).toBe(true);
  });

  it("expose makes a service whose endpoints are the ready pods", async () => {
    const ns = await bed.namespace("expose");
    await ns.apply(deployment("web", 2));
    await ns.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080");
    await ns.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    const { items } = JSON.parse(await ns.kubectl("get", "pods", "-o", "json")) as { readonly items: readonly Pod[] };
    const expected = items.map((p) => `${p.status?.podIP}:8080`).sort();
    await until("both endpoints", async () => {
      const [endpoints = ""] = (await ns.kubectl("get", "endpoints", "web", "--no-headers")).split("\n").filter((l) => l.startsWith("web"));
      return (endpoints.split(/ +/)[1] ?? "").split(",").sort().join() === expected.join();
    });
    expect(await ns.kubectl("describe", "service", "web")).toMatch(/Endpoints: +10\./);
    await ns.kubectl("scale", "deployment", "web", "--replicas=0");
    await until("no endpoints", async () => /web +<none>/.test(await ns.kubectl("get", "endpoints", "web")));
  });

  it("autoscale stores a HorizontalPodAutoscaler that both versions show", async () => {
    const ns = await bed.namespace("autoscale");
    await ns.apply(deployment("web", 1));
    await ns.kubectl("autoscale", "deployment", "web", "--min=1", "--max=3", "--cpu-percent=50");
    expect(await ns.kubectl("get", "hpa", "web", "--no-headers")).toMatch(/^web +Deployment\/web +cpu: <unknown>\/50% +1 +3 /);
    expect(
      await ns.kubectl("get", "horizontalpodautoscalers.v1.autoscaling", "web", "-o", "jsonpath={.spec.targetCPUUtilizationPercentage}"),
    ).toBe("50");
  });

  it("label, annotate, taint, cordon and uncordon", async () => {
    const ns = await bed.namespace("marks");
    await ns.configMap("marked", {});
    expect(await ns.kubectl("label", "configmap", "marked", "a=1", "b=2")).toBe("configmap/marked labeled\n");
    expect((await ns.tryKubectl(["label", "configmap", "marked", "a=3"])).stderr).toMatch(
      /'a' already has a value \(1\), and --overwrite is false/,
    );
    await ns.kubectl("label", "configmap", "marked", "a-");
    await ns.kubectl("annotate", "configmap", "marked", "note=some text");
    expect((await configMap(ns, "marked")).metadata).toMatchObject({ labels: { b: "2" }, annotations: { note: "some text" } });
  });

  it("proxy serves the API without credentials", async () => {
    const ns = await bed.namespace("proxy");
    const port = await freePort();
    const proxy = background(ns, "proxy", `--port=${port}`);
    try {
      await until("the proxy", () => proxy.printed().includes("Starting to serve"));
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/namespaces/proxy`);
      expect(await answer.json()).toMatchObject({ kind: "Namespace", metadata: { name: "proxy" } });
    } finally {
      proxy.child.kill();
    }
  });

  it("delete namespace takes everything in it along", async () => {
    const ns = await bed.namespace("doomed");
    await ns.pod("inside", shell(idle));
    await ns.configMap("too", {});
    await ns.untilReady("inside");
    await bed.cluster.kubectl("delete", "namespace", "doomed", "--timeout=60s");
    expect((await bed.cluster.tryKubectl(["get", "namespace", "doomed"])).stderr).toMatch(/NotFound/);
    expect(await bed.cluster.kubectl("get", "all,configmaps", "-n", "doomed", "--ignore-not-found")).toBe("");
  });

  it("explain, api-versions, cluster-info, version, get componentstatuses", async () => {
    expect(await bed.cluster.kubectl("explain", "pod.spec.containers.livenessProbe")).toMatch(
      /KIND: +Pod[\s\S]*FIELD: livenessProbe <Probe>/,
    );
    expect((await bed.cluster.kubectl("api-versions")).split("\n")).toContain("apps/v1");
    expect(await bed.cluster.kubectl("cluster-info")).toMatch(/Kubernetes control plane.* is running at/);
    expect(await bed.cluster.kubectl("version")).toMatch(/Server Version: v1\.36\.\d+\+coracle/);
  });
});
