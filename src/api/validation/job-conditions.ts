// What a job's conditions say.
import type { JobStatus } from "../types/batch-v1.ts";

export const isConditionTrue = ({ conditions = [] }: Pick<JobStatus, "conditions">, type: string): boolean =>
  conditions.some((condition) => condition.type === type && condition.status === "True");

export const isConditionFalse = ({ conditions = [] }: Pick<JobStatus, "conditions">, type: string): boolean =>
  conditions.some((condition) => condition.type === type && condition.status === "False");

export const isJobFinished = (status: JobStatus): boolean => isConditionTrue(status, "Complete") || isConditionTrue(status, "Failed");
