// PodGroupWorkloadExists: a pod group is made from a template of a workload that is there, where it names one. For clusters
// with the API of pod groups, which is off by default.
import { isStatus } from "../../api/meta/status-error.ts";
import { podgroupsV1alpha2, workloadsV1alpha2 } from "../../api/optional-resources.generated.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { refuse } from "./refusal.ts";

interface NamingGroup {
  readonly spec?: {
    readonly podGroupTemplateRef?: { readonly workload?: { readonly workloadName: string; readonly podGroupTemplateName: string } };
  };
}

export function createPodGroupWorkloadExists({ client }: { readonly client: Pick<Client, "get"> }): AdmissionPlugin {
  const check = async (
    request: AdmissionRequest,
    { workloadName, podGroupTemplateName }: { readonly workloadName: string; readonly podGroupTemplateName: string },
  ): Promise<void> => {
    const rejected = (why: string): Error => refuse(request, `PodGroup rejected: ${why}`);
    const named = `Workload ${JSON.stringify(workloadName)}`;
    try {
      const { metadata, spec } = await client.get(workloadsV1alpha2, { namespace: request.namespace, name: workloadName });
      if (metadata.deletionTimestamp) throw rejected(`${named} is being deleted`);
      if (!spec.podGroupTemplates?.some(({ name }) => name === podGroupTemplateName))
        throw rejected(`PodGroupTemplate ${JSON.stringify(podGroupTemplateName)} not found in ${named}`);
    } catch (error) {
      throw isStatus(error, "NotFound") ? rejected(`${named} not found`) : error;
    }
  };
  return {
    name: "PodGroupWorkloadExists",
    only: [podgroupsV1alpha2],
    handles: ({ operation, subresource }) => operation === "CREATE" && subresource === "",
    validate(request) {
      const workload = (request.object as unknown as NamingGroup).spec?.podGroupTemplateRef?.workload;
      return workload && check(request, workload);
    },
  };
}
