import { describe, expect, it } from "vitest";
import { ConfigError, readConfigDocument } from "./config-fields.ts";

describe("readConfigDocument()", () => {
  it("reads the first document, whatever stands after it", async () => {
    const root = await readConfigDocument("a: 1\n---\nb: {\n", "of a kind");
    expect(root.names()).toEqual(["a"]);
    await expect(readConfigDocument("# nothing\n", "of a kind")).rejects.toThrow(
      new ConfigError("expected a document of a kind, found none"),
    );
  });

  it("tells numbers of 32 bits from longer ones", async () => {
    const root = await readConfigDocument("{least: -2147483648, most: 2147483647, more: 2147483648, less: 1.5}", "of a kind");
    expect([root.int32("least"), root.int32("most"), root.int32("none")]).toEqual([-2147483648, 2147483647, undefined]);
    expect(root.integer("more")).toBe(2147483648);
    expect(() => root.int32("more")).toThrow("more: expected a whole number of 32 bits");
    expect(() => root.int32("less")).toThrow("less: expected a whole number");
  });
});
