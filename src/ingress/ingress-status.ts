// Writes into the status of Ingress objects where they can be reached: the addresses of this machine as its node has them, or
// those it has been told. One of several copies does this.
import { semanticallyEqual } from "../api/meta/equality.ts";
import { keyOf } from "../api/meta/object.ts";
import { ingresses } from "../api/resources.generated.ts";
import type { Node } from "../api/types/core-v1.ts";
import type { Ingress, IngressClass } from "../api/types/networking-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { Informer } from "../client/informer.ts";
import { createWorkQueue, type RequeueAfter } from "../client/work-queue.ts";

export interface IngressStatusDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ingresses: Informer<Ingress>;
  readonly classes: Informer<IngressClass>;
  readonly nodes: Informer<Node>;
  readonly machineAddresses: () => Promise<readonly string[]>;
}

export interface IngressStatusOptions {
  readonly isOurs: (ingress: Ingress) => boolean;
  readonly isListening: () => boolean;
  /** Default those of this machine's node. */
  readonly addresses?: readonly string[];
}

const deadlineMs = 30_000;
/** While there is no address, or no port. */
const waitMs = 1_000;

export function startIngressStatus(deps: IngressStatusDeps, options: IngressStatusOptions): Running {
  const { client, clock, logger, ingresses: informer, nodes, classes, machineAddresses } = deps;
  const addressesNow = async (): Promise<readonly string[]> =>
    options.addresses ?? addressesOfMachine(nodes.list(), await machineAddresses());
  const process = async (key: string, signal: AbortSignal): Promise<RequeueAfter | undefined> => {
    const ingress = informer.get(key);
    if (!ingress || !options.isOurs(ingress)) return undefined;
    const addresses = options.isListening() ? await addressesNow() : [];
    if (addresses.length === 0) return { requeueAfterMs: waitMs };
    const wanted = addresses.map((address) => (isAddress(address) ? { ip: address } : { hostname: address }));
    if (semanticallyEqual(ingress.status?.loadBalancer?.ingress ?? [], wanted)) return undefined;
    await client.updateStatus(ingresses, { ...ingress, status: { ...ingress.status, loadBalancer: { ingress: wanted } } }, { signal });
    return undefined;
  };
  const queue = createWorkQueue({ name: "ingress-status", clock, logger, workers: 2, deadlineMs, process });
  const stack = new StopStack();
  const tell = (ingress: Ingress): void => queue.add(keyOf(ingress));
  const all = (): void => {
    for (const ingress of informer.list()) tell(ingress);
  };
  const onNode = (now: Node, before: Node): void => void (semanticallyEqual(now.status?.addresses, before.status?.addresses) || all());
  const handlers = [
    informer.addHandler({ onAdd: tell, onUpdate: tell }),
    classes.addHandler({ onAdd: all, onUpdate: all }),
    nodes.addHandler({ onAdd: all, onUpdate: onNode, onDelete: all }),
  ];
  for (const handler of handlers) stack.defer(() => handler.remove());
  stack.add(queue);
  queue.start();
  return stack;
}

/** InternalIP addresses of the node that this machine is: nodes of the same machine in namespaces of their own are others. */
export function addressesOfMachine(nodes: Iterable<Node>, machineAddresses: readonly string[]): readonly string[] {
  const found = new Set<string>();
  for (const { status } of nodes) {
    const internal = (status?.addresses ?? []).flatMap(({ type, address }) => (type === "InternalIP" ? [address] : []));
    if (internal.some((address) => machineAddresses.includes(address))) for (const address of internal) found.add(address);
  }
  return [...found].sort();
}

const isAddress = (text: string): boolean => text.includes(":") || /^[\d.]+$/.test(text);
