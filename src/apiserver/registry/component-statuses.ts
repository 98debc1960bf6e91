// ComponentStatus, which `kubectl get componentstatuses` shows: whether the scheduler, the controllers and the store are well,
// found out when somebody asks. Components of this process are asked directly; those that are processes of their own at the
// ports where upstream's serve /healthz on this machine. The store is "etcd-0", and of several etcd servers each has a number.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { Clock } from "../../base/clock.ts";
import { plainGet } from "../../rpc/http-get.ts";
import { failureOf } from "../health.ts";
import type { Computed } from "./handler-types.ts";

/** By component: what is wrong with it, by the names of its checks; undefined for what is well. */
export type ComponentChecks = Map<string, () => ReadonlyMap<string, string | undefined>>;

export interface ComponentStatusDeps {
  readonly clock: Clock;
  /** Components of this process; more may come. */
  readonly components: ComponentChecks;
  /** Each asks one server of the store and rejects when it is not well. */
  readonly stores: readonly (() => Promise<void>)[];
  /** Where the components are that are not of this process. Default: where upstream's are. */
  readonly ports?: Readonly<Record<string, number>>;
}

const upstreamPorts: Readonly<Record<string, number>> = { scheduler: 10259, "controller-manager": 10257 };
const probeTimeoutMs = 20_000;

interface Health {
  readonly status: "True" | "False" | "Unknown";
  readonly message?: string;
  readonly error?: string;
}

const well: Health = { status: "True", message: "ok" };

export function componentStatuses({ clock, components, stores, ports = upstreamPorts }: ComponentStatusDeps): Computed {
  const probes = new Map<string, () => Promise<Health>>();
  for (const [name, port] of Object.entries(ports)) {
    probes.set(name, async () => {
      const own = components.get(name);
      return own ? ownHealth(own()) : servedHealth(`https://127.0.0.1:${port}/healthz`);
    });
  }
  for (const [i, check] of stores.entries()) probes.set(`etcd-${i}`, () => storeHealth(check, clock));
  const get = async (name: string): Promise<KubernetesObject | undefined> => {
    const health = await probes.get(name)?.();
    if (!health) return undefined;
    const status = { kind: "ComponentStatus", apiVersion: "v1", metadata: { name }, conditions: [{ type: "Healthy", ...health }] };
    return status as unknown as KubernetesObject; // it was never stored: no uid, no resource version
  };
  const list = async (): Promise<readonly KubernetesObject[]> => {
    const found = await Promise.all(Array.from(probes.keys(), get));
    return found.filter((status) => status !== undefined);
  };
  return { "/componentstatuses": { singular: "componentstatus", get, list } };
}

function ownHealth(problems: ReadonlyMap<string, string | undefined>): Health {
  const failing = [...problems].filter(([, problem]) => problem !== undefined);
  return failing.length === 0 ? well : { status: "False", message: failing.map(([name, problem]) => `${name}: ${problem}`).join("; ") };
}

async function servedHealth(url: string): Promise<Health> {
  try {
    const { status, body } = await plainGet(url, {
      timeoutMs: probeTimeoutMs,
      headers: { "user-agent": "kube-probe/1.36", accept: "*/*" },
    });
    if (status < 200 || status >= 400) return { status: "False", message: `HTTP probe failed with statuscode: ${status}` };
    return { status: "True", ...(body === "" ? {} : { message: body }) };
  } catch (error) {
    return { status: "False", message: error instanceof Error ? error.message : String(error) };
  }
}

async function storeHealth(check: () => Promise<void>, clock: Clock): Promise<Health> {
  const failure = await failureOf({ check }, clock, probeTimeoutMs);
  return failure === undefined ? well : { status: "False", error: failure };
}
