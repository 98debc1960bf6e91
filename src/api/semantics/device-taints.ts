// Taints of devices, and what claims tolerate: the scheduler, which keeps claims off such devices, and the controller that
// ends pods agree on it.
import type { Device, DeviceTaint, DeviceToleration } from "../types/resource-v1.ts";

export function toleratesDeviceTaint(toleration: DeviceToleration, taint: DeviceTaint): boolean {
  const { effect, key, operator = "Equal", value = "" } = toleration;
  if (effect && effect !== taint.effect) return false;
  if (key && key !== taint.key) return false;
  return operator === "Exists" || (operator === "Equal" && value === (taint.value ?? ""));
}

/** Whether a device must not be given to a claim with these tolerations. Effects other than the two known ones do nothing. */
export const keepsClaimsOff = ({ taints = [] }: Pick<Device, "taints">, tolerations: readonly DeviceToleration[] = []): boolean =>
  taints.some(
    (taint) =>
      (taint.effect === "NoSchedule" || taint.effect === "NoExecute") &&
      !tolerations.some((toleration) => toleratesDeviceTaint(toleration, taint)),
  );
