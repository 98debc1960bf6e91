import { describe, expect, it } from "vitest";
import { encodeDocumentV2 } from "./document-v2-protobuf.ts";

/** A length-delimited field as the wire has it; everything here is shorter than 128 bytes. */
function field(number: number, ...content: readonly (string | Buffer)[]): Buffer {
  const bytes = Buffer.concat(content.map((c) => (typeof c === "string" ? Buffer.from(c) : c)));
  const tag = (number << 3) | 2;
  return Buffer.concat([Buffer.from(tag < 128 ? [tag] : [(tag & 0x7f) | 0x80, tag >> 7]), Buffer.from([bytes.length]), bytes]);
}
const yes = (number: number): Buffer => Buffer.from([number << 3, 1]);
const head = { swagger: "2.0", info: { title: "T", version: "v" } };
const headBytes = [field(1, "2.0"), field(2, field(1, "T"), field(2, "v"))];

describe("encodeDocumentV2()", () => {
  it("writes schemas: references, types, items, maps and extensions", () => {
    const definitions = {
      A: {
        properties: { b: { $ref: "#/B" }, c: { type: "array", items: { type: "string" } }, d: { additionalProperties: { format: "x" } } },
        "x-kubernetes-k": [1],
      },
    };
    const properties = field(
      25,
      field(1, field(1, "b"), field(2, field(1, "#/B"))),
      field(1, field(1, "c"), field(2, field(22, field(1, "array")), field(23, field(1, field(22, field(1, "string")))))),
      field(1, field(1, "d"), field(2, field(21, field(1, field(2, "x"))))),
    );
    const a = field(2, properties, field(31, field(1, "x-kubernetes-k"), field(2, field(2, "[1]"))));
    const expected = Buffer.concat([...headBytes, field(8), field(9, field(1, field(1, "A"), a)), field(13)]);
    expect(Buffer.from(encodeDocumentV2({ ...head, definitions })).toString("hex")).toBe(expected.toString("hex"));
  });

  it("writes operations: parameters by their place, a body, answers", () => {
    const get = {
      operationId: "o",
      parameters: [
        { name: "p", in: "path", required: true, type: "string" },
        { name: "q", in: "query", type: "string" },
        { name: "body", in: "body", schema: { $ref: "#/B" } },
      ],
      responses: { 200: { description: "OK", schema: { $ref: "#/B" } } },
    };
    const parameters = [
      field(8, field(1, field(2, field(4, yes(1), field(2, "path"), field(4, "p"), field(5, "string"))))),
      field(8, field(1, field(2, field(3, field(2, "query"), field(4, "q"), field(6, "string"))))),
      field(8, field(1, field(1, field(2, "body"), field(3, "body"), field(5, field(1, "#/B"))))),
    ];
    const responses = field(9, field(1, field(1, "200"), field(2, field(1, field(1, "OK"), field(2, field(1, field(1, "#/B")))))));
    const path = field(2, field(1, "/x"), field(2, field(2, field(5, "o"), ...parameters, responses)));
    const expected = Buffer.concat([...headBytes, field(8, path), field(9), field(13)]);
    expect(Buffer.from(encodeDocumentV2({ ...head, paths: { "/x": { get } } })).toString("hex")).toBe(expected.toString("hex"));
  });
});
