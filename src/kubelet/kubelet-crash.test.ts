// The kubelet is killed before each of the calls by which it starts or ends a pod, and another one takes over: whatever the
// first one had done is found, nothing is started twice, nothing is left behind.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pods } from "../api/resources.generated.ts";
import type { PodSpec } from "../api/types/core-v1.ts";
import type { RuntimeService } from "../cri/generated/runtime-v1.ts";
import { RpcError } from "../rpc/rpc-error.ts";
import { container, type KubeletFixture, startKubelet } from "../testing/kubelet-fixture.ts";

type Method = keyof RuntimeService;

const changing: ReadonlySet<Method> = new Set<Method>([
  "runPodSandbox",
  "createContainer",
  "startContainer",
  "stopContainer",
  "removeContainer",
  "stopPodSandbox",
  "removePodSandbox",
]);

/** A pod with an init container, a sidecar and two others, on images whose starts are counted. */
const spec: Partial<PodSpec> = {
  terminationGracePeriodSeconds: 1,
  initContainers: [container({ name: "init", image: "once:1" }), container({ name: "side", image: "app:1", restartPolicy: "Always" })],
  containers: [container({ image: "app:1" }), container({ name: "other", image: "app:1" })],
};

interface Victim {
  readonly f: KubeletFixture;
  /** By container name. */
  readonly starts: ReadonlyMap<string, number>;
  /** From now on the kubelet is killed before its next call but `after` that changes something. */
  killAfter(calls: number): void;
  /** Calls that changed something since killAfter; and the one at which it died, if it did. */
  readonly calls: readonly Method[];
  readonly dead: boolean;
  /** Another kubelet, which lives. */
  succeed(): Promise<void>;
}

async function victim(): Promise<Victim> {
  const starts = new Map<string, number>();
  const count = {
    run: ({ config }: { readonly config: { readonly metadata?: { readonly name: string } } }) => {
      const name = config.metadata?.name ?? "";
      starts.set(name, (starts.get(name) ?? 0) + 1);
    },
  };
  const calls: Method[] = [];
  let left = Infinity;
  let dead = false;
  const beforeCall = (method: Method): void => {
    if (changing.has(method) && !dead) {
      calls.push(method);
      dead = left-- <= 0;
    }
    if (dead) throw new RpcError("UNAVAILABLE", "the kubelet is dead");
  };
  const behaviours = { "app:1": count, "once:1": { ...count, exitAfterMs: 100 } };
  const f = await startKubelet({ runtime: { images: ["app:1", "once:1"], behaviours, beforeCall } });
  f.api.intercept = () => {
    if (dead) throw new Error("the kubelet is dead");
  };
  return {
    ...{ f, starts, calls },
    get dead() {
      return dead;
    },
    killAfter(n) {
      calls.length = 0;
      left = n;
    },
    async succeed() {
      await f.kubelet.stop();
      left = Infinity;
      dead = false;
      await f.restart();
    },
  };
}

const ready = async (f: KubeletFixture): Promise<boolean> => {
  const status = (await f.pod("web"))?.status;
  return status?.phase === "Running" && status.containerStatuses?.every((s) => s.ready) === true;
};

/** How many such calls an undisturbed life takes. */
async function callsOf(what: "start" | "end"): Promise<readonly Method[]> {
  const v = await victim();
  await using f = v.f;
  v.killAfter(Infinity);
  await f.createPod("web", spec);
  await f.until(() => ready(f));
  if (what === "start") return [...v.calls];
  v.killAfter(Infinity);
  await f.client.delete(pods, { namespace: "default", name: "web" });
  await f.until(async () => (await f.cri.listPodSandbox({})).items.length === 0);
  return [...v.calls];
}

const starting = await callsOf("start");
const ending = await callsOf("end");

describe("a kubelet that is killed while it starts a pod", () => {
  it.each(starting.map((method, i) => [i, method] as const))("before call %i, %s", async (i) => {
    const v = await victim();
    await using f = v.f;
    v.killAfter(i);
    await f.createPod("web", spec);
    // The clock runs on while it is dead: nothing happens any more.
    await f.until(async () => v.dead);
    await v.succeed();
    await f.until(() => ready(f));
    await f.clock.advance(60_000);
    expect(Object.fromEntries(v.starts)).toEqual({ init: 1, side: 1, main: 1, other: 1 });
    const { items } = await f.cri.listPodSandbox({});
    expect(items.map((s) => s.state)).toEqual(["SANDBOX_READY"]);
    const { containers } = await f.cri.listContainers({});
    const running = containers.filter((c) => c.state === "CONTAINER_RUNNING").map((c) => c.metadata?.name);
    expect(running.sort()).toEqual(["main", "other", "side"]);
    expect(containers.filter((c) => c.state === "CONTAINER_CREATED")).toEqual([]);
  });
});

describe("a runtime whose answer is lost after it has done what it was asked", () => {
  it.each(starting.map((method, i) => [i, method] as const))("of call %i, %s", async (i) => {
    const v = await victim();
    await using f = v.f;
    v.killAfter(Infinity);
    for (const method of changing) {
      const call = (f.cri[method] as (...args: unknown[]) => Promise<unknown>).bind(f.cri); // all have this shape
      const losing = async (...args: unknown[]): Promise<unknown> => {
        const answer = await call(...args);
        if (v.calls.length !== i + 1) return answer;
        unlisted = 5;
        throw new RpcError("UNAVAILABLE", "connection dropped");
      };
      Object.assign(f.cri, { [method]: losing });
    }
    // The next listings fail too: what was done is seen only by who looks at the pod.
    let unlisted = 0;
    const listAll = f.cri.listPodSandbox.bind(f.cri);
    const listing: typeof listAll = (request, options) => {
      if (!request.filter && unlisted-- > 0) throw new RpcError("UNAVAILABLE", "no connection");
      return listAll(request, options);
    };
    // biome-ignore lint/correctness/useYield: it has no events
    const noEvents = async function* (): AsyncGenerator<never> {
      throw new RpcError("UNIMPLEMENTED", "no events");
    };
    Object.assign(f.cri, { listPodSandbox: listing, getContainerEvents: noEvents });
    await f.restart();
    await f.createPod("web", spec);
    await f.until(async () => unlisted > 0);
    // So that it is tried again at once.
    await f.client.patch(pods, { namespace: "default", name: "web" }, { metadata: { labels: { tried: "again" } } }, { type: "merge" });
    await f.until(() => ready(f));
    await f.clock.advance(60_000);
    expect(Object.fromEntries(v.starts)).toEqual({ init: 1, side: 1, main: 1, other: 1 });
    const { items } = await f.cri.listPodSandbox({});
    expect(items.map((s) => s.state)).toEqual(["SANDBOX_READY"]);
    const { containers } = await f.cri.listContainers({});
    expect(containers.filter((c) => c.state === "CONTAINER_CREATED")).toEqual([]);
  });
});

describe("a kubelet that is killed while it ends a pod", () => {
  it.each(ending.map((method, i) => [i, method] as const))("before call %i, %s", async (i) => {
    const v = await victim();
    await using f = v.f;
    const pod = await f.createPod("web", spec);
    await f.until(() => ready(f));
    v.killAfter(i);
    await f.client.delete(pods, { namespace: "default", name: "web" });
    await f.until(async () => v.dead);
    await v.succeed();
    await f.until(async () => (await f.cri.listPodSandbox({})).items.length === 0 && (await f.pod("web")) === undefined);
    await f.until(async () => !(await readdir(join(f.directory, "root", "pods"))).includes(pod.metadata.uid));
    expect((await f.cri.listContainers({})).containers).toEqual([]);
    expect(Object.fromEntries(v.starts)).toEqual({ init: 1, side: 1, main: 1, other: 1 });
    await f.until(async () => (await readdir(join(f.directory, "root", "logs"))).length === 0);
  });
});
