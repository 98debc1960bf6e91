import { describe, expect, it } from "vitest";
import { type Decoded, RecentObjects } from "./recent-objects.ts";

class Item implements Decoded {
  readonly storedBytes: number;
  used = false;
  isDecoded = true;

  constructor(storedBytes = 1) {
    this.storedBytes = storedBytes;
  }

  wasUsed(): boolean {
    const was = this.used;
    this.used = false;
    return was;
  }

  letGo(): void {
    this.isDecoded = false;
  }
}

const addAll = (recent: RecentObjects, items: readonly Item[]): void => {
  for (const item of items) recent.add(item);
};
const itemsOf = (count: number, bytes = 1): Item[] => Array.from({ length: count }, () => new Item(bytes));
const decodedOf = (items: readonly Item[]): boolean[] => items.map(({ isDecoded }) => isDecoded);

describe("RecentObjects", () => {
  it("lets the oldest go when there are more than may be", () => {
    const items = itemsOf(4);
    addAll(new RecentObjects({ maxObjects: 2 }), items);
    expect(decodedOf(items)).toEqual([false, false, true, true]);
  });

  it("lets so many go that the bytes fit, but never the newest", () => {
    const recent = new RecentObjects({ maxBytes: 10 });
    const items = [...itemsOf(3, 3), ...itemsOf(1, 8), ...itemsOf(1, 100)];
    addAll(recent, items.slice(0, 4));
    expect(decodedOf(items.slice(0, 4))).toEqual([false, false, false, true]);
    addAll(recent, items.slice(4));
    expect(decodedOf(items)).toEqual([false, false, false, false, true]);
    addAll(recent, itemsOf(1, 3));
    expect(items[4]?.isDecoded).toBe(false);
    expect(recent.size).toBe(1);
  });

  it("gives what has been used a second chance, once", () => {
    const recent = new RecentObjects({ maxObjects: 2 });
    const items = itemsOf(5);
    addAll(recent, items.slice(0, 2));
    (items[0] as Item).used = true;
    addAll(recent, items.slice(2, 3));
    expect(decodedOf(items.slice(0, 3))).toEqual([true, false, true]);
    addAll(recent, items.slice(3));
    expect(decodedOf(items)).toEqual([false, false, false, true, true]);
  });

  it("does bounded work where all are used all the time", () => {
    const recent = new RecentObjects({ maxObjects: 100 });
    let asked = 0;
    const items = itemsOf(5000).map((item) => Object.assign(item, { wasUsed: () => ++asked > 0 }));
    addAll(recent, items);
    expect(recent.size).toBe(100);
    expect(decodedOf(items).filter(Boolean)).toHaveLength(100);
    expect(asked).toBeLessThan(10 * items.length);
  });
});
