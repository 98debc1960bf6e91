// Takes the tracking finalizer off a pod.
import { isStatus } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Client } from "../../client/client.ts";
import { isTracked, trackingFinalizer } from "./job-facts.ts";

/** The pod without the finalizer; undefined where the pod is gone. */
export async function releasePod(client: Client, pod: Pod, signal: AbortSignal): Promise<Pod | undefined> {
  if (!isTracked(pod)) return pod;
  const { namespace, name, uid } = pod.metadata;
  const patch = { metadata: { uid, "$deleteFromPrimitiveList/finalizers": [trackingFinalizer] } };
  try {
    return await client.patch(pods, { namespace, name }, patch, { type: "strategic", signal });
  } catch (error) {
    if (isStatus(error, "NotFound", "Conflict")) return undefined;
    throw new Error(`releasing pod ${namespace}/${name}`, { cause: error });
  }
}
