// Defaults of flow control. A zero in these fields means that nothing was said, as in Go, where the field is no pointer.
import type { FlowSchema, PriorityLevelConfiguration, QueuingConfiguration } from "../types/flowcontrol-v1.ts";
import { change, fill } from "./fill.ts";

const matchingPrecedence = 1000;
const concurrencyShares = 30;
const queuing: QueuingConfiguration = { queues: 64, handSize: 8, queueLengthLimit: 50 };

export const defaultFlowSchema = (schema: FlowSchema): FlowSchema =>
  change(schema, "spec", (spec) => (spec.matchingPrecedence ? spec : { ...spec, matchingPrecedence }));

function defaultQueuing(given: QueuingConfiguration): QueuingConfiguration {
  const { queues, handSize, queueLengthLimit } = given;
  if (queues && handSize && queueLengthLimit) return given;
  return {
    queues: queues || (queuing.queues ?? 0),
    handSize: handSize || (queuing.handSize ?? 0),
    queueLengthLimit: queueLengthLimit || (queuing.queueLengthLimit ?? 0),
  };
}

export function defaultPriorityLevel(level: PriorityLevelConfiguration): PriorityLevelConfiguration {
  return change(level, "spec", (given) => {
    const spec = change(given, "exempt", (exempt) => fill(exempt, { nominalConcurrencyShares: 0, lendablePercent: 0 }));
    return change(spec, "limited", (limited) =>
      change(fill(limited, { nominalConcurrencyShares: concurrencyShares, lendablePercent: 0 }), "limitResponse", (response) =>
        change(response, "queuing", defaultQueuing),
      ),
    );
  });
}
