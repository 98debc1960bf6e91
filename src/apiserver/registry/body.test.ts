// What is said of bodies with fields that are not known or given twice; the rest of reading bodies is tested by the verbs.
import { describe, expect, it } from "vitest";
import { parseJson } from "../../api/encode/json-text.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { decodeAs } from "./body.ts";
import type { ExpectedKind } from "./expected-kind.ts";

const deployment: ExpectedKind = { group: "apps", version: "v1", kind: "Deployment" };

function refusal(text: string, expected = deployment): string {
  try {
    decodeAs(parseJson(text), expected, "Strict", () => {});
  } catch (error) {
    if (error instanceof StatusError) return error.message.replace(/.*strict decoding error: /, "");
    throw error;
  }
  return "";
}

const body = (spec: string): string => `{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"d"},"spec":${spec}}`;

describe("decodeAs() names unknown and repeated fields", () => {
  it("in the order of the text", () => {
    expect(refusal(body('{"foo":"a","replicas":2,"replicas":3}'))).toBe('unknown field "spec.foo", duplicate field "spec.replicas"');
    expect(refusal(body('{"replicas":2,"replicas":3,"foo":"a"}'))).toBe('duplicate field "spec.replicas", unknown field "spec.foo"');
  });

  it("once each, and nothing within a field that is not known", () => {
    expect(refusal(body('{"replicas":1,"foo":{"a":1,"a":2},"replicas":2,"foo":3,"replicas":3}'))).toBe(
      'unknown field "spec.foo", duplicate field "spec.replicas"',
    );
  });

  it("those that are repeated in YAML as one problem, with a line for each", () => {
    const duplicates = ['line 7: key "a" already set in map', 'line 8: key "a" already set in map'];
    const value: unknown = JSON.parse(body('{"foo":1}'));
    expect(() => decodeAs({ value, duplicates }, deployment, "Strict", () => {})).toThrow(
      `strict decoding error: yaml: unmarshal errors:\n  ${duplicates.join("\n  ")}, unknown field "spec.foo"`,
    );
    const warnings: string[] = [];
    decodeAs({ value, duplicates }, deployment, "Warn", (text) => void warnings.push(text));
    expect(warnings).toEqual([...duplicates, 'unknown field "spec.foo"']);
  });

  it("repeated ones first where the kind is a custom one", () => {
    const decode = (object: unknown) => ({ object: object as Readonly<Record<string, unknown>>, unknown: ["spec.foo"] });
    const custom = { group: "example.com", version: "v1", kind: "Deployment", decode };
    const text = body('{"foo":"a","a":2,"a":3}').replace("apps/v1", "example.com/v1");
    expect(refusal(text, custom)).toBe('duplicate field "spec.a", unknown field "spec.foo"');
  });
});
