// Object literals that begin with a spread, written anew for V8 11 (Node 20): `{ ...object, more }` gives each object that it
// makes a hidden class of its own there, which costs ten times the copy, hundreds of bytes each, and makes every access to such
// objects slow. Where anything stands before the spread, all of them share one class. So `...{}` is put before it, and members of
// a literal that is spread into another one become members of the outer one. Copies that variables are given (`const copy =
// { ...object }`, `copy ??= { ...object }`) are written anew as well: a plain copy shares its class, but not what becomes of it
// when something is added. What the literals mean stays the same.
import { readFileSync } from "node:fs";
import ts from "typescript";

/** For esbuild: every TypeScript module that matches. */
export const sharedClasses = (filter) => ({
  name: "object literals share hidden classes",
  setup({ onLoad }) {
    onLoad({ filter }, ({ path }) => ({ contents: withSharedClasses(readFileSync(path, "utf8"), path), loader: "ts" }));
  },
});

/** The source with its literals as said above. */
export function withSharedClasses(source, path = "module.ts") {
  if (!source.includes("...")) return source;
  const edits = [];
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.Latest, false);
  const visit = (node) => {
    if (ts.isObjectLiteralExpression(node)) editLiteral(node, edits, file);
    for (const copy of copiesIn(valueGiven(node))) shareFirst(copy, edits, file);
    ts.forEachChild(node, visit);
  };
  visit(file);
  edits.sort((a, b) => b.start - a.start);
  return edits.reduce((text, { start, end, by }) => text.slice(0, start) + by + text.slice(end), source);
}

function editLiteral(node, edits, file) {
  const { properties } = node;
  const [first] = properties;
  for (const property of properties) if (isLiteralSpread(property)) inline(property, edits, file);
  if (!first || !ts.isSpreadAssignment(first) || isLiteralSpread(first) || properties.length === 1) return;
  shareFirst(node, edits, file);
}

function shareFirst({ properties: [first] }, edits, file) {
  const start = first.getStart(file);
  edits.push({ start, end: start, by: "...{}, " });
}

const assignments = new Set([ts.SyntaxKind.EqualsToken, ts.SyntaxKind.QuestionQuestionEqualsToken]);

/** What a variable or a field is given, where the node gives one something. */
function valueGiven(node) {
  if (ts.isVariableDeclaration(node)) return node.initializer;
  return ts.isBinaryExpression(node) && assignments.has(node.operatorToken.kind) ? node.right : undefined;
}

/** The copies that an expression may be. */
function copiesIn(value) {
  if (!value) return [];
  if (ts.isParenthesizedExpression(value)) return copiesIn(value.expression);
  if (ts.isConditionalExpression(value)) return [...copiesIn(value.whenTrue), ...copiesIn(value.whenFalse)];
  return isCopy(value) ? [value] : [];
}

/** `{ ...object }`. */
function isCopy(node) {
  return (
    ts.isObjectLiteralExpression(node) &&
    node.properties.length === 1 &&
    ts.isSpreadAssignment(node.properties[0]) &&
    !isLiteralSpread(node.properties[0])
  );
}

/** `...{ a, b }`: a literal with members. */
function isLiteralSpread(property) {
  return ts.isSpreadAssignment(property) && ts.isObjectLiteralExpression(property.expression) && property.expression.properties.length > 0;
}

function inline({ expression }, edits, file) {
  const { properties } = expression;
  const start = expression.getStart(file);
  // The dots and the brace go, and with the closing brace a comma that the outer literal has of its own.
  edits.push({ start: start - 3, end: start + 1, by: "" });
  const last = properties[properties.length - 1];
  edits.push({ start: last.getEnd(), end: expression.getEnd(), by: "" });
}
