// The columns that many tables share, and the texts of their cells: ages, lists cut short, selectors, containers.
import { type Labels, labelMatcher, SelectorError } from "../../meta/selectors.ts";
import { parseTime } from "../../meta/time.ts";
import type { Container } from "../../types/core-v1.ts";
import type { LabelSelector } from "../../types/meta-v1.ts";
import { humanDuration } from "./human-duration.ts";
import type { TableColumnDefinition } from "./table.ts";

type ColumnType = TableColumnDefinition["type"];

/** A column that is always shown. */
export function column(name: string, description: string, type: ColumnType = "string"): TableColumnDefinition {
  return { name, type, format: "", description, priority: 0 };
}

/** A column that -o wide shows. */
export function wideColumn(name: string, description: string, type: ColumnType = "string"): TableColumnDefinition {
  return { name, type, format: "", description, priority: 1 };
}

export const nameText =
  "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const ageText =
  "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/** The column that identifies the object. */
export const nameColumn: TableColumnDefinition = { ...column("Name", nameText), format: "name" };
export const ageColumn = column("Age", ageText);
export const containersColumn = wideColumn("Containers", "Names of each container in the template.");
export const imagesColumn = wideColumn("Images", "Images referenced by each container in the template.");

/** "5m", of a time in the past. */
export function since(time: string | null | undefined, nowMs: number): string {
  const ms = time ? parseTime(time) : undefined;
  return ms === undefined ? "<unknown>" : humanDuration(nowMs - ms);
}

/** How long an object has existed. */
export const age = ({ metadata }: { readonly metadata: { readonly creationTimestamp?: string } }, nowMs: number): string =>
  since(metadata.creationTimestamp, nowMs);

/** The names and the images of containers. */
export function containerCells(containers: readonly Container[] | undefined): readonly [names: string, images: string] {
  const list = containers ?? [];
  return [list.map((c) => c.name).join(","), list.map((c) => c.image ?? "").join(",")];
}

/** "a=b,c=d" in the order of the keys, or "<none>". */
export function labelsText(labels: Labels | undefined): string {
  const pairs = Object.keys(labels ?? {})
    .sort()
    .map((key) => `${key}=${labels?.[key]}`);
  return pairs.length === 0 ? "<none>" : pairs.join(",");
}

/** A selector as its text, "<none>" where it is empty or absent. */
export function selectorText(selector: LabelSelector | undefined): string {
  const text = rawSelectorText(selector, "<error>");
  return text === "" ? "<none>" : text;
}

/** A selector as its text; `invalid` where it cannot be read. An absent one matches nothing, and has no text. */
export function rawSelectorText(selector: LabelSelector | undefined, invalid: string): string {
  if (!selector) return "";
  try {
    return String(labelMatcher(selector));
  } catch (error) {
    if (error instanceof SelectorError) return invalid;
    throw error;
  }
}

/** "a,b,c + 2 more...": the first `max` of a list. */
export function shortList(items: readonly string[], max: number, separator = ","): string {
  const shown = items.slice(0, max).join(separator);
  return items.length > max ? `${shown} + ${items.length - max} more...` : shown;
}
