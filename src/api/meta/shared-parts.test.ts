import { describe, expect, it } from "vitest";
import { isShared, markShared, oncePerPart, oncePerPartShared, PartsWith, RepeatedParts } from "./shared-parts.ts";

interface Part {
  readonly name: string;
}

describe("RepeatedParts", () => {
  it("gives the part that came the second time to all that come after", () => {
    const parts = new RepeatedParts<Part>();
    const [first, second, third] = [{ name: "a" }, { name: "a" }, { name: "a" }];
    expect(parts.find(first)).toBe(first);
    expect(isShared(first)).toBe(false);
    expect(parts.find(second)).toBe(second);
    expect(isShared(second)).toBe(true);
    expect(parts.find(third)).toBe(second);
    expect(parts.find(second)).toBe(second);
  });

  it("tells parts apart by the order of their fields too", () => {
    const parts = new RepeatedParts<{ readonly a: number; readonly b: number }>();
    parts.find({ a: 1, b: 2 });
    parts.find({ a: 1, b: 2 });
    expect(Object.keys(parts.find({ b: 2, a: 1 }))).toEqual(["b", "a"]);
  });

  it("forgets the older half when it is full, and does not look at what is too long", () => {
    const parts = new RepeatedParts<Part>({ maxTexts: 4, maxLength: 30 });
    for (const name of ["a", "a", "b", "c", "d", "d"]) parts.find({ name });
    parts.find({ name: "e" });
    const [a, d] = [{ name: "a" }, { name: "d" }];
    expect(parts.find(a)).toBe(a);
    expect(isShared(a)).toBe(false);
    expect(parts.find(d)).not.toBe(d);
    const long = [1, 2, 3].map(() => ({ name: "x".repeat(30) }));
    expect(long.map((part) => parts.find(part))).toEqual(long);
    expect(long.some(isShared)).toBe(false);
  });
});

describe("what is found out about parts", () => {
  const counting = () => {
    let count = 0;
    const compute = (part: Part): Part => ({ name: `${part.name}${++count}` });
    return { compute, count: () => count };
  };

  it("is found out once for those that are shared, and each time for others", () => {
    const { compute, count } = counting();
    const once = oncePerPart(compute);
    const part = { name: "p" };
    expect([once(part), once(part)]).toEqual([{ name: "p1" }, { name: "p2" }]);
    markShared(part);
    expect(once(part)).toBe(once(part));
    expect(count()).toBe(3);
    expect(isShared(once(part))).toBe(false);
  });

  it("makes shared parts of shared ones", () => {
    const make = oncePerPartShared(counting().compute);
    const part = { name: "p" };
    expect(isShared(make(part))).toBe(false);
    markShared(part);
    expect(isShared(make(part))).toBe(true);
    expect(make(part)).toBe(make(part));
  });

  it("is found out anew where something else counts that is not the same", () => {
    const { compute, count } = counting();
    const parts = new PartsWith<Part, number>();
    const part = markShared({ name: "p" });
    const of = (context: number): Part => parts.of(part, context, () => compute(part));
    expect(of(1)).toBe(of(1));
    expect(of(2)).toEqual({ name: "p2" });
    expect(of(1)).toEqual({ name: "p3" });
    expect(count()).toBe(3);
  });
});
