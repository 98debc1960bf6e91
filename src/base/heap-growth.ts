// How far V8 lets its heap grow before it collects garbage. By itself it doubles what was left after the last time, which costs
// least while memory is plenty: of a process that holds half a gigabyte most of another one is garbage. A process that holds
// that much by design trades some processor time for the memory.
import { setFlagsFromString } from "node:v8";

/** From now on old objects are collected when they have grown by so many percent. */
export function limitHeapGrowth(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}
