// The table of a custom resource: its name, then the additionalPrinterColumns of the version, or the age where it has none.
import { ageColumn, nameColumn, since } from "../../api/encode/table/columns.ts";
import { humanDuration } from "../../api/encode/table/human-duration.ts";
import type { TableColumnDefinition, TableConvertor } from "../../api/encode/table/table.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { parseTime } from "../../api/meta/time.ts";
import type { CustomResourceColumnDefinition } from "../../api/types/apiextensions-v1.ts";
import { compileJsonPath } from "./json-path.ts";

const customAgeColumn: TableColumnDefinition = { ...ageColumn, type: "date" };

type Cell = (object: KubernetesObject, nowMs: number) => unknown;

export function customTable(columns: readonly CustomResourceColumnDefinition[] | undefined): TableConvertor<KubernetesObject> {
  const cells = columns?.map(cellOf) ?? [({ metadata }: KubernetesObject, nowMs: number) => since(metadata.creationTimestamp, nowMs)];
  return {
    columns: [nameColumn, ...(columns?.map(columnOf) ?? [customAgeColumn])],
    cells: (object, nowMs) => [object.metadata.name, ...cells.map((cell) => cell(object, nowMs))],
  };
}

function columnOf({ name, type, format, description, jsonPath, priority }: CustomResourceColumnDefinition): TableColumnDefinition {
  return {
    name,
    type: type as TableColumnDefinition["type"], // the definition's validation knows these and no others
    format: format ?? "",
    description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    priority: priority ?? 0,
  };
}

function cellOf({ type, jsonPath }: CustomResourceColumnDefinition): Cell {
  const read = compileJsonPath(jsonPath);
  return (object, nowMs) => {
    const value = read(object)[0];
    return value === undefined || value === null ? null : cellValue(type, value, nowMs);
  };
}

/** A value as a cell; null where it is not of the column's type. */
function cellValue(type: string, value: unknown, nowMs: number): unknown {
  switch (type) {
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "string":
      return typeof value === "object" ? JSON.stringify(value) : String(value);
    case "date":
      return typeof value === "string" ? timeSince(value, nowMs) : null;
    default:
      return null;
  }
}

function timeSince(text: string, nowMs: number): string {
  const ms = parseTime(text);
  return ms === undefined ? "<invalid>" : humanDuration(nowMs - ms);
}
