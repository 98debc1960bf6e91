// NamespaceAutoProvision: whoever creates something in a namespace that does not exist gets the namespace too.
import { isStatus } from "../../api/meta/status-error.ts";
import { namespaces } from "../../api/resources.generated.ts";
import type { Namespace } from "../../api/types/core-v1.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionPlugin, AdmissionReader } from "./admission.ts";
import { refuse } from "./refusal.ts";

export interface AutoProvisionDependencies {
  readonly reader: AdmissionReader;
  readonly client: Pick<Client, "create">;
}

export function createNamespaceAutoProvision({ reader, client }: AutoProvisionDependencies): AdmissionPlugin {
  return {
    name: "NamespaceAutoProvision",
    handles: ({ operation, namespace, kind, dryRun }) =>
      operation === "CREATE" && !dryRun && namespace !== "" && !(kind.group === "" && kind.kind === "Namespace"),
    async admit(request) {
      const { namespace: name, object } = request;
      if (reader.informer(namespaces).get(name)) return object;
      try {
        await client.create<Namespace>(namespaces, { metadata: { name }, spec: {} });
      } catch (error) {
        if (isStatus(error, "AlreadyExists")) return object;
        throw isStatus(error, "Forbidden") ? error : refuse(request, error instanceof Error ? error.message : String(error));
      }
      return object;
    },
  };
}
