// A kubelet with real containers: our containerd, images built on the spot, and a small API in memory. Needs Linux, root and
// the packages containerd, runc, containernetworking-plugins, nftables and busybox-static; leaves nothing behind.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultPod } from "../../src/api/defaults/pod.ts";
import { nodes, pods } from "../../src/api/resources.generated.ts";
import type { Container, Pod, PodSpec } from "../../src/api/types/core-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { createLogger } from "../../src/base/log.ts";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import { type KubeletProcessOptions, type RunningKubelet, startKubelet } from "../../src/cmd/kubelet/kubelet.ts";
import { type NodeRuntime, startNodeRuntime } from "../../src/cmd/kubelet/node-runtime.ts";
import { takeDownNode } from "../../src/cmd/node/take-down-node.ts";
import { podNetworkName } from "../../src/cni/network-config.ts";
import { withContainerd } from "../../src/cri/containerd.ts";
import { importImage } from "../../src/cri/images.ts";
import { findDirectoryWith, findExecutable } from "../../src/linux/find-executable.ts";
import { unmountBelow } from "../../src/linux/mounts.ts";
import { createFakeApi } from "../../src/testing/fake-api.ts";
import { buildImage } from "../../src/testing/image-builder.ts";
import { until } from "./processes.ts";

/** Why a kubelet cannot be tried with containerd here; undefined when it can. */
export async function whyNoRealKubelet(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "it needs Linux and root";
  const needed = ["containerd", "ctr", "runc", "busybox", "nft"];
  const found = await Promise.all(needed.map(findExecutable));
  const missing = needed.filter((_, i) => found[i] === undefined);
  if (missing.length > 0) return `not installed: ${missing.join(", ")}`;
  const plugins = await findDirectoryWith(["bridge"], ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"]);
  return plugins === undefined ? "the CNI plugins are not installed" : undefined;
}

const nodeName = "kubelet-test";
export const image = "coracle.test/busybox:1";
const logger = createLogger("test", { verbosity: Number(process.env.CORACLE_TEST_V ?? -1) });

/** A container that runs a script. */
export function shell(script: string, fields: Partial<Container> = {}): Container {
  return { name: "main", image, command: ["/bin/sh", "-c", script], ...fields };
}

export class RealKubelet {
  readonly dataDir: string;
  readonly client: Client = createClient(createFakeApi(realClock));
  readonly #defaults: Partial<KubeletProcessOptions>;
  // Timers of the clock do not keep a process alive, and nothing else may be open while a test waits.
  readonly #keepAlive = setInterval(() => undefined, 1000);
  #runtime: NodeRuntime | undefined;
  #running: RunningKubelet | undefined;

  private constructor(dataDir: string, defaults: Partial<KubeletProcessOptions>) {
    this.dataDir = dataDir;
    this.#defaults = defaults;
  }

  /** Ready, with the image. `podRange`: "10.247", of its own. */
  static async start(podRange: string, options: Partial<KubeletProcessOptions> = {}): Promise<RealKubelet> {
    const bed = new RealKubelet(await mkdtemp(join(tmpdir(), "coracle-kubelet-")), options);
    try {
      const { dataDir, client } = bed;
      const clusterCidrs = [`${podRange}.0.0/16`];
      bed.#runtime = await startNodeRuntime({ dataDir, choice: "containerd", clusterCidrs, clock: realClock, logger });
      await bed.importImages(image);
      await bed.startKubelet();
      await until("the node is registered", async () => (await client.list(nodes)).items.length === 1);
      const podCIDR = `${podRange}.0.0/24`;
      await client.patch(nodes, { name: nodeName }, { spec: { podCIDR, podCIDRs: [podCIDR] } }, { type: "merge" });
      await bed.running.ready;
      return bed;
    } catch (error) {
      await bed.remove();
      throw error;
    }
  }

  get running(): RunningKubelet {
    if (!this.#running) throw new Error("the kubelet has not been started");
    return this.#running;
  }

  get runtime(): NodeRuntime {
    if (!this.#runtime) throw new Error("the runtime has not been started");
    return this.#runtime;
  }

  async importImages(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      // Not one image under two names: each is to be there for itself.
      const archive = await buildImage({ name, files: { "/name": name } });
      await withContainerd({ dataDir: this.dataDir }, { clock: realClock, log: logger }, (containerd) =>
        importImage({ ...containerd, clock: realClock }, archive),
      );
    }
  }

  async startKubelet(options: Partial<KubeletProcessOptions> = {}): Promise<void> {
    this.#running = await startKubelet(
      { client: this.client, runtime: this.runtime, clock: realClock, logger },
      {
        nodeName,
        rootDirectory: join(this.dataDir, "kubelet"),
        logsDirectory: join(this.dataDir, "pods", "logs"),
        cgroupRoot: podNetworkName(this.dataDir),
        evictionHard: {},
        ...this.#defaults,
        ...options,
      },
    );
  }

  /** Another kubelet in the place of the one that runs. */
  async restartKubelet(options: Partial<KubeletProcessOptions> = {}): Promise<void> {
    await this.running.stop();
    await this.startKubelet(options);
  }

  /** Of the node's condition; undefined before there is one. */
  async condition(type: string): Promise<string | undefined> {
    const { status } = await this.client.get(nodes, { name: nodeName });
    return status?.conditions?.find((c) => c.type === type)?.status;
  }

  async create(name: string, containers: readonly Container[], spec: Partial<PodSpec> = {}): Promise<Pod> {
    const full = { nodeName, terminationGracePeriodSeconds: 1, automountServiceAccountToken: false, ...spec, containers };
    const metadata = { name, namespace: "default" } as Pod["metadata"];
    return await this.client.create(pods, defaultPod({ apiVersion: "v1", kind: "Pod", metadata, spec: full }));
  }

  get(name: string): Promise<Pod> {
    return this.client.get(pods, { namespace: "default", name });
  }

  async untilPhase(name: string, phase: string): Promise<Pod> {
    return await until(`pod ${name} is ${phase}`, async () => {
      const pod = await this.get(name);
      return pod.status?.phase === phase ? pod : undefined;
    });
  }

  async delete(name: string): Promise<void> {
    await this.client.delete(pods, { namespace: "default", name });
    const isGone = async (): Promise<boolean> =>
      !(await this.client.list(pods, { namespace: "default" })).items.some((p) => p.metadata.name === name);
    await until(`pod ${name} is gone`, isGone);
  }

  async log(name: string, container = "main"): Promise<string> {
    const pieces: Uint8Array[] = [];
    const options = { follow: false, previous: false, timestamps: false };
    const of = { namespace: "default", pod: name, container };
    for await (const piece of await this.running.kubelet.access.containerLog(of, options, new AbortController().signal)) pieces.push(piece);
    return Buffer.concat(pieces).toString("utf8");
  }

  /** Ends everything; nothing is left of it. */
  async remove(): Promise<void> {
    clearInterval(this.#keepAlive);
    await this.#running?.stop();
    await this.#runtime?.stop();
    await takeDownNode(this.dataDir, logger);
    await unmountBelow(this.dataDir);
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
