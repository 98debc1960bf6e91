// What a user types, against real containers: the stock kubectl on a cluster of one node, with an image made on the spot.

import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import type { Deployment } from "../../src/api/types/apps-v1.ts";
import type { Pod, PodList } from "../../src/api/types/core-v1.ts";
import { Cluster, whyNoContainers } from "../support/cluster.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { freePort, run, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`kubectl is not tried against real containers: ${reason}`);

/** Serves its version and host name on 8080, counts on its standard output, and ends when it is told to. */
const server = (version: string) => `#!/bin/sh
trap 'exit 0' TERM
mkdir -p /www; echo "version ${version} on $(hostname)" > /www/index.html
httpd -p 8080 -h /www
i=0; while true; do echo "tick $i"; i=$((i+1)); sleep 1; done
`;
const images = ["1", "2"].map((version) => ({
  name: `example.test/web:${version}`,
  files: { "/serve": server(version) },
  entrypoint: ["/serve"],
}));

describe.runIf(reason === undefined)("kubectl on a cluster with real containers", { timeout: 120_000 }, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.prepare("e2e");
    await cluster.start();
    await cluster.importImages(...images);
  }, 180_000);
  afterAll(() => cluster.remove(), 180_000);

  const webPods = async (): Promise<readonly Pod[]> => (await cluster.get<PodList>("pods", "-l", "app=web")).items;
  const firstPod = async (): Promise<string> => (await webPods()).find((p) => p.status?.phase === "Running")?.metadata.name ?? "";

  it("get nodes -o wide, get --raw /version, api-resources, cluster-info", async () => {
    const nodes = await cluster.kubectl("get", "nodes", "-o", "wide");
    expect(nodes).toMatch(/^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +KERNEL-VERSION +CONTAINER-RUNTIME/);
    expect(nodes).toMatch(/ Ready .*v1\.36\.2\+coracle\.[\d.]+ .*containerd:\/\/1\./);
    expect(JSON.parse(await cluster.kubectl("get", "--raw", "/version"))).toMatchObject({ major: "1", minor: "36" });
    const resources = await cluster.kubectl("api-resources");
    expect(resources).toMatch(/^pods +po +v1 +true +Pod$/m);
    expect(resources).toMatch(/^deployments +deploy +apps\/v1 +true +Deployment$/m);
  });

  it("create deployment, rollout status, get pods -o wide", async () => {
    await cluster.kubectl("create", "deployment", "web", "--image=example.test/web:1", "--replicas=3", "--port=8080");
    expect(await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")).toMatch("successfully rolled out");
    const pods = await cluster.kubectl("get", "pods", "-o", "wide", "-l", "app=web");
    expect(pods).toMatch(/^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES$/m);
    expect(pods.match(/ 1\/1 +Running +0 /g)).toHaveLength(3);
    expect(await cluster.kubectl("get", "deployment", "web")).toMatch(/^web +3\/3 +3 +3 /m);
    expect(await cluster.kubectl("get", "rs")).toMatch(/^web-\w+ +3 +3 +3 /m);
  });

  it("get pods -w shows changes", async () => {
    const watch = spawn("kubectl", ["--kubeconfig", cluster.kubeconfig, "get", "pods", "-w", "-l", "app=web"]);
    let seen = "";
    watch.stdout.on("data", (chunk) => (seen += chunk));
    try {
      await until("the first rows", () => seen.includes("Running"));
      await cluster.kubectl("delete", "pod", await firstPod());
      await until("the replacement's start", () => /ContainerCreating|Pending/.test(seen));
    } finally {
      watch.kill();
    }
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
  });

  it("logs, --tail, -f, --previous of a container that never restarted", async () => {
    const name = await firstPod();
    await until("some output", async () => (await cluster.kubectl("logs", name)).includes("tick 1"));
    expect(await cluster.kubectl("logs", name, "--tail=1")).toMatch(/^tick \d+\n$/);
    expect(await cluster.kubectl("logs", name, "--timestamps", "--limit-bytes=20")).toMatch(/^\d{4}-\d\d-\d\dT/);
    const follow = spawn("kubectl", ["--kubeconfig", cluster.kubeconfig, "logs", "-f", "--since=1s", name]);
    let seen = "";
    follow.stdout.on("data", (chunk) => (seen += chunk));
    try {
      await until("two more lines", () => seen.split("\n").length > 3);
    } finally {
      follow.kill();
    }
    const previous = await cluster.tryKubectl(["logs", "--previous", name]);
    expect(previous.code).toBe(1);
    expect(previous.stderr).toMatch(/previous terminated container "web" in pod ".*" not found/);
  });

  it("logs over a WebSocket, through kubectl proxy", async () => {
    const name = await firstPod();
    const proxy = spawn("kubectl", ["--kubeconfig", cluster.kubeconfig, "proxy", "--port=0"]);
    try {
      const address = await new Promise<string>((resolve) => {
        proxy.stdout.on("data", (chunk) => /[\d.]+:\d+/.test(String(chunk)) && resolve(/[\d.]+:\d+/.exec(String(chunk))?.[0] ?? ""));
      });
      const socket = new WebSocket(`ws://${address}/api/v1/namespaces/default/pods/${name}/log?container=web`, ["binary.k8s.io"]);
      const chunks: Buffer[] = [];
      socket.on("message", (data) => chunks.push(data as Buffer));
      await new Promise((resolve, reject) => socket.on("close", resolve).on("error", reject));
      expect(chunks[0]).toHaveLength(0);
      expect(Buffer.concat(chunks).toString()).toMatch(/^tick 0\ntick 1\n/);
    } finally {
      proxy.kill();
    }
  });

  it.each(["true", "false"])("exec with standard input, exit codes, a terminal (websockets: %s)", async (webSockets) => {
    const name = await firstPod();
    const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSockets, KUBECONFIG: cluster.kubeconfig };
    const exec = (args: readonly string[], input = "") => cluster.tryKubectl(["exec", ...args], { input, env });
    expect(await exec([name, "--", "echo", "hello"])).toMatchObject({ code: 0, stdout: "hello\n" });
    expect((await exec([name, "--", "sh", "-c", "echo bad >&2; exit 7"])).code).toBe(7);
    const payload = "0123456789abcdef".repeat(16_384);
    expect((await exec(["-i", name, "--", "cat"], payload)).stdout).toBe(payload);
    expect((await exec(["-i", name, "--", "wc", "-c"], payload)).stdout.trim()).toBe(String(payload.length));
    expect((await exec([name, "-c", "nope", "--", "true"])).stderr).toMatch(/container nope is not valid for pod|container not found/);
  });

  it.each(["true", "false"])("exec -it from a terminal is a terminal of the same size (websockets: %s)", async (webSockets) => {
    const name = await firstPod();
    const exec = `kubectl exec -it ${name} -- sh`;
    // script(1) gives kubectl a terminal of its own, types what it reads, and ends as kubectl ends.
    const { code, stdout } = await run("script", ["-qec", `stty rows 33 cols 111; exec ${exec}`, "/dev/null"], {
      input: "test -t 0 && test -t 1 && stty size; exit 7\n",
      env: { KUBECONFIG: cluster.kubeconfig, KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSockets },
    });
    expect(stdout).toMatch(/^33 111\r?$/m);
    expect(code).toBe(7);
  });

  it("cp to and from a pod", async () => {
    const name = await firstPod();
    const file = join(cluster.dataDir, "..", "copied");
    await writeFile(file, "carried\n".repeat(10_000));
    await cluster.kubectl("cp", file, `${name}:/tmp/copied`);
    expect((await cluster.kubectl("exec", name, "--", "wc", "-l", "/tmp/copied")).trim()).toMatch(/^10000 /);
    await cluster.kubectl("cp", `${name}:/tmp/copied`, `${file}.back`);
  });

  it("port-forward", async () => {
    const port = await freePort();
    const forward = spawn("kubectl", ["--kubeconfig", cluster.kubeconfig, "port-forward", "deployment/web", `${port}:8080`]);
    let output = "";
    forward.stdout.on("data", (chunk) => (output += chunk));
    forward.stderr.on("data", (chunk) => (output += chunk));
    try {
      await until("the forwarding", () => output.includes("Forwarding from"));
      const answer = await until("an answer through it", async () => (await fetch(`http://127.0.0.1:${port}/index.html`)).text());
      expect(answer).toMatch(/^version 1 on web-/);
    } finally {
      forward.kill();
    }
  });

  it.each(["true", "false"])("exec, attach, cp and port-forward through an HTTP proxy (websockets: %s)", async (webSockets) => {
    await using proxy = await startConnectProxy();
    const config = JSON.parse(await cluster.kubectl("config", "view", "--raw", "-o", "json"));
    for (const { cluster: about } of config.clusters) about["proxy-url"] = proxy.url;
    const files = join(cluster.dataDir, `through-proxy-${webSockets}`);
    await mkdir(files);
    const kubeconfig = join(files, "kubeconfig");
    await writeFile(kubeconfig, JSON.stringify(config));
    const env = {
      ...process.env,
      ...{ KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSockets, KUBECTL_PORT_FORWARD_WEBSOCKETS: webSockets, KUBECONFIG: kubeconfig },
    };
    const through = (args: readonly string[], input = "") => run("kubectl", args, { input, env });
    const name = await firstPod();
    const payload = "0123456789abcdef".repeat(65_536);
    expect(await through(["exec", "-i", name, "--", "sh", "-c", "cat > /tmp/sent; exit 3"], payload)).toMatchObject({ code: 3 });
    expect((await through(["exec", name, "--", "cat", "/tmp/sent"])).stdout).toBe(payload);
    await writeFile(join(files, "file"), payload);
    expect(await through(["cp", join(files, "file"), `${name}:/tmp/copied`])).toMatchObject({ code: 0 });
    expect((await through(["exec", name, "--", "wc", "-c", "/tmp/copied"])).stdout).toContain(String(payload.length));
    const attach = spawn("kubectl", ["attach", name], { env });
    const port = await freePort();
    const forward = spawn("kubectl", ["port-forward", name, `${port}:8080`], { env });
    let [attached, forwarded] = ["", ""];
    attach.stdout.on("data", (chunk) => (attached += chunk));
    forward.stdout.on("data", (chunk) => (forwarded += chunk));
    try {
      await until("a line of the container", () => /tick \d+/.test(attached));
      await until("the forwarding", () => forwarded.includes("Forwarding from"));
      expect(await (await fetch(`http://127.0.0.1:${port}/index.html`)).text()).toMatch(/^version 1 on web-/);
    } finally {
      attach.kill();
      forward.kill();
    }
    expect(proxy.tunnels.length).toBeGreaterThanOrEqual(6);
  });

  it("describe shows what happened to a pod", async () => {
    const text = await cluster.kubectl("describe", "pod", await firstPod());
    expect(text).toMatch(/Status: +Running/);
    expect(text).toMatch(/Scheduled .*Successfully assigned default\/web-/);
    expect(text).toMatch(/Pulled .*already present on machine/);
    expect(text).toMatch(/Started /);
    expect(await cluster.kubectl("describe", "deployment", "web")).toMatch(/ScalingReplicaSet .*Scaled up replica set web-\w+ from 0 to 3/);
    expect(await cluster.kubectl("describe", "node")).toMatch(/Allocated resources/);
  });

  it("scale, set image, rollout history and undo", async () => {
    await cluster.kubectl("scale", "deployment", "web", "--replicas=5");
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    expect(await webPods()).toHaveLength(5);
    await cluster.kubectl("set", "image", "deployment/web", "web=example.test/web:2");
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=90s");
    await until("only new pods", async () => (await webPods()).every((p) => p.spec.containers[0]?.image === "example.test/web:2"));
    expect(await cluster.kubectl("rollout", "history", "deployment/web")).toMatch(/^1 [\s\S]*^2 /m);
    await cluster.kubectl("rollout", "undo", "deployment/web");
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=90s");
    const deployment = await cluster.get<Deployment>("deployment", "web");
    expect(deployment.spec.template.spec?.containers[0]?.image).toBe("example.test/web:1");
  });

  it("apply -f dir/, diff -f, apply --server-side", async () => {
    const dir = join(cluster.dataDir, "..", "manifests");
    await mkdir(dir, { recursive: true });
    const manifest = (value: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  colour: ${value}\n`;
    await writeFile(join(dir, "settings.yaml"), manifest("red"));
    await writeFile(
      join(dir, "service.yaml"),
      "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector: {app: web}\n  ports: [{port: 80, targetPort: 8080}]\n",
    );
    expect(await cluster.kubectl("apply", "-f", dir)).toMatch(/configmap\/settings created[\s\S]*|service\/web created/);
    expect(await cluster.kubectl("apply", "-f", dir)).toMatch(/configmap\/settings unchanged/);
    await writeFile(join(dir, "settings.yaml"), manifest("blue"));
    const diff = await cluster.tryKubectl(["diff", "-f", dir]);
    expect(diff.code).toBe(1);
    expect(diff.stdout).toMatch(/^-\s+colour: red$/m);
    expect(diff.stdout).toMatch(/^\+\s+colour: blue$/m);
    expect(await cluster.kubectl("apply", "-f", dir)).toMatch(/configmap\/settings configured/);
    expect(await cluster.kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", dir)).toMatch(
      /configmap\/settings serverside-applied/,
    );
    await until("the service's endpoints", async () =>
      (await cluster.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web")).includes("8080"),
    );
  });

  it("refuses a manifest with an unknown field", async () => {
    const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatas: {a: b}\n";
    const result = await cluster.tryKubectl(["apply", "-f", "-"], { input: manifest });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/unknown field "datas"/);
  });

  it("explain", async () => {
    const text = await cluster.kubectl("explain", "pod.spec.containers");
    expect(text).toMatch(/KIND: +Pod/);
    expect(text).toMatch(/imagePullPolicy\s+<string>/);
    expect(text).toMatch(/Image pull policy/);
    expect(await cluster.kubectl("explain", "deployment", "--recursive")).toMatch(/maxSurge/);
  });

  it("label, annotate, taint, cordon, uncordon, drain", async () => {
    const node = (await cluster.kubectl("get", "nodes", "-o", "name")).trim();
    const name = node.replace("node/", "");
    await cluster.kubectl("label", node, "disk=ssd");
    expect(await cluster.kubectl("get", "nodes", "-l", "disk=ssd", "-o", "name")).toBe(`${node}\n`);
    await cluster.kubectl("annotate", node, "note=seen");
    await cluster.kubectl("taint", "nodes", name, "k=v:NoSchedule");
    await cluster.kubectl("taint", "nodes", name, "k=v:NoSchedule-");
    await cluster.kubectl("cordon", name);
    expect(await cluster.kubectl("get", "nodes")).toMatch(/Ready,SchedulingDisabled/);
    await cluster.kubectl("uncordon", name);
    await cluster.kubectl("run", "single", "--image=example.test/web:1");
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/single", "--timeout=60s");
    expect(await cluster.kubectl("drain", name, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s")).toMatch(
      /drained/,
    );
    await cluster.kubectl("uncordon", name);
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=90s");
  });

  it("a pod that fits nowhere says why", async () => {
    await cluster.kubectl(
      "run",
      "huge",
      "--image=example.test/web:1",
      "--overrides",
      '{"spec":{"containers":[{"name":"huge","image":"example.test/web:1","resources":{"requests":{"cpu":"999"}}}]}}',
    );
    await until("the event", async () => (await cluster.kubectl("describe", "pod", "huge")).includes("FailedScheduling"));
    expect(await cluster.kubectl("describe", "pod", "huge")).toMatch(/0\/1 nodes are available: 1 Insufficient cpu/);
    expect(await cluster.kubectl("get", "pod", "huge")).toMatch(/Pending/);
    await cluster.kubectl("delete", "pod", "huge");
  });

  it("a container that crashes goes through CrashLoopBackOff, and its earlier log can be read", async () => {
    await cluster.kubectl("run", "crash", "--image=example.test/web:1", "--command", "--", "sh", "-c", "echo last words; exit 3");
    await until("the back-off", async () => /CrashLoopBackOff/.test(await cluster.kubectl("get", "pod", "crash")));
    const pod = await cluster.get<Pod>("pod", "crash");
    expect(pod.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({ exitCode: 3, reason: "Error" });
    expect(await cluster.kubectl("logs", "crash", "--previous")).toBe("last words\n");
    expect(await cluster.kubectl("get", "events", "--field-selector", "involvedObject.name=crash")).toMatch(
      /Back-off restarting failed container/,
    );
    await cluster.kubectl("delete", "pod", "crash", "--grace-period=1");
  });

  it("a wrong image shows ErrImagePull or ImagePullBackOff", async () => {
    await cluster.kubectl("run", "wrong", "--image=127.0.0.1:1/nowhere:1");
    await until("the failure", async () => /ErrImagePull|ImagePullBackOff/.test(await cluster.kubectl("get", "pod", "wrong")));
    await until("the back-off", async () => /ImagePullBackOff/.test(await cluster.kubectl("get", "pod", "wrong")));
    expect(await cluster.kubectl("events", "--for", "pod/wrong")).toMatch(/Failed to pull image "127.0.0.1:1\/nowhere:1"/);
    await cluster.kubectl("delete", "pod", "wrong", "--grace-period=1");
  });

  it("auth can-i --list, events", async () => {
    expect(await cluster.kubectl("auth", "can-i", "--list")).toMatch(/\*\.\* +\[\] +\[\] +\[\*\]/);
    expect((await cluster.tryKubectl(["auth", "can-i", "get", "secrets", "--as", "system:serviceaccount:default:default"])).stdout).toBe(
      "no\n",
    );
    expect(await cluster.kubectl("events")).toMatch(/Normal +Started/);
  });

  it("delete deployment takes everything with it", async () => {
    await cluster.kubectl("delete", "deployment", "web");
    await until("no pods", async () => (await webPods()).length === 0);
    expect(await cluster.kubectl("get", "rs", "-o", "name")).toBe("");
  });

  it("a namespace is emptied before it goes", async () => {
    await cluster.kubectl("create", "namespace", "shop");
    await cluster.kubectl("-n", "shop", "create", "configmap", "c", "--from-literal=a=b");
    await cluster.kubectl("-n", "shop", "run", "p", "--image=example.test/web:1");
    await cluster.kubectl("-n", "shop", "wait", "--for=condition=Ready", "pod/p", "--timeout=60s");
    await cluster.kubectl("delete", "namespace", "shop", "--timeout=90s");
    expect((await cluster.tryKubectl(["get", "namespace", "shop"])).stderr).toMatch(/NotFound/);
  });
});
