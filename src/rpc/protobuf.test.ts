import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WireError } from "../base/protobuf/wire.ts";
import { createCodecs } from "./protobuf.ts";
import type { ProtocolTable } from "./protocol.ts";

const table: ProtocolTable = {
  package: "test",
  services: {},
  enums: { Color: { RED: 0, GREEN: 1, BLUE: 7 } },
  messages: {
    All: [
      "1 text string",
      "2 small int32",
      "3 big int64",
      "4 time int64:bigint",
      "5 counter uint64:rounded",
      "6 flag bool",
      "7 data bytes",
      "8 color Color",
      "9 inner Inner",
      "10 numbers int64[]",
      "11 inners Inner[]",
      "12 labels map<string,string>",
      "13 shares string?",
      "14 ratio double",
      "15 colors Color[]",
      "16 byNumber map<int32,Inner>",
      "17 zigzag sint32",
      "18 half float",
    ].join("; "),
    Inner: "1 name string; 2 child Inner",
    Bare: "",
  },
};

interface Inner {
  readonly name: string;
  readonly child?: Inner;
}

interface All {
  readonly text: string;
  readonly small: number;
  readonly big: number;
  readonly time: bigint;
  readonly counter: number;
  readonly flag: boolean;
  readonly data: Uint8Array;
  readonly color: string;
  readonly inner?: Inner;
  readonly numbers: readonly number[];
  readonly inners: readonly Inner[];
  readonly labels: Readonly<Record<string, string>>;
  readonly shares?: string;
  readonly ratio: number;
  readonly colors: readonly string[];
  readonly byNumber: Readonly<Record<string, Inner>>;
  readonly zigzag: number;
  readonly half: number;
}

const all = createCodecs(table).of<All>("All");
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("createCodecs()", () => {
  test("writes the bytes of the encoding guide", () => {
    expect(hex(all.encode({ text: "testing" }))).toBe("0a0774657374696e67");
    expect(hex(all.encode({ small: 150 }))).toBe("109601");
    expect(hex(all.encode({ small: -2 }))).toBe("10feffffffffffffffff01");
    expect(hex(all.encode({ numbers: [3, 270, 86942] }))).toBe("5206038e029ea705");
    expect(hex(all.encode({ color: "BLUE" }))).toBe("4007");
    expect(hex(all.encode({ labels: { a: "b" } }))).toBe("62060a0161120162");
    expect(hex(all.encode({ zigzag: -2 }))).toBe("880103");
  });

  test("leaves defaults off the wire, except where presence matters", () => {
    expect(all.encode({ text: "", small: 0, time: 0n, data: new Uint8Array(0), color: "RED", numbers: [], labels: {} })).toHaveLength(0);
    expect(hex(all.encode({ shares: "" }))).toBe("6a00");
    expect(hex(all.encode({ inner: {} }))).toBe("4a00");
  });

  test("fills the defaults of everything absent, and leaves messages and optional scalars absent", () => {
    expect(all.decode(new Uint8Array(0))).toEqual({
      text: "",
      small: 0,
      big: 0,
      time: 0n,
      counter: 0,
      flag: false,
      data: new Uint8Array(0),
      color: "RED",
      numbers: [],
      inners: [],
      labels: {},
      ratio: 0,
      colors: [],
      byNumber: {},
      zigzag: 0,
      half: 0,
    });
  });

  test("reads back what it wrote, and complete() is that without the bytes", () => {
    const inner: fc.Arbitrary<Inner> = fc.letrec<{ inner: Inner }>((tie) => ({
      inner: fc.record({ name: fc.string({ unit: "binary" }), child: tie("inner") }, { requiredKeys: ["name"] }),
    })).inner;
    const color = fc.constantFrom("RED", "GREEN", "BLUE");
    const messages = fc.record(
      {
        text: fc.string({ unit: "binary", maxLength: 300 }),
        small: fc.integer(),
        big: fc.maxSafeInteger(),
        time: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        counter: fc.maxSafeNat(),
        flag: fc.boolean(),
        data: fc.uint8Array({ maxLength: 2000 }),
        color,
        inner,
        numbers: fc.array(fc.maxSafeInteger()),
        inners: fc.array(inner),
        labels: fc.dictionary(fc.string(), fc.string()),
        shares: fc.string(),
        ratio: fc.double({ noNaN: true }).filter((x) => !Object.is(x, -0)),
        colors: fc.array(color),
        byNumber: fc.dictionary(fc.integer().map(String), inner),
        zigzag: fc.integer(),
        half: fc.float({ noNaN: true }).filter((x) => !Object.is(x, -0)),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(messages, (message) => {
        const decoded = all.decode(all.encode(message));
        expect(decoded).toEqual(all.complete(message));
        for (const key of Object.keys(message) as (keyof All)[]) expect(decoded[key]).toEqual(all.complete(message)[key]);
      }),
      { numRuns: 150 },
    );
  });

  test("accepts repeated scalars packed and unpacked, in pieces", () => {
    expect(all.decode(Buffer.from("5003" + "52020405" + "5006", "hex")).numbers).toEqual([3, 4, 5, 6]);
  });

  test("skips unknown fields of every wire type", () => {
    // Fields 100 (varint), 101 (fixed64), 102 (delimited), 103 (group holding a varint), 104 (fixed32), then text.
    const unknown = "a00601" + "a9060102030405060708" + "b2060161" + "bb06" + "0801" + "bc06" + "c50601020304" + "0a0178";
    expect(all.decode(Buffer.from(unknown, "hex")).text).toBe("x");
  });

  test("keeps an enum number it has no name for", () => {
    expect(all.decode(Buffer.from("4009", "hex")).color).toBe("9");
    expect(hex(all.encode({ color: "9" }))).toBe("4009");
  });

  test("rounds counters, and refuses other integers beyond 2^53", () => {
    const bytes = Buffer.from("28ffffffffffffffff7f", "hex");
    expect(all.decode(bytes).counter).toBe(2 ** 63);
    expect(() => all.decode(Buffer.from("18ffffffffffffffff7f", "hex"))).toThrow("decoding All: 9223372036854775807 is beyond 2^53");
    expect(all.decode(Buffer.from("20ffffffffffffffff7f", "hex")).time).toBe(2n ** 63n - 1n);
  });

  test("refuses truncated and malformed messages, and values of the wrong type", () => {
    for (const bad of ["0a05", "10", "4a0310", "0800", "10ffffffffffffffffffffff01", "52ff01"])
      expect(() => all.decode(Buffer.from(bad, "hex")), bad).toThrow(WireError);
    expect(() => all.encode({ inner: { name: 4 as unknown as string } })).toThrow("All.inner: Inner.name: expected a string, got number");
    expect(() => all.encode({ small: 2 ** 40 })).toThrow("All.small: expected an integer");
    expect(() => all.encode({ color: "PINK" })).toThrow('All.color: "PINK" is not a value of Color');
  });

  test("a map key cannot reach the prototype", () => {
    const labels = all.decode(all.encode({ labels: JSON.parse('{"__proto__":"x"}') })).labels;
    expect(Object.keys(labels)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(labels)).toBe(Object.prototype);
  });
});
