// Which paths of fields of which variables an expression reads: "object.metadata.name" is ["object", "metadata", "name"].

import type { CelExpr } from "./ast.ts";
import type { Checked } from "./check/check.ts";

export function pathsRead(checked: Checked): readonly (readonly string[])[] {
  const paths: (readonly string[])[] = [];
  const pathOf = (expr: CelExpr): readonly string[] | undefined => {
    const reference = checked.names.get(expr.id);
    if (reference) return reference.kind === "variable" ? [reference.name] : undefined;
    if (expr.kind !== "select") return undefined;
    const operand = pathOf(expr.operand);
    return operand && [...operand, expr.field];
  };
  const visit = (expr: CelExpr): void => {
    const path = pathOf(expr);
    if (path) paths.push(path);
    else if (!checked.names.has(expr.id) || expr.kind === "struct") for (const child of childrenOf(expr)) visit(child);
  };
  visit(checked.expr);
  return paths;
}

/** The nodes that a node is made of. */
export function childrenOf(expr: CelExpr): readonly CelExpr[] {
  switch (expr.kind) {
    case "literal":
    case "ident":
      return [];
    case "select":
      return [expr.operand];
    case "call":
      return expr.target ? [expr.target, ...expr.args] : expr.args;
    case "list":
      return expr.elements;
    case "map":
      return expr.entries.flatMap(({ key, value }) => [key, value]);
    case "struct":
      return expr.fields.map(({ value }) => value);
    case "comprehension":
      return [expr.range, expr.init, expr.condition, expr.step, expr.result];
  }
}
