// Owners keep their fields while the schema of a custom resource changes under them: what was a list or a map of fields, and is
// now owned as a whole, is owned as a whole by whoever owned a part of it. (What was owned as a whole and no longer is stays as it is.)
import { type FieldSet, leafSet, type PathElement } from "./field-set.ts";
import type { Shape } from "./shape.ts";

/** The set as the shape has it now; the same reference where nothing changes. */
export function reconcileFields(set: FieldSet, shape: Shape): FieldSet {
  const below = (child: FieldSet, at: Shape | undefined): FieldSet => (at ? reconcileFields(child, at) : child);
  switch (shape.kind) {
    case "deduced":
      return set;
    case "leaf": {
      const isWhole = shape.expects === "list" || (shape.expects === "map" && !isUntyped(shape.inside?.()));
      return isWhole && set.children.size > 0 ? leafSet : set;
    }
    case "map":
      if (isUntyped(shape)) return set;
      return withChildren(set, (child, element) => below(child, shape.fields?.get(element.slice(2)) ?? shape.values));
    default:
      return withChildren(set, (child) => below(child, shape.items));
  }
}

/** Maps of which nothing is known do not say how they are owned. */
const isUntyped = (shape: Shape | undefined): boolean =>
  shape?.kind === "map" && shape.values?.kind === "deduced" && (shape.fields?.size ?? 0) === 0;

function withChildren(set: FieldSet, change: (child: FieldSet, element: PathElement) => FieldSet): FieldSet {
  let children: Map<PathElement, FieldSet> | undefined;
  for (const [element, child] of set.children) {
    const changed = change(child, element);
    if (changed === child) continue;
    children ??= new Map(set.children);
    children.set(element, changed);
  }
  return children ? { member: set.member, children } : set;
}
