// Which tolerations make others superfluous: for plugins that add to those a pod has.
import { isDeepStrictEqual } from "node:util";
import type { Toleration } from "../../api/types/core-v1.ts";

/** Leaves out tolerations that another one makes superfluous. */
export function mergeTolerations(all: readonly Toleration[]): readonly Toleration[] {
  const merged: Toleration[] = [];
  for (const [i, toleration] of all.entries()) {
    const isCovered =
      merged.some((m) => tolerationCovers(m, toleration)) ||
      all.slice(i + 1).some((later) => !isDeepStrictEqual(later, toleration) && tolerationCovers(later, toleration));
    if (!isCovered) merged.push(toleration);
  }
  return merged;
}

/** Whether everything `b` tolerates is tolerated by `a` too. */
export function tolerationCovers(a: Toleration, b: Toleration): boolean {
  if (isDeepStrictEqual(a, b)) return true;
  if ((a.key ?? "") !== (b.key ?? "") && ((a.key ?? "") !== "" || a.operator !== "Exists")) return false;
  if ((a.effect ?? "") !== (b.effect ?? "") && (a.effect ?? "") !== "") return false;
  if (a.effect === "NoExecute" && a.tolerationSeconds !== undefined)
    if (b.tolerationSeconds === undefined || b.tolerationSeconds > a.tolerationSeconds) return false;
  if (a.operator === "Exists") return true;
  return (a.operator ?? "Equal") === "Equal" && b.operator === "Equal" && (a.value ?? "") === (b.value ?? "");
}
