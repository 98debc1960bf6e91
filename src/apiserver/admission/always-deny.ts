// AlwaysDeny: refuses every write. For tests of what happens then.
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { refuse } from "./refusal.ts";

export function createAlwaysDeny(): AdmissionPlugin {
  const deny = (request: AdmissionRequest): never => {
    throw refuse(request, "admission control is denying all modifications");
  };
  return { name: "AlwaysDeny", handles: () => true, admit: deny, validate: deny };
}
