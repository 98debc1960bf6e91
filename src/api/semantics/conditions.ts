// Conditions in the status of objects: lists with one entry per type, of which the time of the last change of status
// matters.

export interface ConditionLike {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export function findCondition<C extends ConditionLike>(conditions: readonly C[] | null | undefined, type: string): C | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Whether the condition is there and its status is "True". */
export function isConditionTrue(conditions: readonly ConditionLike[] | null | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === "True";
}

/** The list with this condition in the place of the one of its type, or at the end. */
export function withCondition<C extends ConditionLike>(conditions: readonly C[] | null | undefined, condition: C): readonly C[] {
  const list = conditions ?? [];
  const index = list.findIndex((known) => known.type === condition.type);
  return index < 0 ? [...list, condition] : list.with(index, condition);
}

export function withoutCondition<C extends ConditionLike>(conditions: readonly C[] | null | undefined, type: string): readonly C[] {
  return (conditions ?? []).filter((condition) => condition.type !== type);
}
