import { describe, expect, it } from "vitest";
import { parseObjectBody } from "./body.ts";

const unrecognized = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ";
const claimType = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

describe("parseObjectBody()", () => {
  it("tells what the body claims to be", () => {
    expect(parseObjectBody('{"apiVersion":"v1","kind":"Pod"}', "Pod")).toMatchObject({ apiVersion: "v1", kind: "Pod", duplicates: [] });
    expect(parseObjectBody("kind: Pod\nspec: {}\n", "Pod", "yaml")).toMatchObject({ apiVersion: "", kind: "Pod", value: { spec: {} } });
    expect(parseObjectBody("null", "Pod")).toMatchObject({ apiVersion: "", kind: "", value: null });
  });

  it.each([
    ["", "unexpected end of JSON input (<empty>)"],
    ["{", "unexpected end of JSON input ({)"],
    ['{"apiVersion":"v1","kind":"ConfigMap"', 'unexpected end of JSON input ({"apiVersion":"v1","kind":"Con ...)'],
    ["[]", `json: cannot unmarshal array into Go value of type ${claimType} (5b5d)`],
    ['"x"', `json: cannot unmarshal string into Go value of type ${claimType} (227822)`],
    [
      '{"apiVersion":"v1","kind":5}',
      'json: cannot unmarshal number into Go struct field .kind of type string ({"apiVersion":"v1","kind":5})',
    ],
  ])("refuses %j", (text, problem) => {
    expect(() => parseObjectBody(text, "ConfigMap")).toThrow(expect.objectContaining({ code: 400, message: unrecognized + problem }));
  });
});
