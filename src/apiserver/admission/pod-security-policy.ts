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

const order: readonly PodSecurityLevel[] = ["privileged", "baseline", "restricted"];

/** Positive where `a` is the stricter one. */
export function compareLevels(a: PodSecurityLevel, b: PodSecurityLevel): number {
  return order.indexOf(a) - order.indexOf(b);
}

/** "baseline:latest", "restricted:v1.30". */
export function levelText({ level, version }: LevelVersion): string {
  return `${level}:${version === undefined ? "latest" : `v1.${version}`}`;
}

export function podSecurityPolicy(labels: Readonly<Record<string, string>> = {}): PodSecurityPolicy {
  const errors: FieldError[] = [];
  const levelOf = (mode: PodSecurityMode): PodSecurityLevel | undefined => {
    const key = `pod-security.kubernetes.io/${mode}`;
    const text = labels[key];
    if (text === undefined || isLevel(text)) return text;
    errors.push(invalidValue(`metadata.labels[${key}]`, text, `must be one of ${order.join(", ")}`));
    return mode === "enforce" ? "restricted" : "privileged";
  };
  const versionOf = (mode: PodSecurityMode): number | undefined => {
    const key = `pod-security.kubernetes.io/${mode}-version`;
    const text = labels[key];
    if (text === undefined || text === "latest") return undefined;
    const [, minor] = /^v1\.(0|[1-9][0-9]*)$/.exec(text) ?? [];
    if (minor === undefined) errors.push(invalidValue(`metadata.labels[${key}]`, text, 'must be "latest" or "v1.x"'));
    return minor === undefined ? undefined : Number(minor);
  };
  const read = (mode: PodSecurityMode): LevelVersion => ({ level: levelOf(mode) ?? "privileged", version: versionOf(mode) });
  const enforce = read("enforce");
  const hasEnforce = isLevel(labels["pod-security.kubernetes.io/enforce"] ?? "");
  const audit = read("audit");
  const warn = read("warn");
  // Whoever enforces is also warned about templates, unless the namespace says something else about warnings.
  const warnsAsEnforced = labels["pod-security.kubernetes.io/warn"] === undefined && hasEnforce && enforce.level !== "privileged";
  const hasWarnVersion = labels["pod-security.kubernetes.io/warn-version"] !== undefined;
  return {
    enforce,
    audit,
    warn: warnsAsEnforced ? { level: enforce.level, version: hasWarnVersion ? warn.version : enforce.version } : warn,
    errors,
  };
}

const isLevel = (text: string): text is PodSecurityLevel => (order as readonly string[]).includes(text);
