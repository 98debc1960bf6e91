// What Go says of JSON that is of another type than its structures have: such texts are part of answers about tokens.

/** As Go says that a JSON value is of another type. `field`: of a structure, "idToken.sub". */
export function cannotDecode(value: unknown, goType: string, field?: string): string {
  const kind = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  return `json: cannot unmarshal ${kind} into Go ${field === undefined ? "value" : `struct field ${field}`} of type ${goType}`;
}
