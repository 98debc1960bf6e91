// Cron jobs: schedule, time zone, and the template of their jobs.
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import { byteLength } from "../meta/names.ts";
import { CronError, parseCronSchedule } from "../semantics/cron-schedule.ts";
import type { CronJob, CronJobSpec } from "../types/batch-v1.ts";
import { jobSpecWarnings, validateJobTemplate } from "./job.ts";
import { nameWarnings } from "./pod-warnings.ts";
import { checkNonNegative, checkSupported } from "./rules.ts";

/** Names of its jobs end with a dash and ten digits, and have to fit into 63 characters. */
const maxNameBytes = 63 - 11;

export function validateCronJob({ metadata, spec }: CronJob): FieldError[] {
  const errors: FieldError[] = [];
  validateSpec(errors, spec, undefined);
  if (byteLength(metadata.name ?? "") > maxNameBytes)
    errors.push(invalidValue("metadata.name", metadata.name, `must be no more than ${maxNameBytes} characters`));
  return errors;
}

export function validateCronJobUpdate({ spec }: CronJob, old: CronJob): FieldError[] {
  const errors: FieldError[] = [];
  validateSpec(errors, spec, old.spec);
  return errors;
}

function validateSpec(errors: FieldError[], spec: Partial<CronJobSpec> = {}, old: CronJobSpec | undefined): void {
  const { schedule, timeZone } = spec;
  if (!schedule) errors.push(required("spec.schedule"));
  else validateSchedule(errors, "spec.schedule", schedule, timeZone, old?.schedule.includes("TZ") === true);
  checkNonNegative(errors, "spec.startingDeadlineSeconds", spec.startingDeadlineSeconds);
  if (timeZone !== undefined && timeZone !== old?.timeZone) validateTimeZone(errors, "spec.timeZone", timeZone);
  checkSupported(errors, "spec.concurrencyPolicy", spec.concurrencyPolicy, ["Allow", "Forbid", "Replace"], "required");
  validateJobTemplate(errors, "spec.jobTemplate.spec", spec.jobTemplate?.spec ?? { template: {} }, old?.jobTemplate.spec?.template);
  checkNonNegative(errors, "spec.successfulJobsHistoryLimit", spec.successfulJobsHistoryLimit);
  checkNonNegative(errors, "spec.failedJobsHistoryLimit", spec.failedJobsHistoryLimit);
}

/** `zoneAllowed`: the old schedule named a time zone, which new ones may not. */
function validateSchedule(errors: FieldError[], field: string, schedule: string, timeZone: string | undefined, zoneAllowed: boolean): void {
  try {
    parseCronSchedule(schedule);
  } catch (error) {
    if (!(error instanceof CronError)) throw error;
    errors.push(invalidValue(field, schedule, error.message));
  }
  if (!schedule.includes("TZ")) return;
  if (!zoneAllowed) errors.push(invalidValue(field, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
  else if (timeZone !== undefined)
    errors.push(invalidValue(field, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"));
}

const zonePart = /^[A-Za-z.\-_0-9+]{1,14}$/;

function validateTimeZone(errors: FieldError[], field: string, zone: string): void {
  const refuse = (detail: string): void => {
    errors.push(invalidValue(field, zone, detail));
  };
  if (zone === "") {
    refuse("timeZone must be nil or non-empty string");
    return;
  }
  if (zone.split("/").some((part) => part === "." || part === ".." || part.startsWith("-") || !zonePart.test(part))) {
    refuse(`unknown time zone ${zone}`);
    return;
  }
  if (zone.includes("..") || zone.startsWith("/")) refuse("time: invalid location name");
  else if (zone.toLowerCase() === "local") refuse("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
  else if (!isKnownZone(zone)) refuse(`unknown time zone ${zone}`);
}

function isKnownZone(zone: string): boolean {
  // Offsets ("+01:00") are time zones to the language, and no names of zones.
  if (/^[+-]/.test(zone)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

export const cronJobWarnings = ({ metadata, spec }: CronJob): string[] => [
  ...nameWarnings(metadata.name),
  ...jobSpecWarnings("spec.jobTemplate.spec", spec?.jobTemplate?.spec ?? { template: {} }),
];
