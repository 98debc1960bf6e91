// `coracle controller-manager` as users run it: two processes against an API server of its own, one leading; health and
// metrics of each; controllers with the identities of their service accounts.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leases, namespaces, serviceaccounts } from "../../src/api/resources.generated.ts";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import { type ApiServerProcess, adminKubeconfig, adminTransport, fetchText, startApiServerProcess } from "../support/apiserver-process.ts";
import { type BackgroundCoracle, coracle, freePort, startCoracle, until } from "../support/processes.ts";

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

interface Manager {
  readonly url: string;
  readonly process: BackgroundCoracle;
}

async function startManager(...extra: string[]): Promise<Manager> {
  const port = await freePort();
  const process = startCoracle([
    "controller-manager",
    `--kubeconfig=${kubeconfig}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    "--leader-elect-lease-duration=3s",
    "--leader-elect-renew-deadline=2s",
    "--leader-elect-retry-period=300ms",
    ...extra,
  ]);
  closing.push(() => process.stop("SIGKILL"));
  const url = `https://127.0.0.1:${port}`;
  await until(`the manager at ${url} is well\n${process.output()}`, async () => (await fetchText(`${url}/healthz`, "")) === "ok");
  return { url, process };
}

async function holder(): Promise<string> {
  const lease = await client.get(leases, { namespace: "kube-system", name: "kube-controller-manager" });
  return lease.spec.holderIdentity ?? "";
}

/** That somebody works: a new namespace gets its service account. */
async function expectWork(name: string): Promise<void> {
  await client.create(namespaces, { metadata: { name }, spec: {} });
  await until(`${name} has its service account`, () => client.get(serviceaccounts, { namespace: name, name: "default" }), 30_000);
}

describe("coracle controller-manager", () => {
  it("lets one of two processes lead, and the other take over when that one is killed", async () => {
    const first = await startManager("--use-service-account-credentials");
    const leader = await until("somebody leads", holder);
    await expectWork("one");
    const second = await startManager("--use-service-account-credentials");
    expect(await holder()).toBe(leader);
    const verbose = await until("the controllers are among the checks", async () => {
      const text = await fetchText(`${first.url}/healthz?verbose`, "");
      return text.includes("deployment-controller") ? text : undefined;
    });
    expect(verbose).toMatch(/\[\+\]leaderElection ok\n/);
    expect(verbose).toMatch(/\[\+\]horizontal-pod-autoscaler-controller ok\n/);
    expect(verbose).toMatch(/healthz check passed\n$/);
    // Who does not lead runs no controllers.
    expect(await fetchText(`${second.url}/healthz?verbose`, "")).not.toContain("deployment-controller");
    await first.process.stop("SIGKILL");
    await until("the other one leads", async () => {
      const now = await holder();
      return now !== leader && now !== "";
    });
    await expectWork("two");
    await second.process.stop();
    expect(await holder()).toBe("");
  }, 120_000);

  it("passes the lead on from a process that is frozen, which stands back when it goes on", async () => {
    const unhurried = ["--leader-elect-lease-duration=10s", "--leader-elect-renew-deadline=8s"];
    const first = await startManager(...unhurried);
    const leads = ({ process }: Manager) => process.output().match(/Acquired the lease/g)?.length ?? 0;
    await until("the first one leads", async () => leads(first) > 0);
    const second = await startManager(...unhurried);
    expect(leads(second)).toBe(0);
    first.process.process.kill("SIGSTOP");
    await until("the other one leads", async () => leads(second) > 0, 60_000);
    await expectWork("frozen");
    first.process.process.kill("SIGCONT");
    await until("the first one has given up", async () => /Lost the lease/.test(first.process.output()), 60_000);
    const checks = await fetchText(`${first.url}/healthz?verbose`, "");
    expect(checks).not.toContain("deployment-controller");
    await Promise.all([first, second].map((manager) => manager.process.stop()));
  }, 180_000);

  it("says how it was started", async () => {
    const { url, process } = await startManager("--leader-elect=false", "--concurrent-job-syncs=7", "--pvclaimbinder-sync-period=90s");
    expect(JSON.parse(await fetchText(`${url}/configz`, server.token))).toMatchObject({
      "kubecontrollermanager.config.k8s.io": {
        kind: "KubeControllerManagerConfiguration",
        Generic: { LeaderElection: { leaderElect: false, leaseDuration: "3s" }, Controllers: ["*"] },
        JobController: { ConcurrentJobSyncs: 7 },
        PersistentVolumeBinderController: { PVClaimBinderSyncPeriod: "1m30s" },
      },
    });
    const flags = await fetchText(`${url}/flagz`, server.token);
    expect(flags).toMatch(/^\nkube-controller-manager flagz\nWarning: /);
    expect(flags).toMatch(/\npvclaimbinder-sync-period[=:] ?1m30s\n/);
    expect(flags).toMatch(/\ncontrollers[=:] ?\[\*\]\n/);
    expect(await fetchText(`${url}/statusz`, server.token)).toMatch(/\nBinary version: 1\.36\.\d+/);
    expect(await fetchText(`${url}/flagz`, "")).toContain('User "system:anonymous" cannot get path "/flagz"');
    await process.stop();
  }, 60_000);

  it("shows its figures to those who may see them", async () => {
    const { url } = await startManager("--leader-elect=false", "--controllers=*,-deployment,tokencleaner");
    const metrics = await until("the controllers run", async () => {
      const text = await fetchText(`${url}/metrics`, server.token);
      return text.includes('running_managed_controllers{name="token-cleaner-controller"') ? text : undefined;
    });
    expect(metrics).toMatch(/^workqueue_adds_total\{name="namespace"\} \d+$/m);
    expect(metrics).toMatch(/^process_cpu_seconds_total /m);
    expect(metrics).toMatch(/^kubernetes_build_info\{.*git_version="v1\.36\./m);
    expect(metrics).toMatch(/^rest_client_requests_total\{code="200",host="127\.0\.0\.1:\d+",method="GET"\} \d+$/m);
    expect(metrics).toMatch(/^# TYPE ephemeral_volume_controller_create_total counter$/m);
    expect(metrics).not.toContain("deployment-controller");
    expect(metrics).not.toContain('{name="deployment"}');
    expect(await fetchText(`${url}/metrics`, "")).toContain('User "system:anonymous" cannot get path "/metrics"');
    expect(await fetchText(`${url}/metrics`, "nonsense")).toContain("Unauthorized");
  }, 60_000);

  it("refuses what it does not know, in one line", async () => {
    const unknown = await coracle(["controller-manager", `--kubeconfig=${kubeconfig}`, "--controllers=*,-nope"]);
    expect(unknown.code).not.toBe(0);
    expect(unknown.stderr).toMatch(/"nope" is not in the list of known controllers: .*cronjob-controller.*/);
    const short = await coracle(["controller-manager", `--kubeconfig=${kubeconfig}`, "--leader-elect-lease-duration=1s"]);
    expect(short.code).not.toBe(0);
    expect(short.stderr).toContain("--leader-elect-lease-duration must be longer");
  }, 60_000);
});
