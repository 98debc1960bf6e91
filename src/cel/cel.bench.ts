// What every request pays where a webhook or policy has conditions: evaluation of compiled expressions over the object.
import { bench, describe } from "vitest";
import { createCelEnvironment } from "./cel.ts";
import { optionals } from "./extensions/optionals.ts";
import { strings } from "./extensions/strings.ts";
import { dynType } from "./types.ts";

const environment = createCelEnvironment({ libraries: [strings, optionals], variables: { object: dynType, oldObject: dynType } });
const object = {
  metadata: { name: "web", namespace: "default", labels: { app: "web", tier: "front" } },
  spec: {
    replicas: 3,
    containers: Array.from({ length: 10 }, (_, index) => ({ name: `c${index}`, image: `registry.example/app:${index}` })),
  },
};

const program = (expression: string) => {
  const compiled = environment.compile(expression);
  if (!compiled.program) throw new Error(compiled.message);
  return compiled.program;
};

const name = program("object.metadata.name == 'x'");
const labels = program("!has(object.metadata.labels) || object.metadata.labels.exists(k, k == 'tier')");
const images = program("object.spec.containers.all(c, c.image.startsWith('registry.example/'))");
const pattern = program("object.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')");
const given = { object };

describe("evaluate", () => {
  bench("a comparison", () => void name.evaluate(given));
  bench("a label", () => void labels.evaluate(given));
  bench("ten containers", () => void images.evaluate(given));
  bench("a pattern", () => void pattern.evaluate(given));
});

describe("compile", () => {
  bench(
    "a rule",
    () => void environment.compile("object.spec.containers.all(c, c.image.startsWith('registry.example/')) && object.metadata.name != ''"),
  );
});
