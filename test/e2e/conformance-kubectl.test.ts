// What upstream's conformance tests do with kubectl and other tests here do not, with real containers: replication controllers that
// serve, are described, annotated, exposed and scaled; an application of several tiers; logs cut to size; the proxy on a socket.
import { spawn } from "node:child_process";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pod } from "../../src/api/types/core-v1.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { box, idle, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { temporaryDirectory, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`conformance with kubectl is not tried with real containers: ${reason}`);

/** Answers HTTP with the pod's name. */
const server = "mkdir -p /www && hostname > /www/index.html && trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait";
const served = { ports: [{ containerPort: 8080 }], readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } };

const controller = (name: string, replicas: number) => ({
  apiVersion: "v1",
  kind: "ReplicationController",
  metadata: { name, labels: { app: name } },
  spec: {
    replicas,
    selector: { app: name },
    template: { metadata: { labels: { app: name } }, spec: { terminationGracePeriodSeconds: 1, containers: [shell(server, served)] } },
  },
});

describe.runIf(reason === undefined)("kubectl, as conformance asks for it", { timeout: 120_000, concurrent: true }, () => {
  let bed: TestBed;
  beforeAll(async () => {
    bed = await TestBed.start("cli", ["--metrics-server=false"]);
  }, 180_000);
  afterAll(() => bed?.remove(), 180_000);

  /** Names of the pods with the label, once there are so many and all are ready. */
  const ready = (ns: TestNamespace, app: string, count: number): Promise<readonly string[]> =>
    until(`${count} pods of ${app}`, async () => {
      const { items } = JSON.parse(await ns.kubectl("get", "pods", "-l", `app=${app}`, "-o", "json")) as { items: readonly Pod[] };
      const isReady = (pod: Pod): boolean => pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") === true;
      return items.length === count && items.every(isReady) ? items.map(({ metadata }) => metadata.name).sort() : undefined;
    });

  it("a replication controller serves from each pod, is scaled down and up, exposed, and stopped", async () => {
    const ns = await bed.namespace("update-demo");
    await ns.apply(controller("demo", 2));
    const names = await ready(ns, "demo", 2);
    const proxied = (path: string): Promise<string> => bed.cluster.kubectl("get", "--raw", `/api/v1/namespaces/${ns.name}/${path}`);
    for (const name of names) expect((await proxied(`pods/${name}:8080/proxy/`)).trim()).toBe(name);
    expect(await ns.kubectl("expose", "rc", "demo", "--name=rm2", "--port=1234", "--target-port=8080")).toBe("service/rm2 exposed\n");
    expect(await ns.kubectl("expose", "service", "rm2", "--name=rm3", "--port=2345", "--target-port=8080")).toBe("service/rm3 exposed\n");
    for (const service of ["rm2:1234", "rm3:2345"])
      await until(
        `${service} answers`,
        async () => names.includes((await proxied(`services/${service}/proxy/`).catch(() => "")).trim()) || undefined,
      );
    await ns.kubectl("scale", "rc", "demo", "--replicas=1");
    await ready(ns, "demo", 1);
    await ns.kubectl("scale", "rc", "demo", "--current-replicas=1", "--replicas=2");
    await ready(ns, "demo", 2);
    expect(await ns.kubectl("delete", "rc", "demo")).toBe('replicationcontroller "demo" deleted\n');
    await until("its pods are gone", async () => (await ns.kubectl("get", "pods", "-o", "name")) === "" || undefined);
  });

  it("describe tells of controllers, services, pods, nodes and namespaces; patches reach all pods; labels come and go", async () => {
    const ns = await bed.namespace("described");
    await ns.apply(controller("primary", 1));
    const [name = ""] = await ready(ns, "primary", 1);
    await ns.kubectl("expose", "rc", "primary", "--port=6379", "--target-port=8080");
    const rc = await ns.kubectl("describe", "rc", "primary");
    for (const line of [
      /^Name: +primary$/m,
      /^Namespace: +described$/m,
      /^Selector: +app=primary$/m,
      /^Replicas: +1 current \/ 1 desired$/m,
    ])
      expect(rc).toMatch(line);
    expect(rc).toMatch(/^Pods Status: +1 Running \/ 0 Waiting \/ 0 Succeeded \/ 0 Failed$/m);
    expect(rc).toContain(`Created pod: ${name}`);
    const pod = await ns.kubectl("describe", "pod", name);
    for (const line of [/^Labels: +app=primary$/m, /^Status: +Running$/m, /^Controlled By: +ReplicationController\/primary$/m])
      expect(pod).toMatch(line);
    const service = await ns.kubectl("describe", "service", "primary");
    for (const line of [/^Type: +ClusterIP$/m, /^TargetPort: +8080\/TCP$/m, /^Endpoints: +[\d.]+:8080$/m]) expect(service).toMatch(line);
    const [node = ""] = (await bed.cluster.kubectl("get", "nodes", "-o", "name")).split("\n");
    expect(await bed.cluster.kubectl("describe", node)).toMatch(/^Allocatable:$[\s\S]*^Non-terminated Pods:/m);
    expect(await bed.cluster.kubectl("describe", "namespace", ns.name)).toMatch(/^Status: +Active$/m);

    for (const one of await ready(ns, "primary", 1)) await ns.kubectl("patch", "pod", one, "-p", '{"metadata":{"annotations":{"x":"y"}}}');
    expect(await ns.kubectl("get", "pods", "-l", "app=primary", "-o", "jsonpath={.items[*].metadata.annotations.x}")).toBe("y");
    await ns.kubectl("label", "pod", name, "testing-label=value");
    expect(await ns.kubectl("get", "pod", name, "-L", "testing-label", "--no-headers")).toMatch(/ value\n$/);
    expect(await ns.kubectl("get", "pods", "-l", "testing-label", "-o", "name")).toBe(`pod/${name}\n`);
    await ns.kubectl("label", "pod", name, "testing-label-");
    expect(await ns.kubectl("get", "pods", "-l", "testing-label", "-o", "name")).toBe("");
  });

  it("run makes a pod that is not started again; replace and dry runs change its image, or do not", async () => {
    const ns = await bed.namespace("run-pod");
    const overrides = JSON.stringify({ spec: { terminationGracePeriodSeconds: 1 } });
    const command = ["--command", "--", "/bin/sh", "-c", idle];
    await ns.kubectl("run", "once", "--restart=Never", `--image=${box.name}`, `--overrides=${overrides}`, ...command);
    const pod = await ns.untilReady("once");
    expect(pod.spec).toMatchObject({ restartPolicy: "Never", containers: [{ image: box.name }] });
    const patch = '{"spec":{"containers":[{"name":"once","image":"example.test/other:1"}]}}';
    expect(await ns.kubectl("patch", "pod", "once", "-p", patch, "--dry-run=server", "-o", "jsonpath={.spec.containers[0].image}")).toBe(
      "example.test/other:1",
    );
    expect((await ns.getPod("once")).spec.containers[0]?.image).toBe(box.name);
    const written = JSON.stringify(JSON.parse(await ns.kubectl("get", "pod", "once", "-o", "json"))).replaceAll(
      box.name,
      "example.test/other:1",
    );
    expect((await ns.tryKubectl(["replace", "-f", "-"], { input: written })).stdout).toBe("pod/once replaced\n");
    expect((await ns.getPod("once")).spec.containers[0]?.image).toBe("example.test/other:1");
    await ns.kubectl("delete", "pod", "once", "--now");
  });

  it("logs: all, the last lines, so many bytes, with times, since then", async () => {
    const ns = await bed.namespace("logs");
    const lines = "for i in $(seq 1 50); do echo line $i of the log; done";
    await ns.pod("wordy", shell(`${lines}; ${idle}`));
    await ns.untilLog("wordy", "line 50 of");
    const logs = async (...args: string[]): Promise<string> => ns.kubectl("logs", "wordy", ...args);
    expect((await logs()).split("\n")).toHaveLength(51);
    expect(await logs("--tail=1")).toBe("line 50 of the log\n");
    expect(await logs("--limit-bytes=1")).toBe("l");
    const [time = "", text] = (await logs("--tail=1", "--timestamps")).trim().split(/ (.*)/);
    expect(Number.isNaN(Date.parse(time))).toBe(false);
    expect(text).toBe("line 50 of the log");
    expect((await logs("--since=24h")).split("\n")).toHaveLength(51);
    await until("the lines are older than a second", async () => (await logs("--since=1s")) === "" || undefined);
  });

  it("an application of three tiers: its front end reaches the others by what it is told of their services", async () => {
    const ns = await bed.namespace("guestbook");
    // The front end shows what the store and its replicas say; it finds them by what kubelets tell pods of services.
    const ask = (name: string): string => `wget -qO- http://$${name.toUpperCase()}_SERVICE_HOST:8080/`;
    const front = [
      "mkdir -p /www && trap 'exit 0' TERM; httpd -f -p 8080 -h /www &",
      `while :; do { ${ask("primary")}; ${ask("replica")}; } > /next 2>&1; mv /next /www/index.html; sleep 1 & wait $!; done`,
    ].join("\n");
    const tier = (name: string, replicas: number, script: string) => [
      { apiVersion: "v1", kind: "Service", metadata: { name }, spec: { selector: { app: name }, ports: [{ port: 8080 }] } },
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name },
        spec: {
          replicas,
          selector: { matchLabels: { app: name } },
          template: {
            metadata: { labels: { app: name } },
            spec: { terminationGracePeriodSeconds: 1, containers: [shell(script, served)] },
          },
        },
      },
    ];
    await ns.apply(...tier("primary", 1, server), ...tier("replica", 2, server), ...tier("frontend", 1, front));
    for (const [app, count] of [
      ["primary", 1],
      ["replica", 2],
      ["frontend", 1],
    ] as const)
      await ready(ns, app, count);
    const path = `/api/v1/namespaces/${ns.name}/services/frontend:8080/proxy/`;
    let answer = "";
    const hasBoth = async (): Promise<true | undefined> => {
      answer = await bed.cluster.kubectl("get", "--raw", path).catch(String);
      return /^primary-[\w-]+\nreplica-[\w-]+\n$/.test(answer) || undefined;
    };
    await until("the front end has both answers", hasBoth).catch((error: Error) => expect.fail(`${error.message}: ${answer}`));
    await ns.kubectl("delete", "deployments,services", "--all");
    await until("its pods are gone", async () => (await ns.kubectl("get", "pods", "-o", "name")) === "" || undefined);
  });

  it("proxy listens on a socket of the file system", async () => {
    const directory = await temporaryDirectory("proxy");
    const socketPath = join(directory.path, "proxy.sock");
    const proxy = spawn("kubectl", ["--kubeconfig", bed.cluster.kubeconfig, "proxy", `--unix-socket=${socketPath}`], { stdio: "ignore" });
    const get = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const asked = request({ socketPath, path }, (response) => {
          let text = "";
          response.on("data", (chunk) => (text += String(chunk)));
          response.on("end", () => resolve(text));
        });
        asked.on("error", reject);
        asked.end();
      });
    try {
      const versions = await until("the proxy answers", async () => get("/api/").catch(() => undefined));
      expect(JSON.parse(versions)).toMatchObject({ kind: "APIVersions", versions: ["v1"] });
    } finally {
      const ended = new Promise((resolve) => proxy.on("close", resolve));
      proxy.kill();
      await ended;
      await directory.remove();
    }
  });

  it("a pod has its account's token, the authority and its namespace, and its own audience where it asks for that", async () => {
    const ns = await bed.namespace("mounted");
    const at = "/var/run/secrets/kubernetes.io/serviceaccount";
    const projected = { sources: [{ serviceAccountToken: { path: "own", audience: "vault", expirationSeconds: 600 } }] };
    const script = `cut -d. -f2 ${at}/token; cut -d. -f2 /own/own; cat ${at}/namespace; echo; head -1 ${at}/ca.crt`;
    await ns.pod("mounted", shell(script, { volumeMounts: [{ name: "own", mountPath: "/own" }] }), {
      restartPolicy: "Never",
      volumes: [{ name: "own", projected }],
    });
    const [token = "", own = "", namespace, ca] = (await ns.output("mounted")).split("\n");
    const claims = (text: string) =>
      JSON.parse(Buffer.from(text, "base64url").toString()) as { sub: string; aud: readonly string[]; iss: string };
    expect(claims(token).sub).toBe(`system:serviceaccount:${ns.name}:default`);
    expect(claims(own)).toMatchObject({ sub: claims(token).sub, aud: ["vault"] });
    expect([namespace, ca]).toEqual([ns.name, "-----BEGIN CERTIFICATE-----"]);
    const discovered = JSON.parse(await bed.cluster.kubectl("get", "--raw", "/.well-known/openid-configuration")) as { issuer: string };
    expect(discovered.issuer).toBe(claims(token).iss);
  });
});
