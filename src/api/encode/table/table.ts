// Server-side tables (meta.k8s.io/v1 Table): what `kubectl get` prints. A convertor says the columns of a resource and
// the cells of an object; the API server adds the objects and frames them.
import type { TemplateObjectMeta } from "../../types/meta-v1.ts";

export interface TableColumnDefinition {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "boolean" | "date";
  /** "name" marks the column that identifies the object. */
  readonly format: string;
  readonly description: string;
  /** 0 is always shown, 1 with -o wide. */
  readonly priority: number;
}

export interface TableRowCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface TableConvertor<T> {
  readonly columns: readonly TableColumnDefinition[];
  /** Of what has neither name nor fields; default: what the columns' types have for nothing. */
  readonly emptyCells?: readonly unknown[];
  /** Cells in the order of the columns: strings, numbers, booleans. Ages and "ago" texts are computed from `nowMs`. */
  cells(object: T, nowMs: number): readonly unknown[];
  /** Conditions of the row (pods: Completed). */
  conditions?(object: T): readonly TableRowCondition[];
  /** How the rows of a list are ordered. Default: as the list is. */
  compare?(a: T, b: T): number;
}

export interface TableRow {
  readonly cells: readonly unknown[];
  readonly conditions?: readonly TableRowCondition[];
  /** The object, its PartialObjectMetadata, or absent, as the client's includeObject asks. */
  readonly object?: { readonly kind: string; readonly apiVersion: string; readonly metadata: TemplateObjectMeta };
}
