// What a long-lived process asks of V8: when it collects garbage, and when it optimizes.
import { setFlagsFromString } from "node:v8";

/**
 * From now on old objects are collected when they have grown by so many percent. By itself V8 doubles what was left after the
 * last time, which costs least while memory is plenty: of a process that holds half a gigabyte most of another one is garbage.
 * A process that holds that much by design trades some processor time for the memory.
 */
export function limitHeapGrowth(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}

/** How much bytecode a function runs before V8 looks whether it is worth optimizing: its own default is 67,584. */
const interruptBudget = 10_000;

/**
 * From now on functions are optimized after a sixth of the calls that V8 waits for by itself. It has nothing between the code it
 * makes at once and the one it makes of what it has seen for long, and a server runs thousands of functions, each a little. To be
 * called when a process has started: what runs only then is not worth it. Versions after 11 have a compiler in between.
 */
export function optimizeSooner(): void {
  if (process.versions.v8.startsWith("11.")) setFlagsFromString(`--interrupt-budget=${interruptBudget}`);
}
