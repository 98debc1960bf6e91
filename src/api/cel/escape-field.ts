// Names of fields as expressions write them: what is no identifier of the language, or a reserved word of it, is escaped
// ("a-b" is a__dash__b, "namespace" is __namespace__).

const reserved = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(" "),
);

const escapes: Readonly<Record<string, string>> = { __: "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__" };

/** The name in expressions; undefined for one that cannot be written. */
export function escapeField(name: string): string | undefined {
  if (!/^[A-Za-z_./-][A-Za-z0-9_./-]*$/.test(name)) return undefined;
  if (reserved.has(name)) return `__${name}__`;
  return name.replace(/__|[-./]/g, (part) => escapes[part] ?? part);
}

/** The field of a name in an expression, which may be a reserved word that is not escaped where it cannot be misread (x.namespace). */
export const fieldOfName = <T>(fields: Pick<ReadonlyMap<string, T>, "get">, name: string): T | undefined =>
  fields.get(name) ?? (reserved.has(name) ? fields.get(`__${name}__`) : undefined);
