// DefaultIngressClass: an ingress without a class gets the one marked as the default.
import { ingressclasses, ingresses } from "../../api/resources.generated.ts";
import type { Ingress } from "../../api/types/networking-v1.ts";
import { type AdmissionPlugin, type AdmissionReader, loadedInformer } from "./admission.ts";
import { newestDefault } from "./newest-default.ts";
import { isAbout } from "./refusal.ts";

export function createDefaultIngressClass({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  return {
    name: "DefaultIngressClass",
    only: [ingresses],
    waitsFor: [ingressclasses],
    handles: (request) => request.operation === "CREATE" && isAbout(request, ingresses),
    async admit(request) {
      const ingress = request.object as Ingress;
      if (ingress.spec?.ingressClassName !== undefined) return ingress;
      if (ingress.metadata.annotations?.["kubernetes.io/ingress.class"] !== undefined) return ingress;
      const found = newestDefault((await loadedInformer(reader, ingressclasses)).list(), ["ingressclass.kubernetes.io/is-default-class"]);
      return found ? { ...ingress, spec: { ...ingress.spec, ingressClassName: found.metadata.name } } : ingress;
    },
  };
}
