// Costs are upstream's: they decide which rules a definition may have, and when an evaluation ends.
import { describe, expect, test } from "vitest";
import { createCelEnvironment, maxCelCost } from "../cel.ts";
import { lists } from "../extensions/lists.ts";
import { optionals } from "../extensions/optionals.ts";
import { sets } from "../extensions/sets.ts";
import { strings } from "../extensions/strings.ts";
import { twoVariableComprehensions } from "../extensions/two-variables.ts";
import { type CelType, celObjectType, dynType, intType, listOf, mapOf, stringType } from "../types.ts";

const libraries = [strings, sets, lists, optionals, twoVariableComprehensions];
const item = celObjectType(
  "Item",
  () =>
    new Map([
      ["k", { type: stringType }],
      ["v", { type: stringType }],
      ["w", { type: stringType }],
    ]),
);
const self = celObjectType(
  "Self",
  () =>
    new Map<string, { readonly type: CelType }>([
      ["text", { type: stringType }],
      ["ints", { type: listOf(intType) }],
      ["map", { type: mapOf(stringType, intType) }],
      ["items", { type: listOf(item) }],
      ["any", { type: dynType }],
    ]),
);
const given = {
  self: {
    text: "twenty characters 20",
    ints: [1, 1, 2, 2, 3, 3, 4, 5],
    map: { b: 1, d: 2 },
    items: [
      { k: "a1", v: "b1" },
      { k: "a2", v: "b2" },
      { k: "a3", v: "b3", w: "z" },
    ],
    any: "25%",
  },
};

const environment = createCelEnvironment({ libraries, variables: { self } });

describe("what an evaluation cost", () => {
  test.each([
    // A literal is free, also a list of literals; a name costs 1, and so does each field and index.
    ["1 == 1", 1],
    ["[1, 2] == [1, 2]", 1],
    ["self.ints == self.ints", 5],
    ["self.ints[0] == 1", 4],
    ["self.ints[self.ints[0]] == 1", 6],
    ["[self.ints[0]] == [1]", 14],
    ["{'a': self.ints[0]} == {'a': 1}", 34],
    // Presence of a field: what it is taken of.
    ["has(self.text)", 1],
    ["!has(self.items[0].w)", 4],
    // Texts by the tenth of a character.
    ["self.text == self.text", 6],
    ["self.text == 'x'", 3],
    ["self.text < self.text", 6],
    ["self.text + 'x' != ''", 5],
    ["self.text.startsWith('x')", 4],
    ["self.text.endsWith('x')", 4],
    ["self.text.contains('char')", 4],
    ["self.text.matches('^[^0-9]*$')", 11],
    ["size(self.text) == 20", 4],
    ["string(bytes(self.text)) == self.text", 10],
    // Both sides of && and ||, and the branch that is taken.
    ["true || self.text == 'x'", 0],
    ["self.ints[0] == 2 || self.ints[0] == 1", 8],
    ["self.ints[0] == 1 ? self.text == '' : false", 6],
    ["(self.ints[0] == 1 ? self.text : '') == ''", 5],
    // Membership.
    ["2 in self.ints", 10],
    ["self.ints[0] in [1, 2]", 3],
    ["'b' in self.map", 3],
    // Loops: each round costs what its condition and step cost.
    ["self.ints.all(e, e > 0)", 43],
    ["self.ints.exists(e, e > 2)", 36],
    ["self.ints.exists_one(e, e > 4)", 22],
    ["self.ints.filter(e, e % 2 == 0).size() == 3", 68],
    ["self.ints.map(e, e * 20).filter(e, e > 50).exists(e, e == 60)", 194],
    ["self.map.all(k, self.map[k] > 0)", 17],
    ["self.map.all(k, v, v > 0)", 13],
    ["self.map.transformMap(k, v, v > 1, v + 1).size() == 1", 14],
    ["self.map.transformMapEntry(k, v, {k + '2': v + 1}).size() == 2", 77],
    ["self.ints.transformList(i, e, e > 2, e * 2).size() > 0", 77],
    // What has no value costs as well.
    ["self.items.exists(m, m.w == 'z')", 24],
    ["!self.items.all(m, m.w != 'z')", 22],
    ["self.items.map(m, has(m.w) && m.w == 'z', m.w).size() == 1", 25],
    // Extensions.
    ["self.text.lowerAscii() == self.text", 8],
    ["self.text.replace(' ', 'x') != ''", 6],
    ["self.text.split(' ').join('') != ''", 10],
    ["self.text.indexOf('y') == 5", 5],
    ["self.text.charAt(0) == 't'", 4],
    ["'%d'.format([self.ints[0]]) == '1'", 15],
    ["sets.contains(self.ints, [1])", 11],
    ["sets.equivalent(self.ints, [1])", 19],
    ["self.ints.slice(0, 2).size() == 2", 17],
    ["self.ints.sort().size() == 8", 143],
    ["self.ints.reverse().distinct().size() == 5", 162],
    ["self.?text.orValue('') != ''", 2],
    ["self.?text.hasValue()", 3],
    ["optional.of(self.text).value() != ''", 4],
    ["type(self.any) == string ? self.any == '25%' : false", 7],
  ] as const)("%s costs %d", (expression, cost) => {
    const { program, message } = environment.compile(expression);
    expect(message).toBeUndefined();
    expect(program?.evaluate(given).cost).toBe(cost);
  });
});

describe("what an evaluation may cost", () => {
  const number: CelType = { kind: "double", maxSize: 0 };
  const text = (maxSize: number): CelType => ({ kind: "string", maxSize });
  const list = (items: CelType, maxSize: number): CelType => ({ kind: "list", items, maxSize });
  const estimate = (expression: string, type: CelType, estimateRoot?: CelType) => {
    const options = { libraries, variables: { self: type }, ...(estimateRoot && { estimateRoot }) };
    const { program, message } = createCelEnvironment(options).compile(expression);
    expect(message).toBeUndefined();
    return program?.cost;
  };

  test.each([
    ["self.all(x, true)", list(number, 10), 2, 32],
    ["self.all(x, self.all(y, true))", list(number, 10), 2, 352],
    ["self.all(x, self.all(y, self.all(z, true)))", list(number, 10), 2, 3552],
    ["self[1] == 0.0", list(number, 5000), 2, 2],
    ["self.all(x, x.y == 25.2)", list({ kind: "map", values: number, maxSize: 9 }, 12), 2, 74],
    ["self[1] == self[1]", list(text(100), 8), 5, 14],
    ["self.contains('test')", text(40), 1, 5],
    ["self.startsWith('test')", text(60), 2, 2],
    ["self.matches('x')", text(200), 2, 22],
    ["''.matches('(((((((((())))))))))[0-9]')", text(1), 7, 7],
    ["self.matches('')", text(100), 1, 1],
    ["size(self + 'hello') > size('hello')", text(16), 5, 7],
    ["self == 'x'", text(0), 1, 1],
    ["true || self == 'x'", text(10), 0, 2],
    ["self == 'x' ? 1 : 2", text(10), 2, 2],
    ["[1, 2].transformList(i, v, v + 1)", number, 49, 49],
    ["[1, 2].transformList(i, v, v < 5, v + 1)", number, 27, 53],
    ["{'a': 1, 'b': 2}.exists(k, v, v > 0)", number, 39, 43],
    ["{'a': 1, 'b': 2}.transformMapEntry(k, v, {k: v + 1})", number, 131, 131],
    ["sets.contains([[1], [2, 3]], [[2, 3]])", number, 53, 53],
    ["!sets.equivalent([1, 2], [1, 2])", number, 30, 30],
    ["'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", number, 7, 9],
    ["strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')", number, 7, 11],
    ["'abc 123 def 123'.replace('123', '456').split(' ')", number, 6, 6],
  ] as const)("%s: from %d to %d", (expression, type, min, max) => {
    expect(estimate(expression, type)).toEqual({ min, max });
  });

  test("is without bound where a size is not declared", () => {
    expect(estimate("self.all(x, true)", listOf(intType))?.max).toBe(maxCelCost);
    expect(estimate("self.all(x, self.all(y, true))", listOf(intType))?.max).toBe(maxCelCost);
  });

  test("takes the root's size for names of types, as upstream does", () => {
    const root = text(1000);
    expect(estimate("type(self) == string", root, root)?.max).toBe(103);
    expect(estimate("type(self) == string", root)?.max).toBeGreaterThan(1e17);
    expect(estimate("type(self) == type(1)", root, root)?.max).toBeGreaterThan(1e17);
  });

  test("takes the root's size for elements of literals, as upstream does", () => {
    const root = text(1000);
    expect(estimate("['a'].all(x, x == self)", root, root)).toEqual({ min: 14, max: 116 });
    expect(estimate("['a'].all(x, x == self)", root)).toEqual({ min: 14, max: 17 });
  });
});
