// Pieces of the schemas of the Gateway API's definitions: names, references, lists with their bounds, and the parts that several
// kinds share. Lengths and forms are those of the API's documentation.
import type { JSONSchemaProps } from "../../api/types/apiextensions-v1.ts";
import { gatewayGroup } from "./gateway-types.ts";

export type Schema = JSONSchemaProps;

const label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const dnsName = `${label}(\\.${label})*`;

export const text = (maxLength: number, more: Schema = {}): Schema => ({ type: "string", maxLength, ...more });
export const someText = (maxLength: number, more: Schema = {}): Schema => text(maxLength, { minLength: 1, ...more });
export const oneOf = (...values: readonly (string | number)[]): Schema => ({
  type: typeof values[0] === "number" ? "integer" : "string",
  enum: values,
});
export const integer = (minimum: number, maximum: number, more: Schema = {}): Schema => ({
  ...{ type: "integer", format: "int32", minimum, maximum },
  ...more,
});

export const objectName = someText(253);
export const sectionName = someText(253, { pattern: `^${dnsName}$` });
export const namespaceName = someText(63, { pattern: `^${label}$` });
export const groupName = text(253, { pattern: `^$|^${dnsName}$` });
export const kindName = someText(63, { pattern: "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$" });
export const hostname = someText(253, { pattern: `^(\\*\\.)?${dnsName}$` });
export const preciseHostname = someText(253, { pattern: `^${dnsName}$` });
export const controllerName = someText(253, { pattern: `^${dnsName}\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$` });
export const portNumber = integer(1, 65_535);
const fieldName = someText(256, { pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$" });

export function object(properties: Readonly<Record<string, Schema>>, required: readonly string[] = [], more: Schema = {}): Schema {
  return { type: "object", properties, ...(required.length > 0 ? { required } : {}), ...more };
}

export function list(items: Schema, maxItems: number, more: Schema = {}): Schema {
  return { type: "array", items, maxItems, "x-kubernetes-list-type": "atomic", ...more };
}

/** A list that several writers may share, entry by entry. */
export function keyedList(items: Schema, maxItems: number, key: string, more: Schema = {}): Schema {
  return list(items, maxItems, { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key], ...more });
}

export const rules = (...pairs: readonly (readonly [rule: string, message: string])[]): Schema => ({
  "x-kubernetes-validations": pairs.map(([rule, message]) => ({ rule, message })),
});

/** Of an object of the core group unless it says otherwise. */
export const referenceTo = (kind: string, more: Readonly<Record<string, Schema>> = {}, rest: Schema = {}): Schema =>
  object(
    {
      group: { ...groupName, default: "" },
      kind: { ...kindName, default: kind },
      name: objectName,
      namespace: namespaceName,
      ...more,
    },
    ["name"],
    rest,
  );

export const routeKind = object({ group: { ...groupName, default: gatewayGroup }, kind: kindName }, ["kind"]);

export const labelSelector = object(
  {
    matchLabels: { type: "object", additionalProperties: { type: "string" } },
    matchExpressions: {
      ...{ type: "array", "x-kubernetes-list-type": "atomic" },
      items: object(
        {
          key: { type: "string" },
          operator: { type: "string" },
          values: { type: "array", items: { type: "string" }, "x-kubernetes-list-type": "atomic" },
        },
        ["key", "operator"],
      ),
    },
  },
  [],
  { "x-kubernetes-map-type": "atomic" },
);

const conditionSchema = object(
  {
    type: text(316),
    status: oneOf("True", "False", "Unknown"),
    observedGeneration: { type: "integer", format: "int64", minimum: 0 },
    lastTransitionTime: { type: "string", format: "date-time" },
    reason: someText(1024),
    message: text(32_768),
  },
  ["type", "status", "lastTransitionTime", "reason", "message"],
);

export const conditions = (more: Schema = {}): Schema => keyedList(conditionSchema, 8, "type", more);

/** What an object says before any controller has looked at it. */
export const waiting = (...types: readonly string[]): readonly object[] =>
  types.map((type) => ({
    ...{ type, status: "Unknown", reason: "Pending", message: "Waiting for controller" },
    lastTransitionTime: "1970-01-01T00:00:00Z",
  }));

const headerValue = object({ name: fieldName, value: someText(4096) }, ["name", "value"]);

export const headerModifier = object({
  set: keyedList(headerValue, 16, "name"),
  add: keyedList(headerValue, 16, "name"),
  remove: list({ type: "string" }, 16, { "x-kubernetes-list-type": "set" }),
});

/** How a header, or a parameter of the query, is compared. */
export const valueMatch = object(
  { type: { ...oneOf("Exact", "RegularExpression"), default: "Exact" }, name: fieldName, value: someText(4096) },
  ["name", "value"],
);
