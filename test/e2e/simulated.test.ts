// What a user types, against simulated nodes: the stock kubectl, over both protocols, on `coracle up --runtime simulated` with
// programs of the user's own.
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pod, PodList } from "../../src/api/types/core-v1.ts";
import { Cluster, whyNoKubectl } from "../support/cluster.ts";
import { freePort, temporaryDirectory, until } from "../support/processes.ts";

const reason = await whyNoKubectl();
if (reason) console.log(`kubectl is not tried against simulated nodes: ${reason}`);

const images = `
export default [
  {
    name: "example.test/web:1",
    run({ print, serve, use, onStop, pod }) {
      print("listening");
      serve(8080, () => new Response("hello from " + pod.name));
      use({ cpuCores: 0.25, memoryBytes: 32 * 2 ** 20 });
      onStop(() => print("bye"));
    },
    exec: ([command]) => (command === "version" ? { stdout: "web 1.0\\n" } : undefined),
  },
  { name: "example.test/hog:1", run: ({ use }) => use({ memoryBytes: 2 ** 30 }) },
  {
    name: "example.test/reader:1",
    async run({ stdin, print }) {
      for await (const chunk of stdin) print("got " + new TextDecoder().decode(chunk).trim());
      return 0;
    },
  },
];
`;

const webPod = {
  metadata: { labels: { app: "web" } },
  spec: {
    containers: [
      {
        name: "main",
        image: "example.test/web:1",
        ports: [{ containerPort: 8080 }],
        readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
      },
    ],
  },
};

describe.runIf(reason === undefined)("kubectl on simulated nodes", { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  const at = (name: string): string => join(directory.path, name);
  const web = async (): Promise<readonly Pod[]> => (await cluster.get<PodList>("pods", "-l", "app=web")).items;
  const firstPod = async (): Promise<string> => (await web())[0]?.metadata.name ?? "";

  beforeAll(async () => {
    directory = await temporaryDirectory("simulated-images");
    await writeFile(at("images.ts"), images);
    const flags = ["--simulated-images", at("images.ts"), "--simulated-unknown-images", "refuse", "--storage", "memory"];
    cluster = await Cluster.prepare("simulated", ["--runtime", "simulated", "--nodes", "3", ...flags]);
    await cluster.start();
    await cluster.apply(
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "web" },
        spec: { replicas: 3, selector: { matchLabels: { app: "web" } }, template: webPod },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "web" },
        spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
      },
    );
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
  }, 180_000);
  afterAll(async () => {
    await cluster?.remove();
    await directory?.remove();
  }, 120_000);

  it("spreads pods over nodes that have addresses of their own", async () => {
    const nodes = await cluster.kubectl("get", "nodes", "-o", "wide");
    expect(nodes.match(/ Ready .* simulated:\/\//g)).toHaveLength(3);
    const pods = await web();
    expect(new Set(pods.map((pod) => pod.spec.nodeName)).size).toBe(3);
    expect(new Set(pods.map((pod) => pod.status?.hostIP)).size).toBe(3);
  });

  it.each([
    ["WebSockets", "true"],
    ["SPDY", "false"],
  ])("exec over %s gives output, input and exit codes", async (_protocol, webSockets) => {
    const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSockets };
    const pod = await firstPod();
    const exec = (args: readonly string[], input?: string) =>
      cluster.tryKubectl(["exec", ...(input === undefined ? [] : ["-i"]), pod, "--", ...args], {
        env,
        ...(input === undefined ? {} : { input }),
      });
    expect(await exec(["version"])).toMatchObject({ code: 0, stdout: "web 1.0\n" });
    expect(await exec(["cat"], "typed in")).toMatchObject({ code: 0, stdout: "typed in" });
    expect(await exec(["sh", "-c", "echo $HOSTNAME; exit 3"])).toMatchObject({ code: 3, stdout: `${pod}\n` });
    const unknown = await exec(["nonesuch"]);
    expect([unknown.code, unknown.stderr]).toEqual([127, expect.stringContaining('exec: "nonesuch": executable file not found in $PATH')]);
  });

  it("cp carries files both ways, and logs shows what was printed", async () => {
    const pod = await firstPod();
    const content = "0123456789".repeat(50_000);
    await writeFile(at("up.txt"), content);
    await cluster.kubectl("cp", at("up.txt"), `${pod}:/srv/kept.txt`);
    await cluster.kubectl("cp", `${pod}:/srv/kept.txt`, at("down.txt"));
    expect((await readFile(at("down.txt"), "utf8")) === content).toBe(true);
    expect(await cluster.kubectl("logs", pod)).toBe("listening\n");
    expect(await cluster.kubectl("exec", pod, "--", "ls", "/var/run/secrets/kubernetes.io/serviceaccount")).toContain("token\n");
  });

  it("port-forward and the API server's proxy reach what a pod serves", async () => {
    const pod = await firstPod();
    expect(await cluster.kubectl("get", "--raw", `/api/v1/namespaces/default/pods/${pod}:8080/proxy/`)).toBe(`hello from ${pod}`);
    expect(await cluster.kubectl("get", "--raw", "/api/v1/namespaces/default/services/web/proxy/")).toMatch(/^hello from web-/);
    expect(await cluster.kubectl("exec", pod, "--", "wget", "-qO-", "http://web/")).toMatch(/^hello from web-/);
    const port = await freePort();
    const forwarding = spawn("kubectl", ["--kubeconfig", cluster.kubeconfig, "port-forward", pod, `${port}:8080`], { stdio: "ignore" });
    try {
      const answer = await until("the port is forwarded", () => fetch(`http://127.0.0.1:${port}/`));
      expect(await answer.text()).toBe(`hello from ${pod}`);
    } finally {
      forwarding.kill("SIGKILL");
    }
  });

  it("attach types into a container, which ends by itself", async () => {
    const reader = { name: "main", image: "example.test/reader:1", stdin: true, stdinOnce: true };
    await cluster.apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "reader" },
      spec: { restartPolicy: "Never", containers: [reader] },
    });
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/reader", "--timeout=60s");
    const { stdout } = await cluster.tryKubectl(["attach", "-i", "reader"], { input: "one line\n" });
    expect(stdout).toContain("got one line\n");
    await cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=60s");
  });

  it("kills what uses too much, refuses images it does not know, and measures the others", async () => {
    const limited = { name: "main", image: "example.test/hog:1", resources: { limits: { memory: "64Mi" } } };
    await cluster.apply(
      { apiVersion: "v1", kind: "Pod", metadata: { name: "hog" }, spec: { restartPolicy: "Never", containers: [limited] } },
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "unknown" },
        spec: { containers: [{ name: "main", image: "example.test/none:1" }] },
      },
    );
    await cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/hog", "--timeout=60s");
    const hog = await cluster.get<Pod>("pod", "hog");
    expect(hog.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
    await until("the image is refused", async () => {
      const pod = await cluster.get<Pod>("pod", "unknown");
      return /ErrImagePull|ImagePullBackOff/.test(pod.status?.containerStatuses?.[0]?.state?.waiting?.reason ?? "");
    });
    await until("all are measured", async () => {
      const { stdout } = await cluster.tryKubectl(["top", "pods", "-l", "app=web", "--no-headers"]);
      return (stdout.match(/ 250m +32Mi/g) ?? []).length === 3;
    });
  });
});
