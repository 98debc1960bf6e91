// `coracle scheduler` as users run it, against an API server of its own: profiles from a configuration file, health and
// metrics over HTTPS, and what it says of files that it cannot use.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leases, namespaces, nodes, pods, serviceaccounts } from "../../src/api/resources.generated.ts";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import { type ApiServerProcess, adminKubeconfig, adminTransport, fetchText, startApiServerProcess } from "../support/apiserver-process.ts";
import { coracle, freePort, startCoracle, until } from "../support/processes.ts";

let server: ApiServerProcess;
let client: Client;
let kubeconfig = "";
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startApiServerProcess();
  const transport = await adminTransport(server.dataDir);
  closing.push(() => transport.close());
  client = createClient(transport);
  kubeconfig = adminKubeconfig(server.dataDir);
}, 60_000);

afterAll(async () => {
  for (const close of closing.reverse()) await close();
  await server.stop();
}, 60_000);

async function configFile(name: string, text: string): Promise<string> {
  const path = join(server.dataDir, name);
  await writeFile(path, `apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n${text}`);
  return path;
}

async function startScheduler(...flags: string[]): Promise<string> {
  const port = await freePort();
  const process = startCoracle(["scheduler", "--bind-address=127.0.0.1", `--secure-port=${port}`, ...flags]);
  closing.push(() => process.stop("SIGKILL"));
  const url = `https://127.0.0.1:${port}`;
  await until(`the scheduler at ${url} is well`, async () => {
    if (process.process.exitCode !== null) throw new Error(`it has ended:\n${process.output()}`);
    return (await fetchText(`${url}/readyz`, "")) === "ok";
  });
  return url;
}

async function createNode(name: string): Promise<void> {
  const allocatable = { cpu: "4", memory: "8Gi", pods: "110" };
  const labels = { "kubernetes.io/hostname": name };
  await client.create(nodes, { metadata: { name, labels }, spec: {}, status: { allocatable, capacity: allocatable } });
}

/** New nodes are tainted until a controller finds them ready; there is none here, so the pods tolerate everything. */
async function createPod(name: string, spec: object): Promise<void> {
  const containers = [{ name: "c", image: "app", resources: { requests: { cpu: "1" } } }];
  await client.create(pods, {
    metadata: { name, namespace: "work" },
    spec: { containers, tolerations: [{ operator: "Exists" }], ...spec },
  });
}

const placeOf = (name: string): Promise<string> =>
  until(`${name} has a node`, async () => (await client.get(pods, { namespace: "work", name })).spec.nodeName, 30_000);

describe("coracle scheduler", () => {
  it("schedules by the profiles of its configuration, leads by its lease and shows its figures", async () => {
    const file = await configFile(
      "two-profiles.yaml",
      `
clientConnection: {kubeconfig: ${JSON.stringify(kubeconfig)}}
leaderElection: {resourceName: my-scheduler, retryPeriod: 300ms}
profiles:
  - schedulerName: default-scheduler
  - schedulerName: packing
    plugins: {score: {disabled: [{name: "*"}], enabled: [{name: NodeResourcesFit}]}}
    pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated}}}]
`,
    );
    await client.create(namespaces, { metadata: { name: "work" }, spec: {} });
    await client.create(serviceaccounts, { metadata: { namespace: "work", name: "default" } });
    await client.create(namespaces, { metadata: { name: "kube-system" }, spec: {} }).catch(() => undefined); // there as a rule
    for (const name of ["a", "b"]) await createNode(name);
    const url = await startScheduler(`--config=${file}`);
    await createPod("first", { nodeSelector: { "kubernetes.io/hostname": "a" } });
    expect(await placeOf("first")).toBe("a");
    for (const name of ["one", "two"]) await createPod(name, { schedulerName: "packing" });
    expect([await placeOf("one"), await placeOf("two")]).toEqual(["a", "a"]);
    await createPod("spread", {});
    expect(await placeOf("spread")).toBe("b");
    const lease = await client.get(leases, { namespace: "kube-system", name: "my-scheduler" });
    expect(lease.spec.holderIdentity).toBeTruthy();
    const metrics = await until("four bindings are counted", async () => {
      const text = await fetchText(`${url}/metrics`, server.token);
      return text.includes('scheduler_schedule_attempts_total{result="scheduled",profile="packing"} 2') ? text : undefined;
    });
    expect(metrics).toMatch(/^scheduler_schedule_attempts_total\{result="scheduled",profile="default-scheduler"\} 2$/m);
    expect(metrics).toMatch(/^scheduler_cache_size\{type="nodes"\} 2$/m);
    expect(metrics).toMatch(/^scheduler_pending_pods\{queue="active"\} 0$/m);
    expect(metrics).toMatch(/^process_cpu_seconds_total /m);
    expect(await fetchText(`${url}/metrics`, "")).toContain('User "system:anonymous" cannot get path "/metrics"');
    for (const path of ["healthz", "livez", "readyz"]) expect(await fetchText(`${url}/${path}`, "")).toBe("ok");
    expect(await fetchText(`${url}/healthz?verbose`, "")).toMatch(/\[\+\]leaderElection ok\n/);
    const { componentconfig } = JSON.parse(await fetchText(`${url}/configz`, server.token));
    expect(componentconfig).toMatchObject({
      kind: "KubeSchedulerConfiguration",
      apiVersion: "kubescheduler.config.k8s.io/v1",
      leaderElection: { resourceName: "my-scheduler", retryPeriod: "300ms" },
      profiles: [
        { schedulerName: "default-scheduler" },
        { schedulerName: "packing", plugins: { score: { enabled: [{ name: "NodeResourcesFit" }], disabled: [{ name: "*" }] } } },
      ],
    });
    expect(componentconfig.profiles[0].plugins.multiPoint.enabled).toContainEqual({ name: "TaintToleration", weight: 3 });
    expect(componentconfig.profiles[1].pluginConfig).toContainEqual(
      expect.objectContaining({ name: "NodeResourcesFit", args: expect.objectContaining({ kind: "NodeResourcesFitArgs" }) }),
    );
    expect(await fetchText(`${url}/flagz`, server.token)).toMatch(/^\nkube-scheduler flagz\n/);
  }, 120_000);

  it("explains where a pod of the cluster, or of a manifest, can go", async () => {
    const manifest = join(server.dataDir, "big.yaml");
    await writeFile(
      manifest,
      `apiVersion: v1
kind: Pod
metadata: {name: big, namespace: work}
spec:
  tolerations: [{operator: Exists}]
  nodeSelector: {kubernetes.io/hostname: b}
  containers: [{name: c, image: app, resources: {requests: {cpu: "3"}}}]
`,
    );
    const explained = await coracle(["explain", "scheduling", `--kubeconfig=${kubeconfig}`, "-f", manifest]);
    expect(explained.stderr).toBe("");
    expect(explained.stdout).toMatch(/^pod work\/big: fits on 1 of 2 nodes\n\nb: score \d+\n/);
    expect(explained.stdout).toMatch(/\n {2}NodeResourcesFit: \d+ × 1 = \d+\n/);
    expect(explained.stdout).toMatch(/\na: refused\n {2}NodeAffinity: node\(s\) didn't match Pod's node affinity\/selector\n/);
    await expect(client.get(pods, { namespace: "work", name: "big" })).rejects.toThrow("not found");
    const live = await coracle(["explain", "scheduling", "spread", "-n", "work", `--kubeconfig=${kubeconfig}`]);
    expect(live.stdout).toContain("pod work/spread: fits on 2 of 2 nodes\nit is on b; this is how it would be placed now\n");
    const foreign = await coracle(["explain", "scheduling", "one", "-n", "work", `--kubeconfig=${kubeconfig}`]);
    expect(foreign.code).not.toBe(0);
    expect(foreign.stderr).toContain("no profile schedules pods of schedulerName packing");
  }, 60_000);

  it("tells where the pods of a workload would go, one after the other", async () => {
    const manifest = join(server.dataDir, "what-if.yaml");
    const spec = "tolerations: [{operator: Exists}], containers: [{name: c, image: app, resources: {requests: {cpu: 1500m}}}]";
    await writeFile(
      manifest,
      `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {${spec}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: data}
spec:
  serviceName: data
  selector: {matchLabels: {app: data}}
  volumeClaimTemplates: [{metadata: {name: disk}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
  template:
    metadata: {labels: {app: data}}
    spec: {tolerations: [{operator: Exists}], containers: [{name: c, image: app, volumeMounts: [{name: disk, mountPath: /disk}]}]}
`,
    );
    const asked = ["explain", "scheduling", `--kubeconfig=${kubeconfig}`, "-n", "work", "-f", manifest];
    const { stdout, stderr } = await coracle(asked);
    expect(stderr).toBe("");
    // Of four processors each, three are taken on node a and one on node b.
    expect(stdout).toMatch(
      /^deployment work\/web: 2 of 4 pods find a place\n {2}b: 2 \(web-0, web-1\)\n {2}without a place: 2 \(web-2, web-3\)\n/,
    );
    expect(stdout).toMatch(/\npod work\/web-2: fits on 0 of 2 nodes\n\na: refused\n {2}NodeResourcesFit: Insufficient cpu\n/);
    expect(stdout).toMatch(/\nstatefulset work\/data: 1 of 1 pods find a place\n {2}[ab]: 1 \(data-0\)\n$/);
    expect((await coracle([...asked, "--replicas=1"])).stdout).toMatch(
      /^deployment work\/web: 1 of 1 pods find a place\n {2}b: 1 \(web-0\)\n/,
    );
    const only = join(server.dataDir, "service.yaml");
    await writeFile(only, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n");
    expect((await coracle(["explain", "scheduling", `--kubeconfig=${kubeconfig}`, "-f", only])).stderr).toMatch(
      /expected Pod, Deployment, .*; there is Service\n$/,
    );
  }, 60_000);

  it("asks users' plugins, explains with them, and takes them over again when they have changed", async () => {
    const plugin = join(server.dataDir, "no-work.ts");
    const refusing = (name: string): Promise<void> =>
      writeFile(
        plugin,
        `interface Node { readonly name: string }
export default {
  name: "NoWork",
  extensionPoints: ["filter"],
  create: ({ args }: { args: unknown }) => ({
    filter: () => (node: Node) => (node.name === "${name}" || args === undefined ? { reasons: ["no work here"] } : undefined),
  }),
};
`,
      );
    await refusing("a");
    const file = await configFile(
      "with-plugin.yaml",
      `
leaderElection: {leaderElect: false}
profiles: [{schedulerName: with-plugin, pluginConfig: [{name: NoWork, args: {}}]}]
`,
    );
    await startScheduler(`--config=${file}`, `--kubeconfig=${kubeconfig}`, `--plugin=${plugin}`);
    await createPod("elsewhere", { schedulerName: "with-plugin" });
    expect(await placeOf("elsewhere")).toBe("b");
    const flags = ["-n", "work", `--kubeconfig=${kubeconfig}`, `--config=${file}`, `--plugin=${plugin}`];
    const explained = await coracle(["explain", "scheduling", "elsewhere", ...flags]);
    expect(explained.stdout).toContain("\na: refused\n  NoWork: no work here\n");
    await createPod("waiting", { schedulerName: "with-plugin", nodeSelector: { "kubernetes.io/hostname": "a" } });
    await until("the plugin has refused the pod", async () => {
      const { status } = await client.get(pods, { namespace: "work", name: "waiting" });
      return status?.conditions?.some((c) => c.message?.includes("no work here"));
    });
    await refusing("b");
    expect(await placeOf("waiting")).toBe("a");
    const wrong = await coracle(["scheduler", `--kubeconfig=${kubeconfig}`, `--plugin=${join(server.dataDir, "none.ts")}`]);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("--plugin");
    expect(wrong.stderr).toContain("none.ts");
  }, 120_000);

  it("refuses a configuration that is not right, in one line that names the field", async () => {
    const refused = async (text: string): Promise<string> => {
      const result = await coracle(["scheduler", `--kubeconfig=${kubeconfig}`, `--config=${await configFile("wrong.yaml", text)}`]);
      expect(result.code).not.toBe(0);
      return result.stderr;
    };
    expect(await refused("profile: []")).toContain(`wrong.yaml: strict decoding error: unknown field "profile"`);
    expect(await refused("parallelism: 0")).toContain("parallelism: Invalid value: 0: should be an integer value greater than zero");
    const hasty = await coracle(["scheduler", `--kubeconfig=${kubeconfig}`, "--leader-elect-renew-deadline=20s", "--secure-port=0"]);
    expect(hasty.code).not.toBe(0);
    expect(hasty.stderr).toContain("the lease's duration must be longer than the deadline to renew it");
    const missing = await coracle(["scheduler", `--kubeconfig=${kubeconfig}`, "--config=/nowhere/at/all.yaml"]);
    expect(missing.code).not.toBe(0);
    expect(missing.stderr).toContain("/nowhere/at/all.yaml cannot be read");
  }, 60_000);
});
