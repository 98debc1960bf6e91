// RuntimeClass: a pod of a runtime class takes over the class's overhead and its scheduling: node selector and tolerations.
import { isPathSegmentName } from "../../api/meta/names.ts";
import { compareQuantities } from "../../api/meta/quantity.ts";
import { wasSent } from "../../api/meta/sent-empty.ts";
import { isStatus, StatusError } from "../../api/meta/status-error.ts";
import { pods, runtimeclasses } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { RuntimeClass } from "../../api/types/node-v1.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";
import { mergeTolerations } from "./tolerations.ts";

export interface RuntimeClassDependencies {
  readonly reader: AdmissionReader;
  readonly client: Pick<Client, "get">;
}

export function createRuntimeClass(deps: RuntimeClassDependencies): AdmissionPlugin {
  return {
    name: "RuntimeClass",
    only: [pods],
    handles: (request) => request.operation === "CREATE" && isAbout(request, pods),
    admit(request) {
      const pod = request.object as Pod;
      const name = pod.spec?.runtimeClassName;
      if (name === undefined) return pod;
      return findClass(request, name, deps).then((found) => withScheduling(request, withOverhead(request, pod, found), found));
    },
    validate(request) {
      const pod = request.object as Pod;
      const name = pod.spec?.runtimeClassName;
      if (name === undefined) return checkOverhead(request, undefined);
      return findClass(request, name, deps).then((found) => checkOverhead(request, found));
    },
  };
}

function checkOverhead(request: AdmissionRequest, found: RuntimeClass | undefined): void {
  const { spec } = request.object as Pod;
  const overhead = found?.overhead;
  if (overhead && !sameAmounts(overhead.podFixed, spec?.overhead)) throw refuse(request, mismatch);
  if (!overhead && spec && wasSent(spec, "overhead"))
    throw refuse(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
}

const mismatch = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

async function findClass(request: AdmissionRequest, name: string, deps: RuntimeClassDependencies): Promise<RuntimeClass> {
  const known = deps.reader.informer(runtimeclasses).get(name);
  if (known) return known;
  if (name === "") throw new StatusError({ code: 500, message: "resource name may not be empty" });
  const problems = isPathSegmentName(name);
  if (problems.length > 0)
    throw new StatusError({ code: 500, message: `invalid resource name ${JSON.stringify(name)}: [${problems.join(" ")}]` });
  try {
    return await deps.client.get(runtimeclasses, { name });
  } catch (error) {
    if (isStatus(error, "NotFound")) throw refuse(request, `pod rejected: RuntimeClass ${JSON.stringify(name)} not found`);
    throw error;
  }
}

type Amounts = Readonly<Record<string, string | number>> | undefined;

function sameAmounts(a: Amounts = {}, b: Amounts = {}): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((n) => b[n] !== undefined && compareQuantities(a[n] ?? "0", b[n]) === 0);
}

function withOverhead(request: AdmissionRequest, pod: Pod, { overhead }: RuntimeClass): Pod {
  if (!overhead || !pod.spec) return pod;
  const own = pod.spec.overhead;
  if (own && Object.keys(own).length > 0 && !sameAmounts(overhead.podFixed, own)) throw refuse(request, mismatch);
  return { ...pod, spec: { ...pod.spec, overhead: overhead.podFixed ?? {} } };
}

function withScheduling(request: AdmissionRequest, pod: Pod, { scheduling }: RuntimeClass): Pod {
  if (!scheduling || !pod.spec) return pod;
  const own = pod.spec.nodeSelector ?? {};
  for (const [key, value] of Object.entries(scheduling.nodeSelector ?? {}))
    if (own[key] !== undefined && own[key] !== value)
      throw refuse(
        request,
        `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own[key]}`,
      );
  const nodeSelector = { ...own, ...scheduling.nodeSelector };
  const tolerations = mergeTolerations([...(pod.spec.tolerations ?? []), ...(scheduling.tolerations ?? [])]);
  return {
    ...pod,
    spec: {
      ...pod.spec,
      ...(Object.keys(nodeSelector).length > 0 ? { nodeSelector } : {}),
      ...(tolerations.length > 0 ? { tolerations } : {}),
    },
  };
}
