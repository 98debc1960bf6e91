// The table of a custom resource: its name, then the additionalPrinterColumns of the version, or the age where it has none.
import { ageColumn, nameColumn, since } from "../../api/encode/table/columns.ts";
import { humanDuration } from "../../api/encode/table/human-duration.ts";
import type { TableColumnDefinition, TableConvertor } from "../../api/encode/table/table.ts";
import { showFloat, showInteger } from "../../api/meta/go-number.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { parseTime } from "../../api/meta/time.ts";
import { jsonKey } from "../../api/structural/json.ts";
import type { CustomResourceColumnDefinition } from "../../api/types/apiextensions-v1.ts";
import { compileJsonPath } from "./json-path.ts";

const customAgeColumn: TableColumnDefinition = { ...ageColumn, type: "date" };

type Cell = (object: KubernetesObject, nowMs: number) => unknown;

export function customTable(columns: readonly CustomResourceColumnDefinition[] | undefined): TableConvertor<KubernetesObject> {
  const cells = columns?.map(cellOf) ?? [({ metadata }: KubernetesObject, nowMs: number) => since(metadata.creationTimestamp, nowMs)];
  return {
    columns: [nameColumn, ...(columns?.map(columnOf) ?? [customAgeColumn])],
    // Of a bookmark, which has no fields.
    emptyCells: ["", ...cells.map(() => null)],
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
    if (value === null && type === "string") return "<no value>";
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
      return textOf(value);
    case "date":
      return typeof value === "string" ? timeSince(value, nowMs) : null;
    default:
      return null;
  }
}

/** As upstream prints values: composites as JSON, numbers as Go has them. */
function textOf(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? showInteger(value) : showFloat(value);
  return typeof value === "object" ? jsonKey(value) : String(value);
}

function timeSince(text: string, nowMs: number): string {
  if (text === "") return "<unknown>";
  const ms = parseTime(text);
  return ms === undefined ? "<invalid>" : humanDuration(nowMs - ms);
}
