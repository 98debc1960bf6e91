// How many seats each priority level has: its nominal share of the server's concurrency, how much of that it may lend and how
// much it may borrow, and, every ten seconds, what it really gets by what the levels wanted lately (KEP-1040). Pure arithmetic.
import type { PriorityLevelConfiguration } from "../../api/types/flowcontrol-v1.ts";

/** Bounds of a level's seats. */
export interface SeatBounds {
  readonly nominal: number;
  /** What is left when it lends all it may. */
  readonly min: number;
  /** What it has when it borrows all it may. */
  readonly max: number;
}

/** A level's wish for seats during the last period. */
export interface SeatDemand {
  readonly highWatermark: number;
  readonly average: number;
  readonly deviation: number;
  /** Of several periods: follows growth at once and decline slowly. */
  readonly smoothed: number;
}

export interface LevelDemand {
  readonly name: string;
  readonly exempt: boolean;
  readonly bounds: SeatBounds;
  readonly demand: SeatDemand;
}

const defaultShares = 30;

/** Bounds by name of level: nominal limits are shares of `serverSeats`, rounded up. */
export function seatBounds(levels: readonly PriorityLevelConfiguration[], serverSeats: number): Map<string, SeatBounds> {
  const sum = levels.reduce((total, level) => total + sharesOf(level), 0);
  return new Map(levels.map((level) => [level.metadata.name, boundsOf(level, serverSeats, sum)]));
}

function sharesOf({ spec: { type, exempt, limited } }: PriorityLevelConfiguration): number {
  if (type === "Exempt") return exempt?.nominalConcurrencyShares ?? 0;
  return limited?.nominalConcurrencyShares ?? defaultShares;
}

function boundsOf(level: PriorityLevelConfiguration, serverSeats: number, sum: number): SeatBounds {
  const { type, exempt, limited } = level.spec;
  const nominal = sum === 0 ? 0 : Math.ceil((serverSeats * sharesOf(level)) / sum);
  const lendable = (type === "Exempt" ? exempt?.lendablePercent : limited?.lendablePercent) ?? 0;
  const min = nominal - Math.round((nominal * lendable) / 100);
  const borrowing = type === "Exempt" ? undefined : limited?.borrowingLimitPercent;
  return { nominal, min, max: nominal + (borrowing === undefined ? serverSeats : Math.round((nominal * borrowing) / 100)) };
}

export interface SeatAssignment {
  /** By name of level. */
  readonly limits: ReadonlyMap<string, number>;
  /** The share of their targets that levels got which neither bound held. */
  readonly fairFraction: number;
  readonly targets: ReadonlyMap<string, number>;
}

/** What each level gets until the next adjustment. */
export function assignSeats(levels: readonly LevelDemand[]): SeatAssignment {
  const limits = new Map<string, number>();
  const targets = new Map<string, number>();
  let left = 0;
  for (const { bounds } of levels) left += bounds.nominal;
  for (const level of levels) {
    if (!level.exempt) continue;
    const used = Math.max(level.bounds.min, level.demand.highWatermark);
    limits.set(level.name, used);
    targets.set(level.name, used);
    left -= used;
  }
  const limited = levels.filter((level) => !level.exempt).map((level) => ({ ...level, least: leastOf(level) }));
  for (const { name, least, demand } of limited) targets.set(name, Math.max(least, demand.smoothed));
  const minSum = limited.reduce((sum, { bounds }) => sum + bounds.min, 0);
  const leastSum = limited.reduce((sum, { least }) => sum + least, 0);
  let fairFraction = 0;
  if (left <= minSum) for (const { name, bounds } of limited) limits.set(name, bounds.min);
  else if (left <= leastSum) {
    const part = (left - minSum) / (leastSum - minSum);
    for (const { name, bounds, least } of limited) limits.set(name, bounds.min + Math.round((least - bounds.min) * part));
  } else {
    const wishes = limited.map(({ name, bounds, least }) => ({ name, least, most: bounds.max, target: targets.get(name) ?? least }));
    fairFraction = fairFractionOf(wishes, left);
    for (const wish of wishes) limits.set(wish.name, Math.round(granted(wish, fairFraction)));
  }
  return { limits, fairFraction, targets };
}

/** No less than its minimum, and no less than it used as long as that was its own. */
function leastOf({ bounds, demand }: LevelDemand): number {
  return Math.max(bounds.min, Math.min(bounds.nominal, demand.highWatermark));
}

interface Wish {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  readonly target: number;
}

const granted = ({ least, most, target }: Wish, fraction: number): number => Math.min(most, Math.max(least, fraction * target));

/** The one fraction of everybody's target that together uses exactly `seats`, each kept within its bounds. */
function fairFractionOf(wishes: readonly Wish[], seats: number): number {
  let low = 0;
  let high = Math.max(1, ...wishes.map(({ most, target }) => (target > 0 ? most / target : 0)));
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (wishes.reduce((sum, wish) => sum + granted(wish, middle), 0) < seats) low = middle;
    else high = middle;
  }
  return high;
}
