// JSONPath as printer columns and selectable fields of custom resources use it: fields, quoted fields, indexes, wildcards and
// filters that compare a field with a constant (`.status.conditions[?(@.type=="Ready")].status`).

type Step = (values: readonly unknown[]) => unknown[];
type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads a path once. Gives all values found; none for a path that cannot be read. */
export function compileJsonPath(path: string): (object: unknown) => readonly unknown[] {
  const steps = stepsOf(path.trim().replace(/^\{(.*)\}$/s, "$1"));
  if (!steps) return () => [];
  return (object) => steps.reduce<readonly unknown[]>((values, step) => step(values), [object]);
}

/** The field names of a path that is nothing but fields: ".spec.replicas". */
export function fieldsOfPath(path: string): readonly string[] {
  return path.split(".").filter((field) => field !== "");
}

const token =
  /\.?\*|\.?\[\*\]|\.((?:\\.|[^.[\]\\])+)|\.?\[(-?\d+)\]|\.?\['([^']*)'\]|\.?\["([^"]*)"\]|\.?\[\?\(@((?:\.[^=!<>\s)]+)+)\s*(==|!=)\s*([^)]+)\)\]/;

function stepsOf(path: string): readonly Step[] | undefined {
  const steps: Step[] = [];
  let text = path.startsWith("$") ? path.slice(1) : path;
  if (text !== "" && !text.startsWith(".") && !text.startsWith("[")) text = `.${text}`;
  // Filters hold paths of their own, which are read meanwhile: each has its own place in its text.
  const reader = new RegExp(token, "y");
  while (reader.lastIndex < text.length) {
    const found = reader.exec(text);
    if (!found) return undefined;
    const [, field, index, single, double, filterPath, operator, constant] = found;
    const name = field?.replace(/\\(.)/g, "$1") ?? single ?? double;
    if (name !== undefined) steps.push(fieldStep(name));
    else if (index !== undefined) steps.push(indexStep(Number(index)));
    else if (filterPath !== undefined) steps.push(filterStep(filterPath, operator === "==", constantOf(constant ?? "")));
    else steps.push(everyStep);
  }
  return steps;
}

const fieldStep =
  (name: string): Step =>
  (values) =>
    values.flatMap((value) => (isFields(value) && Object.hasOwn(value, name) ? [value[name]] : []));

const indexStep =
  (index: number): Step =>
  (values) =>
    values.flatMap((value) => {
      const at = Array.isArray(value) ? value.at(index) : undefined;
      return at === undefined ? [] : [at];
    });

const everyStep: Step = (values) => values.flatMap((value) => (Array.isArray(value) ? value : isFields(value) ? Object.values(value) : []));

function filterStep(path: string, equal: boolean, constant: unknown): Step {
  const read = compileJsonPath(path);
  return (values) =>
    values
      .flatMap((value) => (Array.isArray(value) ? value : []))
      .filter((item) => {
        const found = read(item);
        return found.length > 0 && (found[0] === constant) === equal;
      });
}

function constantOf(text: string): unknown {
  const trimmed = text.trim();
  const quoted = /^(["'])(.*)\1$/s.exec(trimmed);
  if (quoted) return quoted[2];
  if (trimmed === "true" || trimmed === "false") return trimmed === "true";
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}
