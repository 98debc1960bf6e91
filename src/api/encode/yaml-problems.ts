// What is wrong with a text that is no YAML, in the words of the Go library that upstream uses. Its scanner and its parser
// count lines differently, and neither names the first line: kept, as clients show these texts.

/** What our parser says of a text. */
export interface YamlProblem {
  readonly code: string;
  readonly message: string;
  /** Counted from 1. */
  readonly line: number;
}

interface GoProblem {
  readonly text: string;
  /** Where Go's scanner found it, counted from 0; or its parser, which shows this number as it is. */
  readonly line: number;
  readonly by: "scanner" | "parser";
}

/** "yaml: line 3: did not find expected key". */
export function yamlProblemText(problem: YamlProblem, text: string): string {
  const { text: words, line, by } = goProblem(problem, text);
  if (line === 0) return `yaml: ${words}`;
  return `yaml: line ${by === "scanner" ? line + 1 : line}: ${words}`;
}

function goProblem({ code, message, line: found }: YamlProblem, text: string): GoProblem {
  const line = found - 1;
  const scanner = (words: string): GoProblem => ({ text: words, line, by: "scanner" });
  switch (code) {
    case "BLOCK_AS_IMPLICIT_KEY":
      return scanner("mapping values are not allowed in this context");
    case "TAB_AS_INDENT":
    case "BAD_SCALAR_START":
      return scanner("found character that cannot start any token");
    case "MULTILINE_IMPLICIT_KEY":
      return scanner("could not find expected ':'");
    case "MISSING_CHAR":
    case "BAD_INDENT":
      return missing(message, line, text) ?? scanner("could not find expected ':'");
    default:
      return { text: "did not find expected key", line, by: "parser" };
  }
}

/** Something that was opened and not closed. */
function missing(message: string, line: number, text: string): GoProblem | undefined {
  if (message.includes("quote")) return { text: "found unexpected end of stream", line, by: "scanner" };
  const closing = message.startsWith("Flow sequence") ? "]" : message.startsWith("Flow map") ? "}" : undefined;
  if (closing === undefined) return undefined;
  const wantsContent = /[[{,:]\s*$/.test(text);
  return {
    text: wantsContent ? "did not find expected node content" : `did not find expected ',' or '${closing}'`,
    line: endLine(text),
    by: "parser",
  };
}

/** The line after the last one, where a text that goes on would go on. */
function endLine(text: string): number {
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.length - 1 : lines.length;
}
