// Who is to hold a lease for which components have put themselves forward (LeaseCandidate): pure decisions. Candidates are
// asked whether they are there (pingTime) and answer by renewing; among those that did within five seconds the strategy chooses.
// OldestEmulationVersion takes the lowest emulated version, then the lowest binary, then the candidate that is there longest. Of
// strategies of others (with a domain) the lease is made without a holder, and left to them.

import { type CelSemver, parseSemver } from "../../api/cel/library/semver.ts";
import { parseTime } from "../../api/meta/time.ts";
import type { Lease, LeaseSpec } from "../../api/types/coordination-v1.ts";
import type { LeaseCandidate } from "../../api/types/coordination-v1beta1.ts";
import { formatMicroTime } from "../../base/clock.ts";
import { CelError } from "../../cel/cel.ts";

export const oldestEmulationVersion = "OldestEmulationVersion";
/** How long candidates have to answer, and how long an answer is good. */
export const answerMs = 5_000;
/** A candidate that has not renewed for so long is none any more. */
const candidateMs = 30 * 60_000;
const leaseDurationSeconds = 5;

export interface Election {
  /** The lease as it is; undefined where there is none. */
  readonly lease: Lease | undefined;
  /** Those for this lease that have not expired. */
  readonly candidates: readonly LeaseCandidate[];
  readonly nowMs: number;
}

export type ElectionStep =
  /** Nobody is there to be elected, or the holder is the best already. */
  | { readonly kind: "settled" }
  | { readonly kind: "ask"; readonly candidates: readonly LeaseCandidate[] }
  /** Answers are outstanding. */
  | { readonly kind: "wait" }
  /** Without a holder where the strategy is somebody else's. */
  | { readonly kind: "elect"; readonly strategy: string; readonly holder: string | undefined }
  | { readonly kind: "undecided"; readonly reason: string };

const timeOf = (time: string | undefined): number | undefined => (time === undefined ? undefined : parseTime(time));

/** Undefined for one that never did. */
const renewedMs = ({ spec }: LeaseCandidate): number | undefined => timeOf(spec.renewTime);

export function isCandidateExpired(candidate: LeaseCandidate, nowMs: number): boolean {
  const renewed = renewedMs(candidate);
  return renewed === undefined || renewed + candidateMs < nowMs;
}

/** Whether it was asked and has not answered: its own change is then no reason to look at the election again. */
export function isAsked({ spec }: LeaseCandidate): boolean {
  const [asked, renewed] = [timeOf(spec.pingTime), timeOf(spec.renewTime)];
  return asked !== undefined && (renewed === undefined || renewed < asked);
}

export function decideElection(election: Election): ElectionStep {
  const { candidates, nowMs } = election;
  const needed = isNeeded(election);
  if (needed !== true) return needed;
  const isRecent = (at: number | undefined): boolean => at !== undefined && at + answerMs > nowMs;
  const answered = candidates.filter((candidate) => isRecent(renewedMs(candidate)));
  // Who did not answer in time is not asked again: it is passed over until it renews of itself.
  const toAsk = candidates.filter((candidate) => !isRecent(renewedMs(candidate)) && !isAsked(candidate));
  if (toAsk.length > 0) return { kind: "ask", candidates: toAsk };
  if (candidates.some((candidate) => isAsked(candidate) && isRecent(timeOf(candidate.spec.pingTime)))) return { kind: "wait" };
  if (answered.length === 0) return { kind: "undecided", reason: "no available candidates" };
  const picked = pickStrategy(answered);
  if (picked.kind === "undecided") return picked;
  return { kind: "elect", strategy: picked.strategy, holder: pickHolder(picked.strategy, answered)?.metadata.name };
}

/** Whether there is to be an election; else what there is instead. */
function isNeeded({ lease, candidates, nowMs }: Election): ElectionStep | true {
  if (candidates.length === 0) return { kind: "settled" };
  if (!lease?.spec?.holderIdentity || isLeaseExpired(lease, nowMs)) return true;
  // All are asked now and then, so that those which are gone can be told from those which have nothing to say.
  if (candidates.some((candidate) => (renewedMs(candidate) ?? nowMs) + candidateMs / 2 < nowMs)) return true;
  const picked = pickStrategy(candidates);
  if (picked.kind === "undecided") return picked;
  const best = pickHolder(picked.strategy, candidates);
  return !best || best.metadata.name === lease.spec.holderIdentity ? { kind: "settled" } : true;
}

export function isLeaseExpired({ spec }: Lease, nowMs: number): boolean {
  const renewed = timeOf(spec?.renewTime);
  return renewed === undefined || spec?.leaseDurationSeconds === undefined || renewed + spec.leaseDurationSeconds * 1000 < nowMs;
}

type Picked = { readonly kind: "picked"; readonly strategy: string } | Extract<ElectionStep, { readonly kind: "undecided" }>;

/** That of the highest binary version; two of one version have to agree. */
function pickStrategy(candidates: readonly LeaseCandidate[]): Picked {
  const [first, ...rest] = candidates;
  if (!first) return { kind: "undecided", reason: "no candidates" };
  let best = first;
  for (const candidate of rest) {
    const order = compareVersions(candidate.spec.binaryVersion, best.spec.binaryVersion);
    if (order > 0) best = candidate;
    else if (order === 0 && candidate.spec.strategy !== best.spec.strategy) {
      const names = `${JSON.stringify(best.metadata.name)}, ${JSON.stringify(candidate.metadata.name)}`;
      const strategies = `${best.spec.strategy}, ${candidate.spec.strategy}`;
      return { kind: "undecided", reason: `candidates ${names} at same binary version but received differing strategies ${strategies}` };
    }
  }
  return { kind: "picked", strategy: best.spec.strategy };
}

function pickHolder(strategy: string, candidates: readonly LeaseCandidate[]): LeaseCandidate | undefined {
  if (strategy !== oldestEmulationVersion) return undefined;
  return candidates.filter(({ spec }) => versionOf(spec.emulationVersion) && versionOf(spec.binaryVersion)).toSorted(compareAge)[0];
}

/** Undefined for what is no semantic version. */
function versionOf(text: string | undefined): CelSemver | undefined {
  try {
    return parseSemver(text ?? "");
  } catch (error) {
    if (error instanceof CelError) return undefined;
    throw error;
  }
}

const noVersion = parseSemver("0.0.0");

const compareVersions = (a: string | undefined, b: string | undefined): number =>
  (versionOf(a) ?? noVersion).compare(versionOf(b) ?? noVersion);

function compareAge(a: LeaseCandidate, b: LeaseCandidate): number {
  return (
    compareVersions(a.spec.emulationVersion, b.spec.emulationVersion) ||
    compareVersions(a.spec.binaryVersion, b.spec.binaryVersion) ||
    (timeOf(a.metadata.creationTimestamp) ?? 0) - (timeOf(b.metadata.creationTimestamp) ?? 0)
  );
}

/**
 * The lease's spec after an election; undefined where it is so already. A holder that is there is not thrown out: it learns by
 * `preferredHolder` that another is to have the lease, and lets go of it.
 */
export function electedSpec(
  lease: Lease | undefined,
  elected: { readonly strategy: string; readonly holder: string | undefined },
  nowMs: number,
): LeaseSpec | undefined {
  const { strategy, holder } = elected;
  const renewal = { leaseDurationSeconds, renewTime: formatMicroTime(nowMs) };
  if (!lease) return { strategy, ...renewal, ...(holder === undefined ? {} : { holderIdentity: holder }) };
  const spec: LeaseSpec = lease.spec ?? {};
  const current = spec.holderIdentity ?? "";
  const isSame = holder === undefined || holder === current;
  if (!isSame && (current === "" || isLeaseExpired(lease, nowMs))) {
    const { preferredHolder: _, acquireTime: _1, ...rest } = spec;
    return { ...rest, strategy, ...renewal, holderIdentity: holder };
  }
  if (isSame || spec.preferredHolder === holder) return spec.strategy === strategy ? undefined : { ...spec, strategy };
  return { ...spec, strategy, preferredHolder: holder };
}
