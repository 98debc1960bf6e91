// DenyServiceExternalIPs: services may keep or drop the external addresses they have, but take no new ones, with which they
// could catch traffic that is meant for others.
import { services } from "../../api/resources.generated.ts";
import type { Service } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

export function createDenyServiceExternalIPs(): AdmissionPlugin {
  return {
    name: "DenyServiceExternalIPs",
    only: [services],
    handles: (request) => (request.operation === "CREATE" || request.operation === "UPDATE") && isAbout(request, services),
    validate(request) {
      const wanted = (request.object as Service).spec?.externalIPs ?? [];
      const had = new Set((request.oldObject as Service | undefined)?.spec?.externalIPs);
      if (wanted.some((ip) => !had.has(ip))) throw refuse(request, "Use of external IPs is denied by admission control");
    },
  };
}
