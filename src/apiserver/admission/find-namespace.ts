// The namespace of a request: from the reader, or from the store where the reader does not know it yet.
import { internalError, isStatus } from "../../api/meta/status-error.ts";
import { namespaces } from "../../api/resources.generated.ts";
import type { Namespace } from "../../api/types/core-v1.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionReader } from "./admission.ts";

export interface NamespaceDependencies {
  readonly reader: AdmissionReader;
  readonly client: Pick<Client, "get">;
}

/** Throws 404, or 500 where it cannot be found out. */
export async function findNamespace({ reader, client }: NamespaceDependencies, name: string): Promise<Namespace> {
  const known = reader.informer(namespaces).get(name);
  if (known) return known;
  try {
    return await client.get(namespaces, { name });
  } catch (error) {
    throw isStatus(error, "NotFound") ? error : internalError(error);
  }
}
