// What drivers say about the health of their devices. What has not been said again in time is not known any more. Kept in
// upstream's file dra_health_state.
import type { ResourceHealth } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { CheckpointFormat } from "../resize/checkpoint.ts";
import type { DeviceHealth } from "./generated/dra-health-v1alpha1.ts";

export type Health = "Healthy" | "Unhealthy" | "Unknown";

interface HealthState {
  readonly PoolName: string;
  readonly DeviceName: string;
  readonly Health: Health;
  /** RFC 3339. */
  readonly LastUpdated: string;
  /** Nanoseconds. */
  readonly HealthCheckTimeout: number;
  readonly Message: string;
}

/** By driver, then by "pool/device". */
export type HealthStates = Readonly<Record<string, { readonly Devices: Readonly<Record<string, HealthState>> }>>;

const names = { HEALTHY: "Healthy", UNHEALTHY: "Unhealthy", UNKNOWN: "Unknown" } as const;
const defaultTimeoutSeconds = 30;
const maxMessage = 1024;

const keyOf = (pool: string, device: string): string => `${pool}/${device}`;

export class DeviceHealths {
  readonly #clock: Pick<Clock, "now">;
  readonly #drivers = new Map<string, Map<string, HealthState>>();

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  restore(states: HealthStates): void {
    for (const [driver, { Devices }] of Object.entries(states)) this.#drivers.set(driver, new Map(Object.entries(Devices)));
  }

  get states(): HealthStates {
    return Object.fromEntries([...this.#drivers].map(([driver, devices]) => [driver, { Devices: Object.fromEntries(devices) }]));
  }

  /** The devices ("pool/device") of which something else is known now. */
  told(driver: string, devices: readonly DeviceHealth[]): ReadonlySet<string> {
    const known = this.#drivers.get(driver) ?? new Map<string, HealthState>();
    this.#drivers.set(driver, known);
    const changed = new Set<string>();
    const told = new Set<string>();
    for (const each of devices) {
      const state = this.#stateOf(each);
      const key = keyOf(state.PoolName, state.DeviceName);
      const before = known.get(key);
      told.add(key);
      if (before?.Health !== state.Health || before.Message !== state.Message || before.HealthCheckTimeout !== state.HealthCheckTimeout)
        changed.add(key);
      known.set(key, state);
    }
    for (const [key, state] of known) {
      if (told.has(key) || state.Health === "Unknown" || !this.#isStale(state)) continue;
      known.set(key, { ...state, Health: "Unknown", Message: "" });
      changed.add(key);
    }
    return changed;
  }

  #stateOf({ device, health, healthCheckTimeoutSeconds: seconds, message }: DeviceHealth): HealthState {
    return {
      PoolName: device?.poolName ?? "",
      DeviceName: device?.deviceName ?? "",
      Health: names[health],
      LastUpdated: new Date(this.#clock.now()).toISOString(),
      HealthCheckTimeout: (seconds > 0 ? seconds : defaultTimeoutSeconds) * 1e9,
      Message: message.length > maxMessage ? `${message.slice(0, maxMessage - 3)}...` : message,
    };
  }

  #isStale({ LastUpdated, HealthCheckTimeout }: HealthState): boolean {
    return this.#clock.now() - Date.parse(LastUpdated) > HealthCheckTimeout / 1e6;
  }

  /** Whether anything was known. */
  forget(driver: string): boolean {
    return this.#drivers.delete(driver);
  }

  of(driver: string, pool: string, device: string): Pick<ResourceHealth, "health" | "message"> {
    const state = this.#drivers.get(driver)?.get(keyOf(pool, device));
    if (!state || this.#isStale(state)) return { health: "Unknown" };
    return { health: state.Health, ...(state.Message === "" ? {} : { message: state.Message }) };
  }
}

export const healthFormat: CheckpointFormat<HealthStates> = {
  encode: (states) => JSON.stringify(states),
  decode: (text) => JSON.parse(text) as HealthStates,
};
