// Taints that the control plane puts on nodes and takes away again: decided as a difference, written so that a change by
// someone else in between is never lost.
import { isStatus } from "../api/meta/status-error.ts";
import { nodes } from "../api/resources.generated.ts";
import { isSameTaint } from "../api/semantics/taints.ts";
import type { Node, Taint } from "../api/types/core-v1.ts";
import { type Clock, formatTime } from "../base/clock.ts";
import type { Client } from "../client/client.ts";

export interface TaintChange {
  readonly add: readonly Taint[];
  readonly remove: readonly Taint[];
}

/** What makes the taints among `current` that `isOurs` recognises into those that are `wanted`; undefined when they are. */
export function taintChange(
  current: readonly Taint[],
  wanted: readonly Taint[],
  isOurs: (taint: Taint) => boolean,
): TaintChange | undefined {
  const add = wanted.filter((taint) => !current.some((known) => isSameTaint(known, taint)));
  const remove = current.filter((known) => isOurs(known) && !wanted.some((taint) => isSameTaint(known, taint)));
  return add.length === 0 && remove.length === 0 ? undefined : { add, remove };
}

const maxTries = 5;

export interface ChangeTaintsOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Changes a node's taints; a node that is gone is fine. */
export async function changeTaints(name: string, { add, remove }: TaintChange, options: ChangeTaintsOptions): Promise<void> {
  const { client, clock, signal } = options;
  const timeAdded = formatTime(clock.now());
  for (let attempt = 1; ; attempt++) {
    try {
      const node: Node = await client.get(nodes, { name }, { signal });
      const current = node.spec?.taints ?? [];
      const kept = current.filter((taint) => ![...add, ...remove].some((changed) => isSameTaint(changed, taint)));
      const added = add.map((taint) => current.find((known) => isSameTaint(known, taint)) ?? { ...taint, timeAdded });
      const taints = [...kept, ...added];
      if (taints.length === current.length && taints.every((taint) => current.includes(taint))) return;
      const { resourceVersion } = node.metadata;
      const patch = { metadata: { resourceVersion }, spec: { taints: taints.length > 0 ? taints : null } };
      await client.patch(nodes, { name }, patch, { type: "merge", signal });
      return;
    } catch (error) {
      if (isStatus(error, "NotFound")) return;
      if (!isStatus(error, "Conflict") || attempt >= maxTries) throw error;
    }
  }
}
