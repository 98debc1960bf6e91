// What the kubelet asks of systemd over the system bus, through busctl: to start a slice as a transient unit, to set its
// properties, to stop it. systemd owns the control groups of a machine it runs; a group it does not know of may lose its
// limits with the next reload.
import type { Clock } from "../base/clock.ts";
import { runCommand } from "./run-command.ts";

/** Of a unit, as the bus has it: signature and value. */
export type UnitProperty = readonly [name: string, signature: "b" | "s" | "t" | "as", value: string | number | boolean | readonly string[]];

export interface SystemdUnits {
  /** Resolves when it is active. Nothing happens where it is already. */
  startSlice(name: string, properties: readonly UnitProperty[]): Promise<void>;
  /** Until the machine is started again. */
  setProperties(name: string, properties: readonly UnitProperty[]): Promise<void>;
  /** Nothing happens where there is none. */
  stop(name: string): Promise<void>;
}

const service = "org.freedesktop.systemd1";
const manager = [service, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"] as const;
const activeTimeoutMs = 30_000;
const pollMs = 20;

export function createSystemdUnits(busctl: string, { clock }: { readonly clock: Clock }): SystemdUnits {
  const call = (method: string, ...args: readonly string[]) => runCommand(busctl, ["call", ...manager, method, ...args]);
  const isActive = async (name: string): Promise<boolean> => {
    const { stdout } = await call("LoadUnit", "s", name);
    const path = /"([^"]+)"/.exec(stdout)?.[1] ?? "";
    const state = await runCommand(busctl, ["get-property", service, path, "org.freedesktop.systemd1.Unit", "ActiveState"]);
    return state.stdout.includes('"active"');
  };
  return {
    async startSlice(name, properties) {
      try {
        await call("StartTransientUnit", "ssa(sv)a(sa(sv))", name, "replace", ...listed(properties), "0");
      } catch (error) {
        if (!has(error, "already exists", "already loaded")) throw error;
      }
      const deadlineMs = clock.monotonic() + activeTimeoutMs;
      while (!(await isActive(name))) {
        if (clock.monotonic() > deadlineMs) throw new Error(`systemd did not start ${name} within ${activeTimeoutMs} ms`);
        await clock.sleep(pollMs);
      }
    },
    async setProperties(name, properties) {
      if (properties.length > 0) await call("SetUnitProperties", "sba(sv)", name, "true", ...listed(properties));
    },
    async stop(name) {
      try {
        await call("StopUnit", "ss", name, "replace");
      } catch (error) {
        if (!has(error, "not loaded", "not found")) throw error;
      }
    },
  };
}

/** As busctl takes an array of structures: how many, then name, signature and value of each. */
function listed(properties: readonly UnitProperty[]): readonly string[] {
  const args = properties.flatMap(([name, signature, value]) => {
    const values = Array.isArray(value) ? [String(value.length), ...(value as readonly string[])] : [String(value)];
    return [name, signature, ...values];
  });
  return [String(properties.length), ...args];
}

const has = (error: unknown, ...parts: readonly string[]): boolean =>
  error instanceof Error && parts.some((part) => error.message.includes(part));
