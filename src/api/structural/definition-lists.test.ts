import { expect, it } from "vitest";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { listMapKeysErrors } from "./definition-lists.ts";

const keysOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `property${index}`);
const listOf = (keys: readonly string[], needed: readonly string[]): JSONSchemaProps => ({
  type: "array",
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": keys,
  items: { type: "object", required: needed, properties: Object.fromEntries(keys.map((key) => [key, { type: "string" }])) },
});

it("keys of a list have to be there, however many there are", () => {
  const keys = keysOf(100_000);
  expect(listMapKeysErrors(listOf(keys, keys.slice(0, -1)), "f").map(({ field }) => field)).toEqual([
    "f.items.properties[property99999].default",
  ]);
});
