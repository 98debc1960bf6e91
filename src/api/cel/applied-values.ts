// What an apply configuration of a mutating policy says, for the check of its types. Upstream hands the check values of Go, and
// some values of expressions are none that JSON has: a null, bytes, an instant, a span or a quantity is of no type that a field
// asks for, and is told of by its Go form.
import { CelError } from "../../cel/cel-error.ts";
import { durationText, timestampText } from "../../cel/go-text.ts";
import { celToJson } from "../../cel/json.ts";
import { CelDuration, CelList, CelMap, CelObject, CelOpaque, CelTimestamp, CelTypeValue, type CelValue } from "../../cel/values.ts";
import { GoValue } from "../patch/managed-fields/go-value.ts";

/** `unreadable`: what to throw for a map whose keys are no texts. */
export function appliedValue(value: CelValue, unreadable: () => Error): unknown {
  const inner = (child: CelValue | undefined): unknown => appliedValue(child ?? null, unreadable);
  if (value === null) return new GoValue({ type: "structpb.NullValue", literal: "0", text: "NULL_VALUE" });
  if (value instanceof CelTypeValue) return value.name;
  if (value instanceof Uint8Array) return bytes(value);
  if (value instanceof CelTimestamp) return instant(value);
  if (value instanceof CelDuration)
    return new GoValue({ type: "time.Duration", literal: String(value.nanoseconds), text: durationText(value) });
  if (value instanceof CelOpaque) {
    const text = String(celToJson(value));
    return new GoValue({ type: value.typeName, literal: text, text });
  }
  if (value instanceof CelList) return [...value].map(inner);
  if (value instanceof CelMap) {
    const keys = [...value.keys()];
    if (!keys.every((key) => typeof key === "string")) throw unreadable();
    return Object.fromEntries(keys.map((key) => [key, inner(value.find(key))]));
  }
  if (value instanceof CelObject) return Object.fromEntries([...value.fields()].map((field) => [field, inner(value.find(field))]));
  return celToJson(value);
}

/** The same as JSON, for merging what has passed the check. */
export function mergeableValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mergeableValue);
  if (value instanceof GoValue) throw new CelError(`unsupported type conversion from '${value.type}' to JSON`);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, mergeableValue(child)]));
}

function bytes(value: Uint8Array): GoValue {
  const hex = [...value].map((byte) => `0x${byte.toString(16)}`);
  return new GoValue({ type: "[]uint8", literal: `[]uint8{${hex.join(", ")}}`, text: `[${[...value].join(" ")}]` });
}

const months = "January February March April May June July August September October November December".split(" ");

function instant(value: CelTimestamp): GoValue {
  const text = timestampText(value);
  const date = new Date(text);
  const nanoseconds = ((value.nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), nanoseconds].join(", ");
  const literal = `time.Date(${date.getUTCFullYear()}, time.${months[date.getUTCMonth()]}, ${date.getUTCDate()}, ${clock}, time.UTC)`;
  return new GoValue({ type: "time.Time", literal, text: `${text.replace("T", " ").replace("Z", "")} +0000 UTC` });
}
