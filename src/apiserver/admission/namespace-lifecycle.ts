// NamespaceLifecycle: nothing is created in a namespace that does not exist or is being deleted, and the namespaces the
// system needs are not deleted at all.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { localsubjectaccessreviews, namespaces } from "../../api/resources.generated.ts";
import type { Namespace } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

const immortal = new Set(["default", "kube-system", "kube-public"]);

/** For so long after its deletion a namespace that the reader calls active is looked up in the store. */
const distrustMs = 30_000;
const maxDistrusted = 1000;

export interface NamespaceLifecycleDependencies {
  readonly reader: AdmissionReader;
  /** Asked where the reader may be behind. */
  readonly client: Pick<Client, "get">;
  readonly clock: Clock;
}

export function createNamespaceLifecycle({ reader, client, clock }: NamespaceLifecycleDependencies): AdmissionPlugin {
  const deletedAt = new Map<string, number>();

  const rememberDeletion = (name: string): void => {
    const oldest = deletedAt.keys().next();
    if (deletedAt.size >= maxDistrusted && !oldest.done) deletedAt.delete(oldest.value);
    deletedAt.set(name, clock.monotonic());
  };
  const isDistrusted = (name: string): boolean => {
    const at = deletedAt.get(name);
    if (at === undefined) return false;
    if (clock.monotonic() - at < distrustMs) return true;
    deletedAt.delete(name);
    return false;
  };
  const find = (name: string): Promise<Namespace> | Namespace => {
    const known = reader.informer(namespaces).get(name);
    if (known && !(known.status?.phase !== "Terminating" && isDistrusted(name))) return known;
    return client.get(namespaces, { name });
  };
  const admitInto = (request: AdmissionRequest, namespace: Namespace): KubernetesObject | undefined => {
    if (request.operation === "CREATE" && namespace.status?.phase === "Terminating") throw refuseTerminating(request);
    return request.object;
  };

  return {
    name: "NamespaceLifecycle",
    handles: (request) =>
      request.operation !== "CONNECT" && (request.namespace !== "" || isNamespace(request)) && !isAbout(request, localsubjectaccessreviews),
    admit(request) {
      if (isNamespace(request)) {
        if (request.operation === "DELETE") {
          if (immortal.has(request.name)) throw refuse(request, "this namespace may not be deleted");
          rememberDeletion(request.name);
        }
        return request.object;
      }
      if (request.operation === "DELETE") return request.object;
      const found = find(request.namespace);
      return found instanceof Promise ? found.then((namespace) => admitInto(request, namespace)) : admitInto(request, found);
    },
  };
}

/** Also where the namespace's subresources (status, finalize) are meant: they are not in a namespace either. */
const isNamespace = ({ resource }: AdmissionRequest): boolean => resource.group === "" && resource.resource === "namespaces";

function refuseTerminating(request: AdmissionRequest): StatusError {
  const { namespace } = request;
  const error = refuse(request, `unable to create new content in namespace ${namespace} because it is being terminated`);
  const cause = { reason: "NamespaceTerminating", message: `namespace ${namespace} is being terminated`, field: "metadata.namespace" };
  return new StatusError({ ...error.status, details: { ...error.status.details, causes: [cause] } });
}
