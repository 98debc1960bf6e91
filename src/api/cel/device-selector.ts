// Selectors of devices (resource.k8s.io): an expression over one device's driver, attributes and capacities. Attributes and
// capacities are found by domain and name; names without a domain are in the driver's. A domain that a device does not have
// is an empty map, so that only the name has to be asked for.
import { type CelEnvironment, CelError } from "../../cel/cel.ts";
import { bindings } from "../../cel/extensions/bindings.ts";
import { boolType, type CelType, dynType, stringType } from "../../cel/types.ts";
import { CelMap, type CelValue, celTypeName } from "../../cel/values.ts";
import type { Device, DeviceAttribute } from "../types/resource-v1.ts";
import { compilationProblem, typeText } from "./expression.ts";
import { kubernetesEnvironment } from "./kubernetes-environment.ts";
import { celQuantity, quantityType } from "./library/quantity.ts";
import { parseSemver } from "./library/semver.ts";
import { CelEntries } from "./library/values.ts";
import { structure } from "./structure.ts";

/** What evaluating a selector may cost. */
export const maxSelectorCost = 1_000_000;
const maxPerDevice = 32;

const domain = { ...stringType, maxSize: 63 };
const id = { ...stringType, maxSize: 32 };

const byDomain = (value: CelType): CelType => ({
  kind: "map",
  keys: domain,
  maxSize: maxPerDevice,
  values: { kind: "map", keys: id, values: value, maxSize: maxPerDevice },
});

const deviceType = structure("kubernetes.DRADevice", {
  driver: { ...stringType, maxSize: 63 },
  allowMultipleAllocations: { ...boolType, maxSize: 1 },
  attributes: byDomain({ ...dynType, maxSize: 64 }),
  capacity: byDomain({ ...quantityType, maxSize: 0 }),
});

let known: CelEnvironment | undefined;
const environment = (): CelEnvironment =>
  (known ??= kubernetesEnvironment().extend({ libraries: [bindings], variables: { device: deviceType } }));

/** What a selector looks at. */
export type SelectableDevice = Pick<Device, "attributes" | "capacity" | "allowMultipleAllocations"> & { readonly driver: string };

export type CompiledDeviceSelector =
  /** Throws CelError where the expression has no value for the device. */
  | { readonly matches: (device: SelectableDevice) => boolean; readonly maxCost: () => number; readonly problem?: undefined }
  | { readonly matches?: undefined; readonly problem: string; readonly isInternal?: boolean };

export function compileDeviceSelector(expression: string): CompiledDeviceSelector {
  const { program, ...failure } = environment().compile(expression);
  const resultType = program ? program.resultType : failure.resultType;
  if (resultType && resultType.kind !== "bool" && resultType.kind !== "dyn")
    return { problem: `must evaluate to bool or the unknown type, not ${typeText(resultType)}` };
  if (!program) return { problem: compilationProblem(failure), isInternal: failure.stage === "plan" };
  return {
    maxCost: () => program.cost.max,
    matches(device) {
      const { value } = program.evaluate({ device: variableOf(device) }, { costLimit: maxSelectorCost });
      if (typeof value === "boolean") return value;
      const found = celTypeName(value);
      throw new CelError(`CEL result of type ${found} could not be converted to bool: type conversion error from '${found}' to 'bool'`);
    },
  };
}

/** What is wrong with a selector, or what it may cost. */
export function deviceSelectorProblem(expression: string): {
  readonly problem?: string;
  readonly isInternal?: boolean;
  readonly cost: number;
} {
  const compiled = compileDeviceSelector(expression);
  if (compiled.matches) return { cost: compiled.maxCost() };
  return { problem: compiled.problem, isInternal: compiled.isInternal ?? false, cost: 0 };
}

function variableOf({ driver, allowMultipleAllocations = false, attributes = {}, capacity = {} }: SelectableDevice): unknown {
  return {
    driver,
    allowMultipleAllocations,
    attributes: new Domains(attributes, driver, attributeValue),
    capacity: new Domains(capacity, driver, (_name, { value }) => celQuantity(value)),
  };
}

const noEntries = new CelEntries(new Map());

/** Entries by domain and name; empty for any domain that is not there. */
class Domains<T> extends CelMap {
  readonly #domains = new Map<string, Map<string, CelValue>>();

  constructor(entries: Readonly<Record<string, T>>, driver: string, read: (name: string, entry: T) => CelValue) {
    super();
    for (const [name, entry] of Object.entries(entries)) {
      const slash = name.indexOf("/");
      const domain = slash < 0 ? driver : name.slice(0, slash);
      const known = this.#domains.get(domain) ?? new Map<string, CelValue>();
      known.set(slash < 0 ? name : name.slice(slash + 1), read(name, entry));
      this.#domains.set(domain, known);
    }
  }

  get size(): number {
    return this.#domains.size;
  }

  override has(key: CelValue): boolean {
    return typeof key === "string" && this.#domains.has(key);
  }

  find(key: CelValue): CelValue | undefined {
    const entries = typeof key === "string" ? this.#domains.get(key) : undefined;
    return entries ? new CelEntries(entries) : noEntries;
  }

  keys(): Iterable<CelValue> {
    return this.#domains.keys();
  }
}

/** Lists are for a gate that is off. */
function attributeValue(name: string, { int, bool, string, version }: DeviceAttribute): CelValue {
  if (int !== undefined) return BigInt(int);
  if (bool !== undefined) return bool;
  if (string !== undefined) return string;
  if (version === undefined) throw new CelError(`attribute ${name}: unsupported attribute value`);
  try {
    return parseSemver(version);
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    throw new CelError(`attribute ${name}: parse semantic version: ${error.message}`, { cause: error });
  }
}
