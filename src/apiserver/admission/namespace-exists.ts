// NamespaceExists: nothing is written in a namespace that does not exist.
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { findNamespace, type NamespaceDependencies } from "./find-namespace.ts";

export function createNamespaceExists(deps: NamespaceDependencies): AdmissionPlugin {
  return {
    name: "NamespaceExists",
    handles: (request) => request.operation !== "CONNECT" && request.namespace !== "" && !isNamespace(request),
    async validate(request) {
      await findNamespace(deps, request.namespace);
    },
  };
}

const isNamespace = ({ kind }: AdmissionRequest): boolean => kind.group === "" && kind.kind === "Namespace";
