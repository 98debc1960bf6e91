// docs/conformance.md says which test checks what each of upstream's conformance tests checks. The list of their names lies outside
// the project (../shared); where it is not there, only the files that the table names are looked for.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "../support/processes.ts";

const list = join(projectRoot, "../shared/kubernetes-1.36/conformance-tests.txt");

/** Rows by their full name, "[sig-apps] CronJob should …". */
function rowsOf(text: string): ReadonlyMap<string, string> {
  const rows = new Map<string, string>();
  let section = "";
  for (const line of text.split("\n")) {
    section = /^## (sig-[\w-]+)$/.exec(line)?.[1] ?? section;
    const [, name, covered] = /^\| (.+?) \| (.+) \|$/.exec(line) ?? [];
    if (name !== undefined && covered !== undefined && !/^(test|---)$/.test(name)) rows.set(`[${section}] ${name}`, covered);
  }
  return rows;
}

const rows = rowsOf(readFileSync(join(projectRoot, "docs/conformance.md"), "utf8"));

test("every row names test files that are there, or says why it is not covered", () => {
  const wrong = [...rows].filter(([, covered]) => {
    const files = [...covered.matchAll(/`([^`]+)`/g)].map(([, file = ""]) => file);
    if (files.length === 0) return !/^not covered: ./.test(covered);
    return files.some((file) => !file.endsWith(".test.ts") || !existsSync(join(projectRoot, file)));
  });
  expect(wrong).toEqual([]);
  expect(rows.size).toBeGreaterThan(0);
});

if (!existsSync(list)) console.log("the table is not held against the list of names: the list is not at hand");

test.runIf(existsSync(list))("every conformance test of v1.36 has a row, and nothing else has", () => {
  const names = readFileSync(list, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  expect([...rows.keys()].sort()).toEqual(names.map((name) => name.replace(" [Conformance]", "")).sort());
});
