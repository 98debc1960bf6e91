// The table of nodes.
import { findCondition } from "../../semantics/conditions.ts";
import type { Node } from "../../types/core-v1.ts";
import { age, ageColumn, column, nameColumn, wideColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

/** "Ready,SchedulingDisabled". */
function statusText({ spec, status }: Node): string {
  const ready = findCondition(status?.conditions, "Ready");
  const text = ready ? (ready.status === "True" ? "Ready" : "NotReady") : "Unknown";
  return spec?.unschedulable ? `${text},SchedulingDisabled` : text;
}

const rolePrefix = "node-role.kubernetes.io/";
const roleLabel = "kubernetes.io/role";

/** The roles that labels give a node, sorted. */
export function nodeRoles({ metadata }: Node): readonly string[] {
  const roles = Object.entries(metadata.labels ?? {}).flatMap(([key, value]) =>
    key.startsWith(rolePrefix) ? [key.slice(rolePrefix.length)] : key === roleLabel ? [value] : [],
  );
  return [...new Set(roles.filter((role) => role !== ""))].sort();
}

const addressText = ({ status }: Node, type: string): string =>
  status?.addresses?.find((address) => address.type === type)?.address ?? "<none>";

export const nodeTable: TableConvertor<Node> = {
  columns: [
    nameColumn,
    column("Status", "The status of the node"),
    column("Roles", "The roles of the node"),
    ageColumn,
    column("Version", texts.NodeSystemInfo.kubeletVersion),
    wideColumn("Internal-IP", texts.NodeStatus.addresses),
    wideColumn("External-IP", texts.NodeStatus.addresses),
    wideColumn("OS-Image", texts.NodeSystemInfo.osImage),
    wideColumn("Kernel-Version", texts.NodeSystemInfo.kernelVersion),
    wideColumn("Container-Runtime", texts.NodeSystemInfo.containerRuntimeVersion),
  ],
  cells: (node, nowMs) => {
    const info = node.status?.nodeInfo;
    const kernel = info?.kernelVersion || "<unknown>";
    return [
      node.metadata.name,
      statusText(node),
      nodeRoles(node).join(",") || "<none>",
      age(node, nowMs),
      info?.kubeletVersion ?? "",
      addressText(node, "InternalIP"),
      addressText(node, "ExternalIP"),
      info?.osImage || "<unknown>",
      info?.architecture ? `${kernel} (${info.architecture})` : kernel,
      info?.containerRuntimeVersion || "<unknown>",
    ];
  },
};
