// Merging an applied configuration into the live object, and removing fields from an object, by shape. In lists with keys
// the applied order wins among the applied items, and the live object's other items stay between them.
import { type FieldSet, isEmptySet, type PathElement } from "./field-set.ts";
import { isObject, itemElement, itemShape, type JsonObject, resolveShape, type Shape, shapeAt } from "./shape.ts";

type ListShape = Extract<Shape, { kind: "keyedList" | "set" }>;

/** The live value with the applied one merged in; undefined when nothing is left. */
export function mergeApplied(live: unknown, applied: unknown, shape: Shape): unknown {
  if (applied === undefined) return live;
  if (live === undefined && shape.kind === "leaf") return applied;
  // Null where anything may stand takes nothing from a map.
  const resolved = resolveShape(shape, applied === null && isObject(live) ? live : applied);
  if (resolved.kind === "leaf") return applied;
  if (resolved.kind === "map") {
    const [left, right] = [isObject(live) ? live : {}, isObject(applied) ? applied : {}];
    if (Object.keys(left).length === 0 && Object.keys(right).length === 0) return applied;
    return mergeMaps(left, right, resolved);
  }
  const [left, right] = [Array.isArray(live) ? live : [], Array.isArray(applied) ? applied : []];
  return left.length === 0 && right.length === 0 ? applied : mergeLists(left, right, resolved);
}

function mergeMaps(live: JsonObject, applied: JsonObject, shape: Extract<Shape, { kind: "map" }>): JsonObject {
  const merged: Record<string, unknown> = { ...live };
  for (const [key, value] of Object.entries(applied)) {
    const result = mergeApplied(Object.hasOwn(live, key) ? live[key] : undefined, value, shapeAt(shape, key));
    Object.defineProperty(merged, key, { value: result, writable: true, enumerable: true, configurable: true });
  }
  return merged;
}

interface Item {
  readonly element: PathElement | undefined;
  readonly value: unknown;
}

/**
 * Walks both lists side by side: applied items come in the applied order, a live item that is not applied where it stands
 * among the live ones.
 */
function mergeLists(live: readonly unknown[], applied: readonly unknown[], shape: ListShape): unknown[] {
  const itemsOf = (list: readonly unknown[]): Item[] => list.map((value) => ({ element: itemElement(shape, value), value }));
  const [left, right] = [itemsOf(live), itemsOf(applied)];
  const liveValues = new Map(left.map((item) => [item.element, item.value]));
  const appliedElements = new Set(right.map((item) => item.element));
  const shared = right.map((item) => item.element).filter((element) => liveValues.has(element));
  const merged: unknown[] = [];
  const done = new Set<PathElement | undefined>();
  let [l, r, nextShared] = [0, 0, 0];
  const takeApplied = ({ element, value }: Item): void => {
    merged.push(mergeApplied(liveValues.get(element), value, itemShape(shape)));
    done.add(element);
    if (shared[nextShared] === element) nextShared++;
    r++;
  };
  while (l < left.length || r < right.length) {
    const [ours, theirs] = [left[l], right[r]];
    if (ours && !appliedElements.has(ours.element)) {
      merged.push(ours.value);
      l++;
      continue;
    }
    if (ours && (done.has(ours.element) || ours.element === theirs?.element || isOutOfTurn(ours, shared[nextShared]))) l++;
    if (theirs && (!ours || ours.element === theirs.element || !isOutOfTurn(ours, shared[nextShared]))) takeApplied(theirs);
  }
  return merged;
}

/** An applied live item that the applied order puts elsewhere: it is passed over and comes with the applied ones. */
const isOutOfTurn = (item: Item, nextShared: PathElement | undefined): boolean => nextShared !== undefined && nextShared !== item.element;

/** The value without the fields of a set; undefined when the value itself goes. */
export function removeFields(value: unknown, set: FieldSet, shape: Shape): unknown {
  if (isEmptySet(set)) return value;
  const resolved = resolveShape(shape, value);
  if (resolved.kind === "map" && isObject(value)) return removeFromMap(value, set, resolved);
  if ((resolved.kind === "keyedList" || resolved.kind === "set") && Array.isArray(value)) return removeFromList(value, set, resolved);
  return value;
}

function removeFromMap(value: JsonObject, set: FieldSet, shape: Extract<Shape, { kind: "map" }>): JsonObject {
  const kept: Record<string, unknown> = { ...value };
  for (const [element, child] of set.children) {
    const key = element.slice(2);
    if (!element.startsWith("f:") || !Object.hasOwn(value, key)) continue;
    if (child.member) delete kept[key];
    else kept[key] = removeFields(value[key], child, shapeAt(shape, key));
  }
  return kept;
}

function removeFromList(value: readonly unknown[], set: FieldSet, shape: ListShape): unknown[] {
  const kept: unknown[] = [];
  for (const item of value) {
    const element = itemElement(shape, item);
    const child = element === undefined ? undefined : set.children.get(element);
    if (child?.member) continue;
    kept.push(child ? removeFields(item, child, itemShape(shape)) : item);
  }
  return kept;
}
