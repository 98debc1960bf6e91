// Starts real etcd servers (Debian's etcd-server) for tests: each in a directory and on ports of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { freePort } from "../support/processes.ts";

export interface EtcdProcess {
  readonly url: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** Why no etcd can be started here; undefined when one can. */
export async function whyNoEtcd(): Promise<string | undefined> {
  return (await findExecutable("etcd")) === undefined ? "etcd (Debian's etcd-server) is not installed" : undefined;
}

/** Where a member runs: a network namespace ("/run/netns/blue") and its address there. */
export interface EtcdHost {
  readonly netns: string;
  readonly address: string;
}

/** One cluster of so many members; resolves when each says that it is ready. */
export function startEtcd(members = 1, extraArgs: readonly string[] = [], scheme = "http"): Promise<readonly EtcdProcess[]> {
  return startMembers(Array.from({ length: members }), extraArgs, scheme);
}

/** One cluster with a member on each host. */
export function startEtcdOn(hosts: readonly EtcdHost[]): Promise<readonly EtcdProcess[]> {
  return startMembers(hosts, [], "http");
}

async function startMembers(
  hosts: readonly (EtcdHost | undefined)[],
  extraArgs: readonly string[],
  scheme: string,
): Promise<readonly EtcdProcess[]> {
  const members = await Promise.all(
    hosts.map(async (host) => ({
      netns: host?.netns,
      address: host?.address ?? "127.0.0.1",
      client: await freePort(),
      peer: await freePort(),
    })),
  );
  const initial = members.map(({ address, peer }, i) => `m${i}=http://${address}:${peer}`).join(",");
  return Promise.all(
    members.map(async ({ netns, address, client, peer }, i) => {
      const dir = await mkdtemp(join(tmpdir(), "coracle-etcd-"));
      const url = `${scheme}://${address}:${client}`;
      const peerUrl = `http://${address}:${peer}`;
      const args = ["--name", `m${i}`, "--data-dir", dir, "--listen-client-urls", url, "--advertise-client-urls", url];
      args.push("--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl, "--initial-cluster", initial);
      // nsenter becomes etcd: the process is the same.
      const [command = "", ...before] = netns === undefined ? ["etcd"] : ["nsenter", `--net=${netns}`, "etcd"];
      const child = spawn(command, [...before, ...args, "--unsafe-no-fsync", ...extraArgs], { stdio: ["ignore", "ignore", "pipe"] });
      const exited = once(child, "exit");
      await new Promise<void>((resolve, reject) => {
        let said = "";
        child.stderr?.on("data", (chunk: Buffer) => {
          said = (said + chunk).slice(-20_000);
          if (said.includes("ready to serve client requests")) resolve();
        });
        void exited.then(() => reject(new Error(`etcd ended: ${said}`)));
      });
      return {
        url,
        process: child,
        async stop() {
          if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
          await exited;
          await rm(dir, { recursive: true, force: true });
        },
      };
    }),
  );
}
