// The table of a custom resource: its name, then the additionalPrinterColumns of the version, or the age where it has none.
import { ageColumn, nameColumn, since } from "../../api/encode/table/columns.ts";
import { humanDuration } from "../../api/encode/table/human-duration.ts";
import type { TableColumnDefinition, TableConvertor } from "../../api/encode/table/table.ts";
import { showFloat, showInteger } from "../../api/meta/go-number.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { parseTime } from "../../api/meta/time.ts";
import { jsonKey } from "../../api/structural/json.ts";
import type { CustomResourceColumnDefinition } from "../../api/types/apiextensions-v1.ts";
import { compileJsonPath, maxVisits, type Visits } from "./json-path.ts";

const customAgeColumn: TableColumnDefinition = { ...ageColumn, type: "date" };

type Cell = (object: KubernetesObject, nowMs: number, row: Row) => unknown;

/** What the cells of one object may still take: thousands of columns may each ask for all of it. */
interface Row extends Visits {
  characters: number;
}

/** Characters of all texts of a row; what is beyond has no value. */
const maxRowCharacters = 4 * 1024 * 1024;

export function customTable(columns: readonly CustomResourceColumnDefinition[] | undefined): TableConvertor<KubernetesObject> {
  const cells = columns?.map(cellOf) ?? [({ metadata }: KubernetesObject, nowMs: number) => since(metadata.creationTimestamp, nowMs)];
  return {
    columns: [nameColumn, ...(columns?.map(columnOf) ?? [customAgeColumn])],
    // Of a bookmark, which has no fields.
    emptyCells: ["", ...cells.map(() => null)],
    cells(object, nowMs) {
      const row: Row = { left: maxVisits, characters: maxRowCharacters };
      return [object.metadata.name, ...cells.map((cell) => cell(object, nowMs, row))];
    },
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
  return (object, nowMs, row) => {
    if (row.characters < 0) return null;
    const value = read(object, row)[0];
    if (value === null && type === "string") return "<no value>";
    if (value === undefined || value === null) return null;
    const cell = cellValue(type, value, nowMs);
    if (typeof cell === "string") row.characters -= cell.length;
    return row.characters < 0 ? null : cell;
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
