// Lists in messages as Go prints them with %q: ["a" "b"].

export function quoteList(values: readonly string[]): string {
  return `[${values.map((v) => JSON.stringify(v)).join(" ")}]`;
}
