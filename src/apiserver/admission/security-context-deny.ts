// SecurityContextDeny: pods may not choose users, groups and SELinux labels. Upstream removed it in favour of PodSecurity; it is
// here for configurations that still name it, with the texts it had, and off by default.
import { forbidden, type StatusError } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAbout } from "./refusal.ts";

const ofPods = {
  supplementalGroups: "SupplementalGroups",
  seLinuxOptions: "SELinuxOptions",
  runAsUser: "RunAsUser",
  fsGroup: "FSGroup",
} as const;
const ofContainers = { seLinuxOptions: "SELinuxOptions", runAsUser: "RunAsUser" } as const;

export function createSecurityContextDeny(): AdmissionPlugin {
  return {
    name: "SecurityContextDeny",
    handles: (request) =>
      (request.operation === "CREATE" || request.operation === "UPDATE") &&
      (isAbout(request, pods) || isAbout(request, pods, "ephemeralcontainers")),
    validate(request) {
      const { spec, metadata } = request.object as Pod;
      const refuse = (what: string): StatusError => forbidden(pods, metadata.name ?? "", `${what} is forbidden`);
      const chosen = firstChosen(spec.securityContext, ofPods);
      if (chosen !== undefined) throw refuse(`pod.Spec.SecurityContext.${chosen}`);
      for (const { securityContext } of [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]) {
        const field = firstChosen(securityContext, ofContainers);
        if (field !== undefined) throw refuse(`SecurityContext.${field}`);
      }
    },
  };
}

function firstChosen(context: object | undefined, fields: Readonly<Record<string, string>>): string | undefined {
  const values = (context ?? {}) as Readonly<Record<string, unknown>>;
  return Object.entries(fields).find(([name]) => values[name] !== undefined && values[name] !== null)?.[1];
}
