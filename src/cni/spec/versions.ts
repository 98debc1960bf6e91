// Versions of the CNI specification: which there are, and what each of them knows.
import { CniError, cniErrorCodes } from "./cni-error.ts";

export const supportedVersions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** Of a configuration that names none. */
export const oldestVersion = "0.1.0";

export type VersionFeature = "previous result" | "check" | "previous result in DEL" | "status" | "garbage collection";

const since: Readonly<Record<VersionFeature, string>> = {
  "previous result": "0.3.0",
  check: "0.4.0",
  "previous result in DEL": "0.4.0",
  status: "1.1.0",
  "garbage collection": "1.1.0",
};

/** Negative where the first is the older. Throws for what is no version. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parseVersion(a), parseVersion(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function versionHas(version: string, feature: VersionFeature): boolean {
  return compareVersions(version, since[feature]) >= 0;
}

export function isSupported(version: string): boolean {
  return (supportedVersions as readonly string[]).includes(version);
}

function parseVersion(text: string): readonly number[] {
  if (!/^\d+(\.\d+){0,2}$/.test(text))
    throw new CniError(cniErrorCodes.decodingFailure, `failed to parse CNI version ${JSON.stringify(text)}`);
  return text.split(".").map(Number);
}
