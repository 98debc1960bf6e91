// The thresholds below which a node protects itself, as KubeletConfiguration writes them: by signal an amount ("100Mi") or a
// part of the whole ("10%"). Hard ones act at once, soft ones after their grace period; each may ask for a minimum to be
// reclaimed beyond it. What memory the node may not fall below is kept from its pods as a whole, too
// (allocatableMemory.available), and the file system of containers follows the one it lies on.
import { parseQuantity, type Quantity, quantityOf } from "../../api/meta/quantity.ts";
import { parseDuration } from "../../base/duration.ts";

export const evictionSignals = [
  "memory.available",
  "nodefs.available",
  "nodefs.inodesFree",
  "imagefs.available",
  "imagefs.inodesFree",
  "containerfs.available",
  "containerfs.inodesFree",
  "pid.available",
  "allocatableMemory.available",
] as const;

export type EvictionSignal = (typeof evictionSignals)[number];

export type PressureCondition = "MemoryPressure" | "DiskPressure" | "PIDPressure";

/** An amount, or a part of the capacity between 0 and 1. */
export type ThresholdValue = { readonly quantity: Quantity } | { readonly fraction: number };

export interface Threshold {
  readonly signal: EvictionSignal;
  readonly value: ThresholdValue;
  /** How long it has to be undercut before pods are evicted; 0 for hard thresholds. */
  readonly gracePeriodMs: number;
  readonly minReclaim?: ThresholdValue;
}

export type SignalTexts = Readonly<Record<string, string>>;

/** Fields of KubeletConfiguration, by their names there. */
export interface ThresholdConfig {
  readonly evictionHard?: SignalTexts;
  readonly evictionSoft?: SignalTexts;
  /** Durations as Go writes them. */
  readonly evictionSoftGracePeriod?: SignalTexts;
  readonly evictionMinimumReclaim?: SignalTexts;
  /** Those not named in evictionHard keep their defaults. Default false. */
  readonly mergeDefaultEvictionSettings?: boolean;
  /** Default ["pods"]. */
  readonly enforceNodeAllocatable?: readonly string[];
}

export const defaultEvictionHard: SignalTexts = {
  "memory.available": "100Mi",
  "nodefs.available": "10%",
  "nodefs.inodesFree": "5%",
  "imagefs.available": "15%",
  "imagefs.inodesFree": "5%",
};

/** The resource a signal tells of, as messages name it. */
export function resourceOfSignal(signal: EvictionSignal): "memory" | "ephemeral-storage" | "inodes" | "pids" {
  if (signal === "memory.available" || signal === "allocatableMemory.available") return "memory";
  if (signal === "pid.available") return "pids";
  return signal.endsWith(".inodesFree") ? "inodes" : "ephemeral-storage";
}

export function conditionOfSignal(signal: EvictionSignal): PressureCondition {
  const resource = resourceOfSignal(signal);
  return resource === "memory" ? "MemoryPressure" : resource === "pids" ? "PIDPressure" : "DiskPressure";
}

export const isHard = ({ gracePeriodMs }: Threshold): boolean => gracePeriodMs === 0;

/** The amount below which a resource of this capacity is short. */
export function thresholdQuantity(value: ThresholdValue, capacity: Quantity): Quantity {
  return "quantity" in value ? value.quantity : quantityOf(Math.trunc(capacity.value() * value.fraction), "BinarySI");
}

/** All thresholds of a configuration, hard ones first. Throws with what is wrong and where. */
export function parseThresholds(config: ThresholdConfig): readonly Threshold[] {
  const { evictionSoft = {}, evictionSoftGracePeriod = {}, evictionMinimumReclaim = {} } = config;
  const enforced = config.enforceNodeAllocatable ?? ["pods"];
  const given = config.evictionHard ?? defaultEvictionHard;
  const hard = config.mergeDefaultEvictionSettings ? { ...defaultEvictionHard, ...given } : given;
  const periods = new Map(entriesOf(evictionSoftGracePeriod).map(([signal, text]) => [signal, parsePeriod(signal, text)]));
  const reclaims = new Map(entriesOf(evictionMinimumReclaim).map(([signal, text]) => [signal, parseReclaim(signal, text)]));
  const make = (signal: EvictionSignal, text: string, gracePeriodMs: number): readonly Threshold[] => {
    const value = parseValue(signal, text);
    const minReclaim = reclaims.get(signal);
    return value ? [{ signal, value, gracePeriodMs, ...(minReclaim ? { minReclaim } : {}) }] : [];
  };
  const soft = entriesOf(evictionSoft).flatMap(([signal, text]) => {
    const gracePeriodMs = periods.get(signal);
    if (gracePeriodMs === undefined) throw new Error(`grace period must be specified for the soft eviction threshold ${signal}`);
    return make(signal, text, gracePeriodMs);
  });
  const all = [...entriesOf(hard).flatMap(([signal, text]) => make(signal, text, 0)), ...soft];
  return enforced.includes("pods") ? [...all, ...forAllPods(all)] : all;
}

/** What the node keeps free, its pods as a whole keep free of what they may use. */
function forAllPods(thresholds: readonly Threshold[]): readonly Threshold[] {
  return thresholds
    .filter((t) => t.signal === "memory.available" && isHard(t))
    .map((t) => ({ ...t, signal: "allocatableMemory.available" }));
}

/** Where images and writable layers lie. */
export interface DiskLayout {
  /** Images are on another file system than the kubelet's files. */
  readonly dedicatedImageFs: boolean;
  /** And writable layers on another one than images. */
  readonly separateContainerFs: boolean;
}

/** Thresholds of the containers' file system are those of the one it is: whatever was configured for it is replaced. */
export function withContainerFs(thresholds: readonly Threshold[], layout: DiskLayout): readonly Threshold[] {
  const source = layout.dedicatedImageFs && !layout.separateContainerFs ? "imagefs" : "nodefs";
  const rest = thresholds.filter((t) => !t.signal.startsWith("containerfs."));
  const copies = rest
    .filter((t) => t.signal.startsWith(`${source}.`))
    .map((t): Threshold => ({ ...t, signal: t.signal.replace(source, "containerfs") as EvictionSignal }));
  return [...rest, ...copies];
}

function entriesOf(texts: SignalTexts): readonly (readonly [EvictionSignal, string])[] {
  return Object.entries(texts).map(([signal, text]) => {
    const known = evictionSignals.find((s) => s === signal);
    if (known === undefined) throw new Error(`unsupported eviction signal ${signal}`);
    return [known, text] as const;
  });
}

/** Undefined for "0%" and "100%", which switch a threshold off. */
function parseValue(signal: EvictionSignal, text: string): ThresholdValue | undefined {
  if (text === "0%" || text === "100%") return undefined;
  if (text.endsWith("%")) {
    const fraction = parseFraction(signal, text);
    if (fraction < 0) throw new Error(`eviction percentage threshold ${signal} must be >= 0%: ${text}`);
    if (fraction > 1) throw new Error(`eviction percentage threshold ${signal} must be <= 100%: ${text}`);
    return { fraction };
  }
  const quantity = parseQuantity(text);
  if (quantity.sign <= 0) throw new Error(`eviction threshold ${signal} must be positive: ${quantity}`);
  return { quantity };
}

function parseReclaim(signal: EvictionSignal, text: string): ThresholdValue {
  if (text.endsWith("%")) {
    const fraction = parseFraction(signal, text);
    if (fraction <= 0) throw new Error(`eviction percentage minimum reclaim ${signal} must be positive: ${text}`);
    return { fraction };
  }
  const quantity = parseQuantity(text);
  if (quantity.sign < 0) throw new Error(`negative eviction minimum reclaim specified for ${signal}`);
  return { quantity };
}

/** In single precision, as upstream reckons: allocatable amounts come out to the byte as there. */
function parseFraction(signal: EvictionSignal, text: string): number {
  const number = Number(text.slice(0, -1));
  if (text === "%" || Number.isNaN(number)) throw new Error(`eviction percentage of ${signal}: expected a number and "%", not "${text}"`);
  return Math.fround(Math.fround(number) / 100);
}

function parsePeriod(signal: EvictionSignal, text: string): number {
  const period = parseDuration(text);
  if (period === undefined) throw new Error(`eviction grace period of ${signal}: expected a duration like "1m30s", not "${text}"`);
  if (period < 0) throw new Error(`invalid eviction grace period specified: ${text}, must be a positive value`);
  return period;
}
