// Whether memory has quality on this node, and which: the gate MemoryQoS with memoryThrottlingFactor and memoryReservationPolicy.
import { parseQuantity, quantityOf } from "../../api/meta/quantity.ts";
import type { FeatureGates } from "../configuration/feature-gates.ts";
import { allocatableOf, type Reservations } from "../node/node-allocatable.ts";
import type { MemoryQos, MemoryReservationPolicy } from "./memory-qos.ts";

export interface MemoryQosSettings {
  readonly gates: FeatureGates;
  readonly reservations: Reservations;
  readonly memoryThrottlingFactor: number;
  readonly memoryReservationPolicy: MemoryReservationPolicy;
}

/** Undefined without the gate. `memoryBytes`: the node's. */
export function memoryQosOf(settings: MemoryQosSettings, memoryBytes: number): MemoryQos | undefined {
  const { gates, reservations, memoryThrottlingFactor: throttlingFactor, memoryReservationPolicy: reservation } = settings;
  if (!gates.enabled("MemoryQoS")) return undefined;
  const { memory = "0" } = allocatableOf({ memory: quantityOf(memoryBytes, "BinarySI").toString() }, reservations);
  return { throttlingFactor, reservation, allocatableBytes: parseQuantity(memory).value() };
}
