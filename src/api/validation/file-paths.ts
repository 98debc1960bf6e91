// Paths of files inside volumes: relative ones that do not lead out, and modes of files.
import { type FieldError, invalidValue } from "../meta/field-error.ts";

export function validatePathWithoutBacksteps(errors: FieldError[], field: string, path: string): void {
  if (hasBacksteps(path)) errors.push(invalidValue(field, path, "must not contain '..'"));
}

export const hasBacksteps = (path: string): boolean => path.includes("..") && path.split("/").includes("..");

export function validateDescendingPath(errors: FieldError[], field: string, path: string): void {
  if (path.startsWith("/")) errors.push(invalidValue(field, path, "must be a relative path"));
  validatePathWithoutBacksteps(errors, field, path);
}

/** A descending path that is not among those the kubelet needs for itself ("..data"). */
export function validateVolumeFilePath(errors: FieldError[], field: string, path: string): void {
  validateDescendingPath(errors, field, path);
  if (path.startsWith("..") && !path.startsWith("../")) errors.push(invalidValue(field, path, "must not start with '..'"));
}

export function validateFileMode(errors: FieldError[], field: string, mode: number | undefined): void {
  if (mode !== undefined && (mode < 0 || mode > 0o777))
    errors.push(invalidValue(field, mode, "must be a number between 0 and 0777 (octal), both inclusive"));
}
