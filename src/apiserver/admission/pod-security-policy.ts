// What a namespace's labels say about Pod Security: a level and a version for each of the modes enforce, audit and warn.
// Labels that cannot be read count as the strictest level for enforce, as none for the others.
import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import type { PodSecurityLevel } from "./pod-security-checks.ts";

export interface LevelVersion {
  readonly level: PodSecurityLevel;
  /** Minor version; undefined is "latest". */
  readonly version: number | undefined;
}

type PodSecurityMode = "enforce" | "audit" | "warn";

export interface PodSecurityPolicy extends Readonly<Record<PodSecurityMode, LevelVersion>> {
  readonly errors: readonly FieldError[];
}

export type PodSecurityDefaults = Readonly<Record<PodSecurityMode, LevelVersion>>;

const anything: LevelVersion = { level: "privileged", version: undefined };
export const noPodSecurity: PodSecurityDefaults = { enforce: anything, audit: anything, warn: anything };

export const podSecurityLevels: readonly PodSecurityLevel[] = ["privileged", "baseline", "restricted"];

/** Positive where `a` is the stricter one. */
export function compareLevels(a: PodSecurityLevel, b: PodSecurityLevel): number {
  return podSecurityLevels.indexOf(a) - podSecurityLevels.indexOf(b);
}

/** "baseline:latest", "restricted:v1.30". */
export function levelText({ level, version }: LevelVersion): string {
  return `${level}:${version === undefined ? "latest" : `v1.${version}`}`;
}

/** Whether two say the same: versions of "privileged" do not differ. */
export function sameLevel(a: LevelVersion, b: LevelVersion): boolean {
  return a.level === b.level && (a.level === "privileged" || a.version === b.version);
}

/** The text of a version: undefined where it is none. */
export function parsePodSecurityVersion(text: string): Pick<LevelVersion, "version"> | undefined {
  if (text === "latest") return { version: undefined };
  const [, minor] = /^v1\.(0|[1-9][0-9]*)$/.exec(text) ?? [];
  return minor === undefined ? undefined : { version: Number(minor) };
}

export const versionProblem = 'must be "latest" or "v1.x"';
export const levelProblem = `must be one of ${podSecurityLevels.join(", ")}`;

export function podSecurityPolicy(
  labels: Readonly<Record<string, string>> = {},
  defaults: PodSecurityDefaults = noPodSecurity,
): PodSecurityPolicy {
  const errors: FieldError[] = [];
  const levelOf = (mode: PodSecurityMode): PodSecurityLevel | undefined => {
    const key = `pod-security.kubernetes.io/${mode}`;
    const text = labels[key];
    if (text === undefined || isPodSecurityLevel(text)) return text;
    errors.push(invalidValue(`metadata.labels[${key}]`, text, levelProblem));
    return mode === "enforce" ? "restricted" : "privileged";
  };
  const versionOf = (mode: PodSecurityMode): number | undefined => {
    const key = `pod-security.kubernetes.io/${mode}-version`;
    const text = labels[key];
    if (text === undefined) return defaults[mode].version;
    const parsed = parsePodSecurityVersion(text);
    if (!parsed) errors.push(invalidValue(`metadata.labels[${key}]`, text, versionProblem));
    return parsed?.version;
  };
  const read = (mode: PodSecurityMode): LevelVersion => ({ level: levelOf(mode) ?? defaults[mode].level, version: versionOf(mode) });
  const enforce = read("enforce");
  const hasEnforce = isPodSecurityLevel(labels["pod-security.kubernetes.io/enforce"] ?? "");
  const audit = read("audit");
  const warn = read("warn");
  // Whoever enforces is also warned about templates, unless the namespace says something else about warnings.
  const warnsAsEnforced =
    labels["pod-security.kubernetes.io/warn"] === undefined && hasEnforce && compareLevels(enforce.level, warn.level) > 0;
  const hasWarnVersion = labels["pod-security.kubernetes.io/warn-version"] !== undefined;
  return {
    enforce,
    audit,
    warn: warnsAsEnforced ? { level: enforce.level, version: hasWarnVersion ? warn.version : enforce.version } : warn,
    errors,
  };
}

export const isPodSecurityLevel = (text: string): text is PodSecurityLevel => (podSecurityLevels as readonly string[]).includes(text);
