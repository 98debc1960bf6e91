// The order of a group's versions in discovery: stable before beta before alpha, newer before older, others by their name.

const form = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/;

interface Rank {
  /** 3 stable, 2 beta, 1 alpha. */
  readonly stage: number;
  readonly major: number;
  readonly minor: number;
}

function rankOf(version: string): Rank | undefined {
  const found = form.exec(version);
  if (!found) return undefined;
  const [, major, stage, minor] = found;
  return { stage: stage === undefined ? 3 : stage === "beta" ? 2 : 1, major: Number(major), minor: Number(minor ?? 0) };
}

/** Negative where `a` comes first. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [rankOf(a), rankOf(b)];
  if (!left || !right) {
    if (!left && !right) return a < b ? -1 : a > b ? 1 : 0;
    return left ? -1 : 1;
  }
  return right.stage - left.stage || right.major - left.major || right.minor - left.minor;
}
