// Two API servers on one etcd: one cluster to their clients. What one writes the other shows and watches, nothing is given
// twice, and when one is killed under load its clients go on with the other and miss nothing that was acknowledged.
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configmaps, endpointslices, leases, namespaces, services } from "../../src/api/resources.generated.ts";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import { type EtcdProcess, startEtcd, whyNoEtcd } from "../storage/etcd-process.ts";
import { type ApiServerProcess, adminTransport, startApiServerProcess } from "../support/apiserver-process.ts";
import { temporaryDirectory, until } from "../support/processes.ts";

const reason = await whyNoEtcd();
if (reason) console.log(`two API servers on one etcd are not tried: ${reason}`);

interface Member {
  readonly server: ApiServerProcess;
  readonly client: Client;
  close(): Promise<void>;
}

async function startMember(etcd: readonly EtcdProcess[], dataDir: string, address: string): Promise<Member> {
  const urls = etcd.map(({ url }) => url).join(",");
  const server = await startApiServerProcess(["--etcd-servers", urls, "--data-dir", dataDir, "--advertise-address", address]);
  const transport = await adminTransport(dataDir);
  return { server, client: createClient(transport), close: () => transport.close() };
}

describe.runIf(reason === undefined)("two API servers on one etcd", () => {
  const addresses = ["192.0.2.1", "192.0.2.2"];
  let etcd: readonly EtcdProcess[] = [];
  let directories: Awaited<ReturnType<typeof temporaryDirectory>>;
  let members: readonly Member[] = [];
  const member = (i: number): Member => {
    const found = members[i];
    if (!found) throw new Error(`server ${i} has not started`);
    return found;
  };
  const client = (i: number): Client => member(i % 2).client;

  beforeAll(async () => {
    etcd = await startEtcd();
    directories = await temporaryDirectory("two-servers");
    const [first, second] = [join(directories.path, "a"), join(directories.path, "b")];
    const one = await startMember(etcd, first, addresses[0] ?? "");
    // One cluster has one authority and one key for tokens.
    await cp(join(first, "pki"), join(second, "pki"), { recursive: true });
    members = [one, await startMember(etcd, second, addresses[1] ?? "")];
  });
  afterAll(async () => {
    for (const { close, server } of members) {
      await close();
      await server.stop();
    }
    await Promise.all(etcd.map((server) => server.stop()));
    await directories.remove();
  });

  test("what one writes the other shows at once, and its watches too", async () => {
    const seen: string[] = [];
    const watching = new AbortController();
    const { metadata } = await client(1).list(configmaps, { namespace: "default" });
    const batches = await client(1).watch(configmaps, {
      namespace: "default",
      resourceVersion: metadata.resourceVersion ?? "",
      signal: watching.signal,
    });
    const reading = (async () => {
      for await (const events of batches) for (const event of events) if (event.type === "ADDED") seen.push(event.object.metadata.name);
    })().catch((error: unknown) => {
      if (!watching.signal.aborted) throw error;
    });
    for (let i = 0; i < 20; i++) {
      const name = `shared-${i}`;
      await client(i).create(configmaps, { metadata: { namespace: "default", name }, data: { i: String(i) } });
      expect((await client(i + 1).get(configmaps, { namespace: "default", name })).data).toEqual({ i: String(i) });
      const { items } = await client(i + 1).list(configmaps, { namespace: "default" });
      expect(items.map((item) => item.metadata.name)).toContain(name);
    }
    await until("all changes have come", () => seen.length === 20);
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `shared-${i}`));
    watching.abort();
    await reading;
  });

  test("no address and no node port is given twice", async () => {
    const created = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        client(i).create(services, {
          metadata: { namespace: "default", name: `s${i}` },
          spec: { type: "NodePort", ports: [{ port: 80, protocol: "TCP" }] },
        }),
      ),
    );
    expect(new Set(created.map(({ spec }) => spec?.clusterIP)).size).toBe(60);
    expect(new Set(created.map(({ spec }) => spec?.ports?.[0]?.nodePort)).size).toBe(60);
  });

  const behindKubernetes = async (i: number): Promise<string[]> => {
    const { endpoints } = await client(i).get(endpointslices, { namespace: "default", name: "kubernetes" });
    return (endpoints ?? []).flatMap((endpoint) => [...endpoint.addresses]);
  };

  test("both are behind the service kubernetes, and known by their lease", async () => {
    await until("the endpoints name both", async () => (await behindKubernetes(0)).join() === addresses.join());
    const { items } = await client(0).list(leases, {
      namespace: "kube-system",
      labelSelector: "apiserver.kubernetes.io/identity=kube-apiserver",
    });
    // They run on one host, by which upstream names them.
    expect(items.map(({ metadata }) => metadata.name)).toEqual([expect.stringMatching(/^apiserver-[a-z2-7]{26}$/)]);
  });

  test("one is killed under load: no acknowledged write is lost, the other goes on and drops its address", async () => {
    await client(0).create(namespaces, { metadata: { name: "load" }, spec: {} });
    const acknowledged = new Set<string>();
    let refused = 0;
    const write = async (worker: number): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        const name = `w${worker}-${i}`;
        for (let server = worker; ; server++) {
          try {
            await client(server).create(configmaps, { metadata: { namespace: "load", name } });
            acknowledged.add(name);
            break;
          } catch (error) {
            if ((error as { reason?: string }).reason === "AlreadyExists") {
              acknowledged.add(name);
              break;
            }
            // The connection is gone: the same through the other server.
            refused++;
            if (refused > 10_000) throw error;
          }
        }
        if (acknowledged.size === 100) member(0).server.process.process.kill("SIGKILL");
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, worker) => write(worker)));
    expect(refused).toBeGreaterThan(0);
    const { items } = await client(1).list(configmaps, { namespace: "load" });
    expect(new Set(items.map(({ metadata }) => metadata.name))).toEqual(acknowledged);
    expect(acknowledged.size).toBe(320);
    await until("the endpoints name the other alone", async () => (await behindKubernetes(1)).join() === addresses[1], 90_000);
  }, 150_000);
});
