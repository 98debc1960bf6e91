// Whatever clients send, the functions that read it give a value or one of the errors they document, in bounded time, and
// what they have read they read again when it is written. The seed is fixed; a failure prints it with the counterexample.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WireError } from "../../base/protobuf/wire.ts";
import { isQuantity, parseQuantity } from "../meta/quantity.ts";
import { parseFieldSelector, parseLabelSelector, SelectorError } from "../meta/selectors.ts";
import { StatusError } from "../meta/status-error.ts";
import { applyJsonPatch, checkJsonPatch } from "../patch/json-patch.ts";
import { applyMergePatch, checkMergePatch } from "../patch/merge-patch.ts";
import { applyStrategicMergePatch } from "../patch/strategic-merge-patch.ts";
import { builtInSchemas, type ObjectSchema } from "../schema/schema.ts";
import { parseObjectBody } from "./body.ts";
import { DecodeError, decodeObject } from "./decode.ts";
import { parseJson, withPlainNumbers } from "./json-text.ts";
import { readEnvelope, wrapMessage } from "./protobuf/envelope.ts";
import { decodeMessage, encodeMessage } from "./protobuf/message.ts";
import { parseYaml, stringify, YamlSyntaxError } from "./yaml-text.ts";

/** Runs each property for the same cases every time; `share` is that of the 5 s for all of them together, at the very most. */
const budget = (numRuns: number): fc.Parameters<unknown> => ({
  numRuns,
  seed: 20_261_129,
  interruptAfterTimeLimit: 1000,
  endOnFailure: true,
});

/** The result, or undefined where one of the documented errors was thrown; any other error goes on. */
function orRefused<T>(read: () => T, ...documented: readonly (new (...parts: never[]) => Error)[]): T | undefined {
  try {
    return read();
  } catch (error) {
    if (documented.some((type) => error instanceof type)) return undefined;
    throw error;
  }
}

const pod: ObjectSchema = builtInSchemas.get("core-v1.Pod");
const definition: ObjectSchema = builtInSchemas.get("apiextensions-v1.CustomResourceDefinition");

/** Pieces that mean something to the readers, and anything at all between them. */
const pieces = (...meaningful: readonly string[]): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...meaningful) }, { weight: 1, arbitrary: fc.string({ maxLength: 6 }) }), {
      maxLength: 30,
    })
    .map((parts) => parts.join(""));

const jsonText = pieces(
  "{",
  "}",
  "[",
  "]",
  ":",
  ",",
  '"a"',
  '"spec"',
  '"metadata"',
  "1",
  "-",
  "1.5",
  "1e9",
  "null",
  "true",
  "\\",
  '"',
  " ",
  "\n",
);
const yamlText = pieces(
  "a",
  ":",
  ": ",
  "- ",
  "? ",
  "[",
  "]",
  "{",
  "}",
  ",",
  "\n",
  "\n  ",
  "&a ",
  "*a",
  "<<: ",
  "!!int ",
  "|\n",
  ">",
  "'",
  '"',
  "#",
  "---\n",
  "0644",
  "~",
);

const key = fc.constantFrom(
  "metadata",
  "name",
  "labels",
  "spec",
  "containers",
  "env",
  "image",
  "status",
  "__proto__",
  "$patch",
  "$retainKeys",
  "$setElementOrder/containers",
  "$deleteFromPrimitiveList/finalizers",
  "finalizers",
  "ports",
  "containerPort",
  "kind",
);
const leaf = fc.constantFrom<unknown>(null, true, 0, 1.5, "", "a", "delete", "replace", "1Gi", "2026-01-01T00:00:00Z", 2 ** 40);
const value: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.dictionary(key, tie("value"), { maxKeys: 5, noNullPrototype: true }),
    fc.array(tie("value"), { maxLength: 3 }),
  ),
})).value;
const object = fc.dictionary(key, value, { maxKeys: 5, noNullPrototype: true });

/** Equal as JSON: what cannot be told apart on the wire. */
function sameJson(a: unknown, b: unknown): void {
  expect(JSON.parse(JSON.stringify(a))).toEqual(JSON.parse(JSON.stringify(b)));
}

describe("bodies", () => {
  test("of JSON are read as JSON.parse reads them, or refused with a Status", () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const body = orRefused(() => parseObjectBody(text, "Pod"), StatusError);
        if (body && body.duplicates.length === 0) sameJson(withPlainNumbers(body.value), JSON.parse(text));
        if (body?.value) orRefused(() => decodeObject(pod, body.value), DecodeError);
      }),
      budget(2500),
    );
  });

  test("of YAML are refused with a Status, or give JSON that is the same when written and read again", () => {
    fc.assert(
      fc.property(yamlText, (text) => {
        orRefused(() => parseObjectBody(text, "Pod", "yaml"), StatusError);
        const parsed = orRefused(() => parseYaml(text), YamlSyntaxError);
        if (parsed) sameJson(parseJson(JSON.stringify(parsed.value)).value, parsed.value);
      }),
      budget(1200),
    );
    fc.assert(
      fc.property(object, (given) =>
        sameJson(parseYaml(stringify(given, { version: "1.1", aliasDuplicateObjects: false })).value ?? {}, given),
      ),
      budget(150),
    );
  });

  test("decode once: what was decoded decodes to itself", () => {
    fc.assert(
      fc.property(object, (given) => {
        const decoded = orRefused(() => decodeObject(pod, given), DecodeError);
        if (decoded) sameJson(decodeObject(pod, decoded.object).object, decoded.object);
      }),
      budget(1000),
    );
  });

  test("of protobuf give a value or a WireError, whatever the bytes; messages are read as they were written", () => {
    const bytes = fc.array(
      fc.oneof(fc.constantFrom(0x0a, 0x12, 0x1a, 0x22, 0x08, 0x10, 0x01, 0x02, 0x05, 0x7b, 0x7d, 0x80, 0xff, 0x0b), fc.nat(255)),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(bytes, fc.constantFrom(pod, definition), (content, schema) => {
        const message = Uint8Array.from(content);
        orRefused(() => readEnvelope(Uint8Array.of(0x6b, 0x38, 0x73, 0, ...content)), WireError);
        const fields = orRefused(() => decodeMessage(schema, message), WireError);
        if (fields) orRefused(() => decodeObject(schema, fields), DecodeError);
      }),
      budget(2500),
    );
    fc.assert(
      fc.property(object, (given) => {
        const decoded = orRefused(() => decodeObject(pod, given), DecodeError)?.object;
        if (!decoded) return;
        const { message } = readEnvelope(wrapMessage({ apiVersion: "v1", kind: "Pod" }, encodeMessage(pod, decoded)));
        const { kind: _kind, ...fields } = decodeObject(pod, decodeMessage(pod, message)).object;
        const { kind: _sent, ...sent } = decoded;
        sameJson(fields, sent);
      }),
      budget(700),
    );
  });
});

describe("patches", () => {
  const path = fc
    .array(fc.oneof(key, fc.constantFrom("0", "1", "-", "-1", "01", "~0", "~", "")), { maxLength: 4 })
    .map((keys) => keys.map((k) => `/${k.replaceAll("/", "~1")}`).join(""));
  const operation = fc.record(
    { op: fc.constantFrom("add", "remove", "replace", "move", "copy", "test", "none"), path, from: path, value },
    { requiredKeys: ["op"] },
  );

  test("of JSON give a document or a Status, and leave the given one alone", () => {
    fc.assert(
      fc.property(object, fc.oneof(fc.array(operation, { maxLength: 8 }), value), (document, patch) => {
        const before = JSON.stringify(document);
        const result = orRefused(() => applyJsonPatch(document, checkJsonPatch(patch)), StatusError);
        expect(JSON.stringify(document)).toBe(before);
        if (result !== undefined) sameJson(parseJson(JSON.stringify(result)).value, result);
      }),
      budget(2000),
    );
  });

  // Nulls in lists go or stay, as in upstream's library, by what was there before: a second time decides.
  test("that merge change nothing when applied a third time, and leave the given document alone", () => {
    fc.assert(
      fc.property(object, value, (document, patch) => {
        const before = JSON.stringify(document);
        const once = orRefused(() => applyMergePatch(document, checkMergePatch(patch)), StatusError);
        if (!once) return;
        const twice = applyMergePatch(once, checkMergePatch(patch));
        sameJson(applyMergePatch(twice, checkMergePatch(patch)), twice);
        expect(JSON.stringify(document)).toBe(before);
      }),
      budget(1500),
    );
  });

  test("that merge strategically give an object or a Status, and leave the given one alone", () => {
    fc.assert(
      fc.property(object, value, (document, patch) => {
        const before = JSON.stringify(document);
        const result = orRefused(() => applyStrategicMergePatch(document, patch, pod), StatusError);
        if (result) expect(typeof result).toBe("object");
        expect(JSON.stringify(document)).toBe(before);
      }),
      budget(1500),
    );
  });
});

describe("selectors", () => {
  const labelText = pieces("a", "b/c", "=", "==", "!=", "!", ",", " in ", " notin ", "(", ")", ">", "<", " ", "1", "é");
  const fieldText = pieces("metadata.name", "spec.nodeName", "=", "==", "!=", ",", "\\", "\\,", "a", " ");

  test("of labels are read back from their own text, matching the same", () => {
    fc.assert(
      fc.property(labelText, (text) => {
        const selector = orRefused(() => parseLabelSelector(text), SelectorError);
        if (!selector) return;
        const again = parseLabelSelector(selector.toString());
        expect(again.requirements).toEqual(selector.requirements);
        for (const labels of [{}, { a: "1" }, { a: "b", "b/c": "" }]) expect(again.matches(labels)).toBe(selector.matches(labels));
      }),
      budget(2500),
    );
  });

  test("of fields are read back from their own text", () => {
    fc.assert(
      fc.property(fieldText, (text) => {
        const selector = orRefused(() => parseFieldSelector(text), SelectorError);
        if (selector) expect(parseFieldSelector(selector.toString()).requirements).toEqual(selector.requirements);
      }),
      budget(2500),
    );
  });
});

test("quantities are refused, or written as a text that is the same amount", () => {
  const text = pieces(
    "0",
    "1",
    "9",
    "000",
    ".",
    "+",
    "-",
    "E",
    "e",
    "i",
    "n",
    "u",
    "m",
    "k",
    "K",
    "M",
    "G",
    "T",
    "P",
    "Ki",
    "e3",
    "999999999999",
  );
  fc.assert(
    fc.property(text, (given) => {
      if (!isQuantity(given)) return;
      const quantity = parseQuantity(given);
      const written = quantity.toString();
      expect(parseQuantity(written).nanos).toBe(quantity.nanos);
      expect(parseQuantity(written).toString()).toBe(written);
    }),
    budget(4000),
  );
});
