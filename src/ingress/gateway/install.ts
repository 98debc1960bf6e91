// Gives a cluster the Gateway API: the definitions that it has not, and a class of ours. What somebody else has installed stays.
import { isStatus } from "../../api/meta/status-error.ts";
import { customresourcedefinitions } from "../../api/resources.generated.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import { gatewayDefinitions } from "./gateway-definitions.ts";
import { gatewayControllerName } from "./gateway-plan.ts";
import { gatewayclasses } from "./gateway-types.ts";

/** Of the class that is made. */
export const gatewayClassName = "coracle";

const lookMs = 20;
const patienceMs = 10_000;

/** Resolves when the class is there. `client`: of an administrator. */
export async function installGatewayApi(client: Client, clock: Clock): Promise<void> {
  await Promise.all(
    gatewayDefinitions.map(async (definition) => {
      await unlessThere(client.create(customresourcedefinitions, definition));
      await untilServed(client, clock, definition.metadata.name ?? "");
    }),
  );
  const spec = { controllerName: gatewayControllerName };
  await unlessThere(client.create(gatewayclasses, { metadata: { name: gatewayClassName }, spec }));
}

async function untilServed(client: Client, clock: Clock, name: string): Promise<void> {
  const endMs = clock.monotonic() + patienceMs;
  for (;;) {
    const { status } = await client.get(customresourcedefinitions, { name });
    if (isConditionTrue(status?.conditions, "Established")) return;
    if (clock.monotonic() > endMs) throw new Error(`the definition ${name} is not accepted: ${JSON.stringify(status?.conditions)}`);
    await clock.sleep(lookMs);
  }
}

async function unlessThere(making: Promise<unknown>): Promise<void> {
  try {
    await making;
  } catch (error) {
    if (!isStatus(error, "AlreadyExists")) throw error;
  }
}
