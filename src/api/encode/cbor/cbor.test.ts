import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { builtInSchemas } from "../../schema/schema.ts";
import { JsonNumber, withPlainNumbers } from "../json-text.ts";
import { CborError, checkWellFormed } from "./data-items.ts";
import { readCbor, readCborType } from "./read-cbor.ts";
import { writeCbor, writeCborEvent, writeCborItem, writeCborListHead } from "./write-cbor.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
/** A value in a map, where an object may have anything. */
const itemOf = (item: string): unknown => (readCbor(hex(`a1 6161 ${item}`), undefined).value as { a: unknown }).a;
const problemOf = (read: () => unknown): string => {
  try {
    read();
  } catch (error) {
    if (error instanceof CborError) return error.message;
    throw error;
  }
  return "";
};
const configMap = builtInSchemas.get("core-v1.ConfigMap");
const secret = builtInSchemas.get("core-v1.Secret");

describe("readCbor()", () => {
  it.each([
    ["00", 0],
    ["1818", 24],
    ["1903e8", 1000],
    ["1a000f4240", 1_000_000],
    ["1b000000e8d4a51000", 1_000_000_000_000],
    ["20", -1],
    ["3903e7", -1000],
    ["f93e00", 1.5],
    ["fb3ff199999999999a", 1.1],
    ["fac47a2000", -1000.5],
    ["f4", false],
    ["f5", true],
    ["f6", null],
    ["6449455446", "IETF"],
    ["62c3bc", "\u00fc"],
    ["4449455446", "IETF"],
    ["7f657374726561646d696e67ff", "streaming"],
    ["5f43737472 4465616d69 42 6e67 ff", "streaming"],
    ["9fff", []],
    ["9f018202039f0405ffff", [1, [2, 3], [4, 5]]],
    ["bf61610161629f0203ffff", { a: 1, b: [2, 3] }],
    ["d9d9f7 01", 1],
    ["d9d9f7 d9d9f7 01", 1],
    ["d903e7 6161", "a"],
    ["c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"],
    ["c11a514b67b0", "2013-03-21T20:04:00Z"],
    ["c1fb41d452d9ec200000", "2013-03-21T20:04:00.5Z"],
    ["d5 44 6869 3f3e", "aGk_Pg"],
    ["d6 42 6869", "aGk="],
    ["d7 42 6869", "6869"],
    ["d6 81 42 6869", ["aGk="]],
  ])("reads %s", (item, value) => {
    expect(withPlainNumbers(itemOf(item))).toEqual(value);
  });

  it("keeps what is said of a number: integers beyond JavaScript's and whole floating-point ones", () => {
    expect(itemOf("1b0020000000000001")).toEqual(new JsonNumber("9007199254740993"));
    expect(itemOf("1b7fffffffffffffff")).toEqual(new JsonNumber("9223372036854775807"));
    expect(itemOf("3b7fffffffffffffff")).toEqual(new JsonNumber("-9223372036854775808"));
    expect(itemOf("f94000")).toEqual(new JsonNumber("2.0"));
  });

  it.each([
    ["", "EOF"],
    ["a1", "unexpected EOF"],
    ["a1616178", "unexpected EOF"],
    ["ff", 'cbor: unexpected "break" code'],
    ["bf616100 6162 ff", 'cbor: unexpected "break" code'],
    ["a000", "cbor: 1 bytes of extraneous data starting at index 1"],
    ["a161611c", "cbor: invalid additional information 28 for type positive integer"],
    ["a161611f", "cbor: invalid additional information 31 for type positive integer"],
    ["a16161f818", "cbor: invalid simple value 24 for type primitives"],
    ["a161617f4161ff", "cbor: wrong element type byte string for indefinite-length UTF-8 text string"],
    ["a161617f7f6161ffff", "cbor: indefinite-length UTF-8 text string chunk is not definite-length"],
    ["a16161f97e00", "cbor: data item of cbor type primitives is not accepted by protocol: floating-point NaN"],
    ["a16161fa7f800000", "cbor: data item of cbor type primitives is not accepted by protocol: floating-point infinity"],
    ["a16161c249010000000000000000", "cbor: data item of cbor type tag is not accepted by protocol: bignum"],
    ["a16161f7", "cbor: data item of cbor type primitives is not accepted by protocol: simple value 23 is not recognized"],
    ["a1616162c328", "cbor: invalid UTF-8 string"],
    ["a261610041 6100", 'cbor: found duplicate map key "a" at map element index 1'],
    [
      "a1616a 1bffffffffffffffff",
      "cbor: cannot unmarshal positive integer into Go value of type int64 (18446744073709551615 overflows Go's int64)",
    ],
    ["a10500", "cbor: cannot unmarshal positive integer into Go value of type string"],
    ["80", "cbor: cannot unmarshal array into Go value of type map[string]interface {}"],
  ])("refuses %s", (bytes, problem) => {
    expect(problemOf(() => readCbor(hex(bytes), undefined))).toBe(problem);
  });

  it("believes no length: what is said to be huge takes neither time nor memory", () => {
    expect(problemOf(() => checkWellFormed(hex("a16161 7affffffff")))).toBe("unexpected EOF");
    expect(problemOf(() => checkWellFormed(hex("a16161 9a7fffffff")))).toBe("unexpected EOF");
    expect(problemOf(() => checkWellFormed(hex("9b7fffffffffffffff")))).toBe(
      "cbor: exceeded max number of elements 2147483647 for CBOR array",
    );
    expect(problemOf(() => checkWellFormed(hex("bb00000000ffffffff")))).toBe(
      "cbor: exceeded max number of key-value pairs 2097152 for CBOR map",
    );
    expect(problemOf(() => checkWellFormed(hex("7bffffffffffffffff")))).toMatch(
      /^cbor: UTF-8 text string length 18446744073709551615 is too/,
    );
    expect(problemOf(() => checkWellFormed(hex("bbffffffffffffffff")))).toMatch(/^cbor: map length 18446744073709551615 is too large, it/);
  });

  it("goes no deeper than what walks objects may", () => {
    const nested = (levels: number, head: number): Uint8Array => {
      const bytes = new Uint8Array(levels + 1).fill(head);
      bytes[levels] = 0;
      return bytes;
    };
    for (const head of [0x81, 0xc6]) {
      expect(() => checkWellFormed(nested(500, head))).not.toThrow();
      expect(problemOf(() => checkWellFormed(nested(100_000, head)))).toBe("cbor: exceeded max nested level 10000");
    }
    expect(problemOf(() => checkWellFormed(new Uint8Array(100_000).fill(0x9f)))).toBe("cbor: exceeded max nested level 10000");
  });

  it("checks an object against its schema, and tells the outermost field", () => {
    expect(problemOf(() => readCbor(hex("a1 6464617461 a1 616b 05"), configMap))).toBe(
      "cbor: cannot unmarshal positive integer into Go struct field v1.ConfigMap.data of type string",
    );
    expect(problemOf(() => readCbor(hex("a1 686d65746164617461 a1 646e616d65 f5"), configMap))).toBe(
      "cbor: cannot unmarshal primitives into Go struct field v1.ConfigMap.metadata of type string",
    );
    const { value, unknown } = readCbor(hex("a2 6464617461 a0 646e6f7065 01"), configMap);
    expect(value).toEqual({ data: {} });
    expect(unknown).toBe("cbor: found unknown field at map element index 1");
  });

  it("takes bytes for base64, unless a tag says that they are to become it", () => {
    const read = (item: string): unknown =>
      (readCbor(hex(`a1 6464617461 a1 616b ${item}`), secret).value as { data: { k: string } }).data.k;
    expect(read("44 61476b3d")).toBe("aGk=");
    expect(read("d6 42 6869")).toBe("aGk=");
    expect(read("d7 42 6869")).toBe("aGk=");
    expect(problemOf(() => read("43 232323"))).toBe("cbor: failed to decode base64 from byte string: illegal base64 data at input byte 0");
    expect(problemOf(() => read("62 6869"))).toBe(
      "cbor: cannot unmarshal UTF-8 text string into Go struct field v1.Secret.data of type []uint8",
    );
  });

  it("makes no prototype of a key", () => {
    const { value } = readCbor(hex(`a1 69 ${Buffer.from("__proto__").toString("hex")} a1 6161 01`), undefined);
    expect(Object.keys(value as object)).toEqual(["__proto__"]);
    expect(({} as { a?: unknown }).a).toBeUndefined();
  });
});

describe("readCborType()", () => {
  it("reads no more than what a body says that it is", () => {
    expect(readCborType(hex("a3 6161 f7 446b696e64 43506f64 6a61706956657273696f6e 627631"))).toEqual({ apiVersion: "v1", kind: "Pod" });
    expect(readCborType(hex("f6"))).toEqual({});
    expect(problemOf(() => readCborType(hex("80")))).toContain("array into Go value of type v1.TypeMeta");
    expect(problemOf(() => readCborType(hex("a1 646b696e64 05")))).toContain("Go struct field v1.TypeMeta.kind of type string");
  });
});

describe("writeCbor()", () => {
  it("writes strings as bytes, the shortest numbers, and nothing of what is absent", () => {
    const object = { s: "\u00fc", n: [0, 24, 1000, -1, 1.5, 1.1, 100_000.5, 5e-324, 1e300, null, true], gone: undefined };
    expect(hexOf(writeCbor(object))).toBe(
      "d9d9f7a2417342c3bc416e8b0018181903e820f93e00fb3ff199999999999afa47c35040fb0000000000000001fb7e37e43c8800759cf6f5",
    );
  });

  it("tags the bytes of built-in kinds, in objects, lists and events", () => {
    const object = { apiVersion: "v1", kind: "Secret", data: { k: "aGk=" } };
    expect(hexOf(writeCbor(object))).toContain("416bd6426869");
    expect(hexOf(writeCbor({ apiVersion: "v1", kind: "SecretList", items: [{ data: { k: "aGk=" } }] }))).toContain("416bd6426869");
    expect(hexOf(writeCbor({ ...object, apiVersion: "example.io/v1" }))).toContain("416b4461476b3d");
    expect(hexOf(writeCborEvent("ADDED", writeCbor(object)))).toMatch(/^d9d9f7a24474797065454144444544466f626a656374d9d9f7a3/);
    const head = writeCborListHead({ kind: "SecretList", apiVersion: "v1", metadata: {} }, 1);
    const list = Buffer.concat([head, writeCborItem({ data: { k: "aGk=" } }, secret)]);
    expect(readCbor(list, undefined).value).toEqual({
      kind: "SecretList",
      apiVersion: "v1",
      metadata: {},
      items: [{ data: { k: "aGk=" } }],
    });
  });

  it("writes numbers of fields that hold floating-point ones as such", () => {
    const schema = builtInSchemas.get("apiextensions-v1.JSONSchemaProps");
    expect(hexOf(writeCborItem({ minimum: 2, minLength: 2 }, schema))).toBe("a2476d696e696d756df94000496d696e4c656e67746802");
  });

  it("gives back what readCbor() reads, for any JSON", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), (object) => {
        expect(withPlainNumbers(readCbor(writeCbor(object), undefined).value)).toEqual(JSON.parse(JSON.stringify(object)));
      }),
      { numRuns: 500, seed: 36 },
    );
  });
});

describe("any bytes", () => {
  const refusedOrRead = (bytes: Uint8Array): void => {
    for (const schema of [undefined, configMap, secret]) problemOf(() => readCbor(bytes, schema));
    problemOf(() => readCborType(bytes));
  };

  it("are read or refused, and nothing else happens", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), refusedOrRead), { numRuns: 3000, seed: 36 });
  });

  it("are read or refused where an object was damaged", () => {
    const object = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "a", labels: { b: "c" } },
      data: { k: "aGk=" },
      n: [1.5, -3, null],
    };
    const whole = writeCbor(object);
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(damage, fc.nat(whole.length), (changes, length) => {
        const bytes = whole.slice(0, length);
        for (const [at, byte] of changes) if (at < length) bytes[at] = byte;
        refusedOrRead(bytes);
      }),
      { numRuns: 3000, seed: 36 },
    );
  });
});
