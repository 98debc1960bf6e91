// Brings the default flow schemas and priority levels into being at start, and back every minute. The spec of a mandatory one is set right again
// whatever was done to it; that of a suggested one as long as its annotation says so, or, where somebody took the annotation
// away, as long as nobody has changed the spec.
import type { KubernetesObject, New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { jsonEqual } from "../../api/patch/json-patch.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { flowschemas, prioritylevelconfigurations } from "../../api/resources.generated.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import {
  autoUpdateAnnotation,
  mandatoryFlowSchemas,
  mandatoryPriorityLevels,
  suggestedFlowSchemas,
  suggestedPriorityLevels,
} from "./default-configuration.ts";

const fieldManager = "api-priority-and-fairness-config-producer-v1";

const periodMs = 60_000;

/** Sets them right again every minute, as upstream does: what is deleted or changed comes back. */
export function keepFlowControlDefaults(client: Client, deps: { readonly clock: Clock; readonly logger: Logger }): Running {
  let running = Promise.resolve();
  const timer = deps.clock.every(periodMs, () => {
    running = reconcileFlowControlDefaults(client).catch((error: unknown) =>
      deps.logger.warn("Flow control defaults not restored", { error }),
    );
  });
  return {
    async stop() {
      timer.cancel();
      await running;
    },
  };
}

interface WithSpec extends KubernetesObject {
  readonly spec: object;
}

/** Resolves when all defaults are there. Priority levels come first, so that no schema refers to one that is missing. */
export async function reconcileFlowControlDefaults(client: Client): Promise<void> {
  await reconcileKind(client, prioritylevelconfigurations, mandatoryPriorityLevels, suggestedPriorityLevels);
  await reconcileKind(client, flowschemas, mandatoryFlowSchemas, suggestedFlowSchemas);
}

async function reconcileKind<T extends WithSpec>(
  client: Client,
  type: ResourceType<T>,
  mandatory: readonly New<T>[],
  suggested: readonly New<T>[],
): Promise<void> {
  const { items } = await client.list(type);
  const found = new Map(items.map((item) => [item.metadata.name, item]));
  const ensure = (isMandatory: boolean) => (wanted: New<T>) => {
    const existing = found.get(wanted.metadata.name ?? "");
    return ensureOne(client, type, wanted, existing && revised(existing, wanted, isMandatory));
  };
  await Promise.all([...mandatory.map(ensure(true)), ...suggested.map(ensure(false))]);
}

/** The object as it should be; `unchanged` where it is. */
interface Revision<T> {
  readonly object: T;
  readonly unchanged: boolean;
}

function revised<T extends WithSpec>(existing: T, wanted: New<T>, isMandatory: boolean): Revision<T> {
  const { annotations, generation } = existing.metadata;
  const annotation = annotations?.[autoUpdateAnnotation];
  const follows = isMandatory || (annotation === "true" || annotation === "false" ? annotation === "true" : generation === 1);
  const sameSpec = !follows || jsonEqual(existing.spec, wanted.spec);
  if (sameSpec && annotation === String(follows)) return { object: existing, unchanged: true };
  const metadata = { ...existing.metadata, annotations: { ...annotations, [autoUpdateAnnotation]: String(follows) } };
  return { object: { ...existing, metadata, ...(sameSpec ? {} : { spec: wanted.spec }) }, unchanged: false };
}

async function ensureOne<T extends WithSpec>(
  client: Client,
  type: ResourceType<T>,
  wanted: New<T>,
  revision: Revision<T> | undefined,
): Promise<void> {
  if (revision?.unchanged) return;
  try {
    await (revision ? client.update(type, revision.object, { fieldManager }) : client.create(type, wanted, { fieldManager }));
  } catch (error) {
    // Another API server on the same store has done it meanwhile.
    if (!isStatus(error, "AlreadyExists", "Conflict", "NotFound")) throw error;
  }
}
