// The priority and fairness stage: finds the flow schema and the priority level of a request and tells the client by the
// headers X-Kubernetes-PF-FlowSchema-UID and X-Kubernetes-PF-PriorityLevel-UID. It queues nothing: requests are served in the
// order in which they come, whatever the shares of their levels.
import { flowschemas, prioritylevelconfigurations } from "../../api/resources.generated.ts";
import type { FlowSchema } from "../../api/types/flowcontrol-v1.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { Stage } from "../request.ts";
import { inMatchingOrder, matchFlowSchema } from "./match-flow-schema.ts";

export function flowControlStage(reader: AdmissionReader): Stage {
  const schemas = reader.informer(flowschemas);
  const levels = reader.informer(prioritylevelconfigurations);
  let ordered: readonly FlowSchema[] | undefined;
  const changed = (): void => {
    ordered = undefined;
  };
  const handler = { onAdd: changed, onUpdate: changed, onDelete: changed };
  schemas.addHandler(handler);
  levels.addHandler(handler);
  schemas.start();
  levels.start();
  return (context, next) => {
    // A schema without its level takes no requests.
    ordered ??= inMatchingOrder(schemas.list()).filter((schema) => levels.get(levelOf(schema)));
    const schema = matchFlowSchema(ordered, context.user, context.info);
    const level = schema && levels.get(levelOf(schema));
    if (level) context.flow = { schemaUid: schema.metadata.uid, levelUid: level.metadata.uid };
    return next(context);
  };
}

const levelOf = ({ spec }: FlowSchema): string => spec.priorityLevelConfiguration.name;
