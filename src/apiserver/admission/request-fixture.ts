// Admission requests, and plugins run on them as the registry runs them: for tests of plugins.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { notFound } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { Client } from "../../client/client.ts";
import type { UserInfo } from "../authn/user.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import type { MemoryReader } from "./memory-reader.ts";
import { Reinvocation } from "./reinvocation.ts";

const jane: UserInfo = { name: "jane", groups: ["devs", "system:authenticated"] };

/** A CREATE of the object by jane, unless `more` says otherwise. Warnings are collected in `warnings`. */
export function admissionRequest(
  type: ResourceType,
  object: KubernetesObject | undefined,
  more: Partial<AdmissionRequest> = {},
  warnings: string[] = [],
): AdmissionRequest {
  const meta = (object ?? more.oldObject)?.metadata;
  return {
    operation: "CREATE",
    resource: type,
    subresource: "",
    kind: type,
    namespace: meta?.namespace ?? "",
    name: meta?.name ?? "",
    ...(object ? { object } : {}),
    options: {},
    user: jane,
    dryRun: false,
    warn: (text) => warnings.push(text),
    annotate: () => undefined,
    reinvocation: new Reinvocation(),
    signal: new AbortController().signal,
    ...more,
  };
}

/** Runs one plugin: admit, then validate. Gives the object as admit left it. */
export async function runPlugin<T extends KubernetesObject>(plugin: AdmissionPlugin, request: AdmissionRequest): Promise<T> {
  if (!plugin.handles(request)) return request.object as T;
  const object = plugin.admit ? await plugin.admit(request) : request.object;
  await plugin.validate?.({ ...request, ...(object ? { object } : {}) });
  return object as T;
}

/** A client that reads what the reader has. */
export function readingClient(reader: MemoryReader): Pick<Client, "get"> {
  return {
    get: async (type, at) => {
      const found = reader.informer(type).get(at.namespace ? `${at.namespace}/${at.name}` : at.name);
      if (!found) throw notFound(type, at.name);
      return found;
    },
  };
}
