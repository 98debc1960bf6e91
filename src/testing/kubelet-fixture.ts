// A kubelet on a simulated runtime, a small API in memory and a clock that stands still: what the tests of the whole loop
// share.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultPod } from "../api/defaults/pod.ts";
import { pods, serviceaccounts } from "../api/resources.generated.ts";
import type { Container, Pod, PodSpec } from "../api/types/core-v1.ts";
import { realClock, VirtualClock } from "../base/clock.ts";
import { type Logger, silentLogger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { CriRuntime } from "../cri/cri.ts";
import { createSimulatedRuntime, type SimulatedRuntime, type SimulatedRuntimeOptions } from "../cri/simulated.ts";
import { createKubelet, type Kubelet, type KubeletDependencies } from "../kubelet/kubelet.ts";
import type { KubeletOptions } from "../kubelet/options.ts";
import type { HostMounts, VolumePlugin } from "../kubelet/volumes/volume-manager.ts";
import { createFakeApi, type FakeApi } from "./fake-api.ts";

export interface RecordedEvent {
  readonly about: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

export interface KubeletFixture extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly api: FakeApi;
  readonly client: Client;
  readonly cri: SimulatedRuntime;
  readonly directory: string;
  readonly events: readonly RecordedEvent[];
  kubelet: Kubelet;
  /** Another kubelet on the same runtime, disk and API, after the first has been stopped. */
  restart(): Promise<void>;
  /** Binds a pod of one container (or of this specification) to the node. */
  createPod(name: string, spec?: Partial<PodSpec>): Promise<Pod>;
  pod(name: string): Promise<Pod | undefined>;
  /** Lets time pass in small steps until the condition holds; fails after `limitMs` of virtual time. */
  until(condition: () => Promise<boolean>, limitMs?: number): Promise<void>;
  untilPhase(name: string, phase: string, limitMs?: number): Promise<Pod>;
  reasons(about: string): readonly string[];
}

export interface FixtureOptions {
  readonly runtime?: Partial<SimulatedRuntimeOptions>;
  readonly options?: Partial<KubeletOptions>;
  readonly deps?: Partial<KubeletDependencies>;
  readonly logger?: Logger;
  readonly plugins?: (client: Client) => readonly VolumePlugin[];
  /** Changes what the kubelet sees of the runtime. */
  readonly wrapRuntime?: (cri: SimulatedRuntime) => CriRuntime;
  /** Changes what the kubelet sees of the API. */
  readonly wrapClient?: (client: Client, now: () => number) => Client;
}

export const nodeName = "n1";

export function container(fields: Partial<Container> = {}): Container {
  return { name: "main", image: "busybox:1", ...fields };
}

/** Remembers what would be mounted: tests need no privileges. */
export function fakeMounts(): HostMounts & { readonly mounted: ReadonlySet<string> } {
  const mounted = new Set<string>();
  return {
    mounted,
    async mountTmpfs(target) {
      await mkdir(target, { recursive: true });
      mounted.add(target);
    },
    mountHugePages: async (target) => void mounted.add(target),
    unmount: async (target) => void mounted.delete(target),
    mountDevice: async (_device, target) => void (await mkdir(target, { recursive: true })),
    unmountBelow: async (directory) => {
      for (const target of [...mounted]) if (target.startsWith(directory)) mounted.delete(target);
    },
    isMounted: async (target) => mounted.has(target),
  };
}

export async function startKubelet(given: FixtureOptions = {}): Promise<KubeletFixture> {
  const clock = new VirtualClock();
  const directory = await mkdtemp(join(tmpdir(), "coracle-kubelet-"));
  const api = createFakeApi(clock);
  const client = createClient(api);
  const cri = createSimulatedRuntime({ clock, images: ["busybox:1"], imageDirectory: directory, ...given.runtime });
  const events: RecordedEvent[] = [];
  const recorder: EventRecorder = {
    record(about, event) {
      const name = "metadata" in about ? about.metadata.name : about.name;
      events.push({ about: name ?? "", type: event.type, reason: event.reason, message: event.message });
    },
  };
  const mounts = fakeMounts();
  const make = (): Kubelet =>
    createKubelet(
      {
        client: given.wrapClient?.(client, () => clock.now()) ?? client,
        cri: given.wrapRuntime?.(cri) ?? cri,
        clock,
        recorder,
        mounts,
        logger: given.logger ?? silentLogger,
        ...(given.plugins ? { volumePlugins: given.plugins(client) } : {}),
        ...given.deps,
      },
      {
        nodeName,
        rootDirectory: join(directory, "root"),
        nodeIPs: ["192.0.2.1"],
        clusterDns: ["10.96.0.10"],
        // Nothing that looks at the machine by itself; tests of that switch it on.
        ...{ evictionHard: {}, localStorageCapacityIsolation: false, imageGCHighThresholdPercent: 100 },
        ...given.options,
      },
    );
  await client.create(serviceaccounts, { metadata: { name: "default", namespace: "default" } });
  const fixture: KubeletFixture = {
    ...{ clock, api, client, cri, directory, events },
    kubelet: make(),
    async restart() {
      await fixture.kubelet.stop();
      fixture.kubelet = make();
      await fixture.kubelet.start();
      await clock.advance(100);
    },
    createPod: async (name, spec = {}) => {
      const full = { containers: [container()], nodeName, restartPolicy: "Always" as const, ...spec };
      const pod = defaultPod({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default" } as Pod["metadata"], spec: full });
      return await client.create(pods, pod);
    },
    pod: async (name) => {
      const { items } = await client.list(pods, { namespace: "default" });
      return items.find((p) => p.metadata.name === name);
    },
    async until(condition, limitMs = 120_000) {
      const endMs = clock.now() + limitMs;
      while (!(await condition())) {
        if (clock.now() >= endMs) throw new Error(`the condition does not hold after ${limitMs} ms`);
        // Files are written in real time, however still the clock stands.
        await realClock.sleep(1);
        await clock.advance(50);
      }
    },
    async untilPhase(name, phase, limitMs) {
      let found: Pod | undefined;
      await fixture.until(async () => {
        found = await fixture.pod(name);
        return found?.status?.phase === phase;
      }, limitMs);
      return found as Pod;
    },
    reasons: (about) => events.filter((e) => e.about === about).map((e) => e.reason),
    async [Symbol.asyncDispose]() {
      await fixture.kubelet.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    await fixture.kubelet.start();
  } catch (error) {
    await fixture[Symbol.asyncDispose]();
    throw error;
  }
  await clock.advance(100);
  return fixture;
}
