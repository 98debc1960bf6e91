// JobValidation: how many pods of a job run at once cannot be changed where they are scheduled together, all or none. Asked
// only where pods have groups (GenericWorkload).
import type { KubernetesObject } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { podgroupsV1alpha2 } from "../../api/optional-resources.generated.ts";
import { jobs } from "../../api/resources.generated.ts";
import { keepsFieldsOf } from "../../api/semantics/gated-fields.ts";
import type { Job } from "../../api/types/batch-v1.ts";
import type { PodGroup } from "../../api/types/scheduling-v1alpha2.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

export function createJobValidation({ client }: { readonly client: Pick<Client, "get" | "list"> }): AdmissionPlugin {
  return {
    name: "JobValidation",
    only: [jobs],
    handles: (request) => keepsFieldsOf("GenericWorkload") && request.operation === "UPDATE" && isAbout(request, jobs),
    async validate(request) {
      const [job, old] = [request.object as Job, request.oldObject as Job];
      if (job.spec?.parallelism === old.spec?.parallelism) return;
      const gang = (await groupsOf(old, client)).find(({ spec }) => spec.schedulingPolicy.gang);
      if (gang)
        throw refuse(
          request,
          `cannot change parallelism for a Job referencing gang-scheduled PodGroup ${JSON.stringify(gang.metadata.name)}`,
        );
    },
  };
}

/** The group that the job's pods name; where they name none, those that the job controls. */
async function groupsOf(job: Job, client: Pick<Client, "get" | "list">): Promise<readonly PodGroup[]> {
  const { namespace } = job.metadata;
  const name = job.spec?.template.spec?.schedulingGroup?.podGroupName;
  try {
    if (name !== undefined) return [await client.get(podgroupsV1alpha2, { namespace, name })];
    const { items } = await client.list(podgroupsV1alpha2, { namespace });
    return items.filter((group) => isControlledBy(group, job));
  } catch (error) {
    if (isStatus(error, "NotFound")) return []; // not there, or not served
    throw error;
  }
}

const isControlledBy = ({ metadata }: KubernetesObject, owner: KubernetesObject): boolean =>
  (metadata.ownerReferences ?? []).some(({ controller, uid }) => controller === true && uid === owner.metadata.uid);
