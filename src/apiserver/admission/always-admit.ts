// AlwaysAdmit: has nothing to say. Upstream keeps the name for command lines that still have it.
import type { AdmissionPlugin } from "./admission.ts";

export function createAlwaysAdmit(): AdmissionPlugin {
  return { name: "AlwaysAdmit", handles: () => false };
}
