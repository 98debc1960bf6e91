// A namespace of one test on a shared cluster: pods made from shell scripts, what they become, and what they print. What a
// test is about goes through kubectl; waiting goes through a client of our own, which is quicker than a kubectl per look.

import type { New } from "../../src/api/meta/object.ts";
import { configmaps, events, namespaces, pods, secrets, serviceaccounts } from "../../src/api/resources.generated.ts";
import type { ContainerStatus, Pod } from "../../src/api/types/core-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import type { Client } from "../../src/client/client.ts";
import { type ClusterClient, connectToCluster } from "../../src/cmd/component/connect.ts";
import type { TestImage } from "../../src/testing/image-builder.ts";
import { Cluster } from "./cluster.ts";
import { type CommandResult, type RunOptions, until } from "./processes.ts";

/** Has busybox and nothing else. */
export const box: TestImage = { name: "example.test/box:1" };

/** Runs until it is told to end, and ends at once then. */
export const idle = "trap 'exit 0' TERM; sleep 3600 & wait";

/** Part of a manifest, as a person writes it: what is wrong in it is the server's to say. */
export type Manifest = Readonly<Record<string, unknown>>;

/** A container of the box that runs a script. */
export function shell(script: string, fields: Manifest = {}): Manifest {
  return { name: "main", image: box.name, command: ["/bin/sh", "-c", script], ...fields };
}

/** The cluster of a test file, with the box imported, and a client to look at it with. */
export class TestBed {
  readonly cluster: Cluster;
  readonly #connection: ClusterClient;

  private constructor(cluster: Cluster, connection: ClusterClient) {
    this.cluster = cluster;
    this.#connection = connection;
  }

  /** `args`: further flags of `up`, or what makes them of the cluster's own addresses. */
  static async start(name: string, args: readonly string[] | ((cluster: Cluster) => readonly string[]) = []): Promise<TestBed> {
    const cluster = await Cluster.prepare(name, typeof args === "function" ? [] : args);
    try {
      await cluster.start(typeof args === "function" ? args(cluster) : []);
      await cluster.importImages(box);
      return new TestBed(cluster, await connectToCluster({ kubeconfig: cluster.kubeconfig, clock: realClock }));
    } catch (error) {
      await cluster.remove();
      throw error;
    }
  }

  get client(): Client {
    return this.#connection.client;
  }

  async remove(): Promise<void> {
    await this.#connection.close();
    await this.cluster.remove();
  }

  /** A new namespace, once pods can be made in it. */
  async namespace(name: string): Promise<TestNamespace> {
    await this.client.create(namespaces, { metadata: { name }, spec: {} });
    await until(`the default service account of ${name}`, async () => {
      const { items } = await this.client.list(serviceaccounts, { namespace: name });
      return items.some((account) => account.metadata.name === "default");
    });
    return new TestNamespace(this, name);
  }
}

export class TestNamespace {
  readonly name: string;
  readonly client: Client;
  readonly #cluster: Cluster;

  constructor(bed: TestBed, name: string) {
    this.name = name;
    this.client = bed.client;
    this.#cluster = bed.cluster;
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return this.#cluster.kubectl("-n", this.name, ...args);
  }

  /** Also for commands that are to fail. */
  tryKubectl(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    return this.#cluster.tryKubectl(["-n", this.name, ...args], options);
  }

  /** `kubectl apply`, of objects that get the namespace. */
  async apply(...objects: readonly (Manifest & { readonly metadata: object })[]): Promise<string> {
    return this.#cluster.apply(...objects.map((o) => ({ ...o, metadata: { namespace: this.name, ...o.metadata } })));
  }

  /** A pod of the containers; ended within a second when it is deleted, unless its fields say otherwise. */
  async pod(name: string, containers: Manifest | readonly Manifest[], { labels, annotations, ...spec }: Manifest = {}): Promise<void> {
    const object = {
      metadata: { name, namespace: this.name, labels, annotations },
      spec: { terminationGracePeriodSeconds: 1, containers: [containers].flat(), ...spec },
    };
    await this.client.create(pods, object as unknown as New<Pod>); // a manifest
  }

  async configMap(name: string, data: Record<string, string>): Promise<void> {
    await this.client.create(configmaps, { metadata: { name, namespace: this.name }, data });
  }

  async secret(name: string, data: Record<string, string>): Promise<void> {
    await this.client.create(secrets, { metadata: { name, namespace: this.name }, stringData: data });
  }

  getPod(name: string): Promise<Pod> {
    return this.client.get(pods, { namespace: this.name, name });
  }

  /** The pod, once the condition holds. */
  async untilPod(name: string, what: string, holds: (pod: Pod) => boolean | undefined, timeoutMs = 60_000): Promise<Pod> {
    let last: Pod | undefined;
    try {
      return await until(
        `pod ${name} ${what}`,
        async () => {
          last = await this.getPod(name);
          return holds(last) ? last : undefined;
        },
        timeoutMs,
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${JSON.stringify(last?.status, undefined, 1)}\n${await this.eventTexts(name)}`);
    }
  }

  untilReady(name: string): Promise<Pod> {
    return this.untilPod(name, "is ready", isReady);
  }

  untilPhase(name: string, phase: string): Promise<Pod> {
    return this.untilPod(name, `is ${phase}`, (pod) => pod.status?.phase === phase);
  }

  /** Waits for a container's waiting reason, such as CrashLoopBackOff. */
  untilWaiting(name: string, reason: string, container = "main"): Promise<Pod> {
    return this.untilPod(name, `waits for ${reason}`, (pod) => statusOf(pod, container)?.state?.waiting?.reason === reason);
  }

  untilGone(name: string, timeoutMs?: number): Promise<true> {
    const gone = async () => !(await this.client.list(pods, { namespace: this.name })).items.some((p) => p.metadata.name === name);
    return until(`pod ${name} is gone`, async () => ((await gone()) ? true : undefined), timeoutMs);
  }

  /** What a container of the pod has printed, once the pod is over. */
  async output(name: string, container = "main"): Promise<string> {
    await this.untilPod(name, "has ended", (pod) => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed");
    return this.kubectl("logs", name, "-c", container);
  }

  /** Waits for text in a container's log. */
  untilLog(name: string, text: string | RegExp, container = "main"): Promise<string> {
    return until(`${text} in the log of ${name}`, async () => {
      const log = await this.kubectl("logs", name, "-c", container);
      return (typeof text === "string" ? log.includes(text) : text.test(log)) ? log : undefined;
    });
  }

  async exec(name: string, script: string, container = "main"): Promise<string> {
    return this.kubectl("exec", name, "-c", container, "--", "/bin/sh", "-c", script);
  }

  /** "Type Reason: message" of the events of the pod, or of any object of that name. */
  async eventTexts(name: string): Promise<string> {
    const { items } = await this.client.list(events, { namespace: this.name, fieldSelector: `involvedObject.name=${name}` });
    return items.map((e) => `${e.type} ${e.reason}: ${e.message}`).join("\n");
  }

  /** Events arrive some time after what they tell of. */
  async untilEvent(name: string, text: RegExp): Promise<void> {
    let last = "";
    const seen = async () => text.test((last = await this.eventTexts(name)));
    await until(`event ${text} of ${name}`, seen).catch((error: Error) => {
      throw new Error(`${error.message}\n${last}`);
    });
  }
}

export function statusOf(pod: Pod, container = "main"): ContainerStatus | undefined {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  return [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find((s) => s.name === container);
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") === true;
}

/** What `kubectl get pod` prints in its STATUS column. */
export async function statusColumn(space: TestNamespace, pod: string): Promise<string | undefined> {
  return (await space.kubectl("get", "pod", pod, "--no-headers")).trim().split(/ +/)[2];
}
