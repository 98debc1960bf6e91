// `coracle dns` as a process of its own beside an API server.

import { createSocket } from "node:dgram";
import { decode, encode } from "dns-packet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shown } from "../../src/testing/dns-fixture.ts";
import { always, type FakeResolver, startFakeResolver } from "../../src/testing/fake-resolver.ts";
import { type ApiServerProcess, adminKubeconfig, startApiServerProcess } from "../support/apiserver-process.ts";
import { type BackgroundCoracle, coracle, startCoracle, until } from "../support/processes.ts";

let api: ApiServerProcess;
let resolver: FakeResolver;
let dns: BackgroundCoracle;
let ports: { readonly port: number; readonly status: number };

beforeAll(async () => {
  resolver = await startFakeResolver(always("192.0.2.80"));
  api = await startApiServerProcess();
  const upstream = `127.0.0.1:${resolver.port}`;
  dns = startCoracle([
    ...["dns", "--kubeconfig", adminKubeconfig(api.dataDir), "--bind-address", "127.0.0.1", "--port", "0", "--status-port", "0"],
    ...["--upstream", upstream, "--stub-domain", `corp.example=${upstream}`, "--service-cluster-ip-range", "10.96.0.0/16"],
  ]);
  const said = await until("it says where it listens", () => /127\.0\.0\.1:(\d+) \(status: (\d+)\)/.exec(dns.output()) ?? undefined);
  ports = { port: Number(said[1]), status: Number(said[2]) };
});

afterAll(async () => {
  await dns?.stop();
  await api?.stop();
  await resolver?.[Symbol.asyncDispose]();
});

function ask(name: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.on("error", reject);
    socket.on("message", (message) => {
      socket.close();
      resolve((decode(message).answers ?? []).map(shown));
    });
    socket.send(encode({ type: "query", id: 1, flags: 0x100, questions: [{ name, type: "A" }] }), ports.port, "127.0.0.1");
  });
}

describe("coracle dns", () => {
  it("answers the names of the cluster and of the world, and tells its figures", async () => {
    const get = async (path: string) => (await fetch(`http://127.0.0.1:${ports.status}${path}`)).text();
    await until("it is ready", async () => (await get("/ready")) === "OK");
    expect(await get("/health")).toBe("OK");
    await until(
      "the API server's service is known",
      async () => (await ask("kubernetes.default.svc.cluster.local")).join() === "A 10.96.0.1",
    );
    expect(await ask("www.example.com")).toEqual(["A 192.0.2.80"]);
    const metrics = await get("/metrics");
    expect(metrics).toContain("coredns_dns_requests_total{");
    expect(metrics).toContain("process_resident_memory_bytes");
  });

  it("says what is wrong with its flags", async () => {
    for (const [flag, value] of [
      ["--upstream", "resolver.example"],
      ["--stub-domain", "corp.example"],
      ["--cluster-cidr", "10.0.0.0"],
    ] as const) {
      const { code, stderr } = await coracle(["dns", flag, value]);
      expect([code, stderr]).toEqual([1, expect.stringMatching(new RegExp(`^coracle dns: invalid argument .* for ${flag}: expected `))]);
    }
  });

  it("ends when it is told to", async () => {
    expect(await dns.stop()).toBe(0);
  });
});
