// The stock kubectl through the aggregation layer: an API server of its own, and an extension server beside it.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sampleApiService, sampleService, serviceDns } from "../../src/apiserver/aggregation/aggregation-fixture.ts";
import { ExtensionServer } from "../../src/apiserver/aggregation/extension-server-fixture.ts";
import { type ApiServerProcess, startApiServerProcess } from "../support/apiserver-process.ts";
import { Cluster, whyNoKubectl } from "../support/cluster.ts";
import { mustRun, run, until } from "../support/processes.ts";

const reason = await whyNoKubectl();
if (reason) console.log(`aggregation is not tried with kubectl: ${reason}`);

describe.runIf(reason === undefined)("kubectl through the aggregation layer", { timeout: 60_000 }, () => {
  let server: ApiServerProcess;
  let extension: ExtensionServer;
  const env = () => ({ KUBECONFIG: join(server.dataDir, "admin.kubeconfig"), HOME: join(server.dataDir, "home") });
  const kubectl = (...args: readonly string[]) => mustRun("kubectl", args, { env: env() });
  const apply = async (...objects: readonly object[]) => {
    const file = join(server.dataDir, "objects.json");
    await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    return kubectl("apply", "-f", file);
  };

  beforeAll(async () => {
    server = await startApiServerProcess();
    const frontProxyCaPem = await readFile(join(server.dataDir, "pki", "front-proxy-ca.crt"), "utf8");
    extension = new ExtensionServer({ frontProxyCaPem, dns: [serviceDns] });
    await extension.start();
    await apply({ apiVersion: "v1", kind: "Service", ...sampleService }, sampleApiService(extension));
    await kubectl("wait", "--for=condition=Available", "apiservice/v1.sample.example.com", "--timeout=20s");
  }, 60_000);
  afterAll(async () => {
    await extension?.stop();
    await server?.stop();
  });

  it("lists APIServices as a table", async () => {
    const printed = await kubectl("get", "apiservices");
    expect(printed).toMatch(/^NAME +SERVICE +AVAILABLE +AGE\n/);
    expect(printed).toMatch(/\nv1\.apps +Local +True +\S+\n/);
    expect(printed).toMatch(/\nv1\.sample\.example\.com +default\/sample +True +\S+\n/);
  });

  it("finds, makes, reads and deletes objects of an extension server", async () => {
    await until("discovery shows the widgets", async () => (await kubectl("api-resources", "--cached=false")).includes("widgets"));
    expect(await kubectl("api-resources", "--api-group=sample.example.com")).toMatch(
      /widgets +wd +sample\.example\.com\/v1 +true +Widget\n/,
    );
    expect(await kubectl("api-versions")).toContain("sample.example.com/v1\n");
    const widget = {
      apiVersion: "sample.example.com/v1",
      kind: "Widget",
      metadata: { name: "w", namespace: "default" },
      spec: { size: "1" },
    };
    const file = join(server.dataDir, "widget.json");
    await writeFile(file, JSON.stringify(widget));
    expect(await kubectl("create", "--validate=false", "-f", file)).toBe("widget.sample.example.com/w created\n");
    expect(await kubectl("get", "wd", "w", "-o", "jsonpath={.spec.size}")).toBe("1");
    expect(await kubectl("get", "widgets", "-A", "-o", "name")).toBe("widget.sample.example.com/w\n");
    expect(await kubectl("delete", "wd", "w", "--wait=false")).toContain('"w" deleted');
    const seen = extension.requests.find(({ method }) => method === "POST");
    expect(seen?.headers).toMatchObject({ "x-remote-user": "kubernetes-admin" });
  });

  it("explains what an extension server describes", async () => {
    await until("OpenAPI has the widgets", async () => {
      const { code, stdout } = await run("kubectl", ["get", "--raw", "/openapi/v2"], { env: env() });
      return code === 0 && stdout.includes("com.example.Widget");
    });
    expect(await kubectl("get", "--raw", "/openapi/v3")).toContain("apis/sample.example.com/v1");
  });

  it("says that a server is down, and goes on with everything else", async () => {
    await extension.stop();
    await kubectl("label", "apiservice", "v1.sample.example.com", "touched=yes");
    await kubectl("wait", "--for=condition=Available=false", "apiservice/v1.sample.example.com", "--timeout=20s");
    expect(await kubectl("get", "apiservice", "v1.sample.example.com")).toMatch(/ False \(FailedDiscoveryCheck\) /);
    const { code, stderr } = await run("kubectl", ["get", "--raw", "/apis/sample.example.com/v1"], { env: env() });
    expect(code).toBe(1);
    expect(stderr).toContain("the server is currently unable to handle the request");
    expect(await kubectl("get", "namespaces", "-o", "name")).toContain("namespace/default\n");
    await kubectl("delete", "apiservice", "v1.sample.example.com");
    expect(await kubectl("api-versions")).not.toContain("sample.example.com");
  });
});

describe.runIf(reason === undefined)("controllers and aggregated resources", { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let extension: ExtensionServer;
  beforeAll(async () => {
    cluster = await Cluster.prepare("aggregation", ["--nodes", "0"]);
    await cluster.start();
    const frontProxyCaPem = await readFile(join(cluster.dataDir, "pki", "front-proxy-ca.crt"), "utf8");
    extension = new ExtensionServer({ frontProxyCaPem, dns: [serviceDns] });
    await extension.start();
    await cluster.apply({ apiVersion: "v1", kind: "Service", ...sampleService }, sampleApiService(extension));
    await cluster.kubectl("wait", "--for=condition=Available", "apiservice/v1.sample.example.com", "--timeout=20s");
  }, 120_000);
  afterAll(async () => {
    await extension?.stop();
    await cluster?.remove();
  }, 120_000);

  const widget = (name: string, namespace: string, more: object = {}) =>
    cluster.tryKubectl(["create", "--validate=false", "-f", "-"], {
      input: JSON.stringify({ apiVersion: "sample.example.com/v1", kind: "Widget", metadata: { name, namespace, ...more } }),
    });

  it("the namespace controller empties them with their namespace", async () => {
    await cluster.kubectl("create", "namespace", "short-lived");
    expect((await widget("w", "short-lived")).stdout).toBe("widget.sample.example.com/w created\n");
    await cluster.kubectl("delete", "namespace", "short-lived", "--timeout=30s");
    const deletion = extension.requests.find(({ method, url }) => method === "DELETE" && url.includes("/namespaces/short-lived/widgets/w"));
    expect(deletion?.headers["x-remote-user"]).toBe("system:serviceaccount:kube-system:namespace-controller");
  });

  it("the garbage collector watches them, and deletes those whose owner is gone", async () => {
    await until("the garbage collector watches the widgets", () => extension.watches > 0, 60_000);
    await cluster.kubectl("create", "configmap", "owner");
    const uid = await cluster.kubectl("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}");
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }];
    expect((await widget("owned", "default", { ownerReferences })).code).toBe(0);
    await cluster.kubectl("delete", "configmap", "owner");
    await until("the owned widget is gone", async () => (await cluster.tryKubectl(["get", "wd", "owned"])).code !== 0, 30_000);
  });

  it("the garbage collector goes on with everything else while their server is down", async () => {
    await extension.stop();
    await cluster.kubectl("label", "apiservice", "v1.sample.example.com", "touched=yes");
    await cluster.kubectl("wait", "--for=condition=Available=false", "apiservice/v1.sample.example.com", "--timeout=20s");
    await cluster.kubectl("create", "configmap", "owner");
    const uid = await cluster.kubectl("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}");
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }];
    await cluster.apply({ apiVersion: "v1", kind: "Secret", metadata: { name: "owned", ownerReferences } });
    await cluster.kubectl("delete", "configmap", "owner");
    await until("the owned secret is gone", async () => (await cluster.tryKubectl(["get", "secret", "owned"])).code !== 0, 30_000);
  });
});

describe.runIf(reason === undefined)("an API server of ours behind another", { timeout: 60_000 }, () => {
  let front: ApiServerProcess;
  let behind: ApiServerProcess;
  const kubectl = (server: ApiServerProcess, ...args: readonly string[]) =>
    mustRun("kubectl", args, { env: { KUBECONFIG: join(server.dataDir, "admin.kubeconfig"), HOME: join(server.dataDir, "home") } });
  beforeAll(async () => {
    front = await startApiServerProcess();
    behind = await startApiServerProcess([
      ...["--requestheader-client-ca-file", join(front.dataDir, "pki", "front-proxy-ca.crt")],
      ...["--requestheader-allowed-names", "front-proxy-client", "--requestheader-username-headers", "X-Remote-User"],
      ...["--requestheader-uid-headers", "X-Remote-Uid", "--requestheader-group-headers", "X-Remote-Group"],
      ...["--requestheader-extra-headers-prefix", "X-Remote-Extra-"],
    ]);
    const file = join(front.dataDir, "service.json");
    await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "Service", ...sampleService }));
    await kubectl(front, "create", "-f", file);
    const service = { namespace: "default", name: "sample", port: Number(new URL(behind.url).port) };
    const patch = JSON.stringify({ spec: { service, insecureSkipTLSVerify: true } });
    await kubectl(front, "patch", "apiservice", "v1.batch", "--type=merge", "-p", patch);
    // What was local a moment ago is still said to be available.
    await until("the other server has been asked", async () =>
      (await kubectl(front, "get", "apiservice", "v1.batch", "-o", "json")).includes("Passed"),
    );
  }, 60_000);
  afterAll(async () => {
    await front?.stop();
    await behind?.stop();
  });

  it("keeps the group's objects, and knows who asks", async () => {
    await kubectl(front, "create", "cronjob", "tick", "--image=box", "--schedule=0 0 * * *");
    expect(await kubectl(behind, "get", "cronjobs", "-o", "name")).toBe("cronjob.batch/tick\n");
    expect(await kubectl(front, "get", "cronjobs")).toMatch(/^NAME +SCHEDULE .*\ntick +0 0 \* \* \* /);
    expect(await kubectl(front, "explain", "cronjob.spec.schedule")).toContain("CronJob");
    const as = ["--as=alice", "--as-group=system:authenticated"];
    await kubectl(front, "create", "rolebinding", "alice", "--clusterrole=admin", "--user=alice", "-n", "default");
    const { stderr } = await run("kubectl", ["--kubeconfig", join(front.dataDir, "admin.kubeconfig"), "get", "cronjobs", ...as]);
    // The first server lets her through; the other one has no such binding.
    expect(stderr).toContain('User "alice" cannot list resource "cronjobs" in API group "batch" in the namespace "default"');
    await kubectl(behind, "create", "rolebinding", "alice", "--clusterrole=admin", "--user=alice", "-n", "default");
    expect(await kubectl(front, "get", "cronjobs", "-o", "name", ...as)).toBe("cronjob.batch/tick\n");
  });

  it("serves the group itself again when the service is taken away", async () => {
    await kubectl(front, "patch", "apiservice", "v1.batch", "--type=merge", "-p", '{"spec":{"service":null,"insecureSkipTLSVerify":null}}');
    await kubectl(front, "wait", "--for=jsonpath={.status.conditions[0].reason}=Local", "apiservice/v1.batch", "--timeout=20s");
    expect(await kubectl(front, "get", "cronjobs", "-o", "name")).toBe("");
  });
});
