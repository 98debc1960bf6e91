// Candidates for a lease that the control plane gives to one of them: what they are and which rule chooses among them.
import { type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isQualifiedName } from "../meta/names.ts";
import type { LeaseCandidate } from "../types/coordination-v1beta1.ts";
import { addProblems, checkImmutable } from "./rules.ts";

const oldest = "OldestEmulationVersion";
const semanticVersion = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;
const notAVersion = "must be a valid semantic version";

type Version = readonly [number, number, number];

const none: Version = [0, 0, 0];

function parseVersion(text: string): Version | undefined {
  const match = semanticVersion.exec(text);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined;
}

function isLess(a: Version, b: Version): boolean {
  const at = a.findIndex((part, i) => part !== b[i]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

export function validateLeaseCandidate({ spec }: LeaseCandidate, old?: LeaseCandidate): FieldError[] {
  const errors: FieldError[] = [];
  const { leaseName = "", binaryVersion = "", emulationVersion = "", strategy = "" } = spec ?? {};
  if (leaseName === "") errors.push(required("spec.leaseName"));
  const [binary, emulated] = [parseVersion(binaryVersion), parseVersion(emulationVersion)];
  if (emulationVersion !== "" && !emulated) errors.push(invalidValue("spec.emulationVersion", emulationVersion, notAVersion));
  if (binaryVersion === "") errors.push(required("spec.binaryVersion"));
  else if (!binary) errors.push(invalidValue("spec.binaryVersion", binaryVersion, notAVersion));
  // A version that cannot be read is less than any other.
  if (binaryVersion !== "" && emulationVersion !== "" && isLess(binary ?? none, emulated ?? none))
    errors.push(invalidValue("spec.binaryVersion", binaryVersion, "must be greater than or equal to `emulationVersion`"));
  validateStrategy(errors, strategy, emulated);
  if (old) checkImmutable(errors, "spec.leaseName", leaseName, old.spec.leaseName);
  return errors;
}

function validateStrategy(errors: FieldError[], strategy: string, emulated: Version | undefined): void {
  if (strategy === "") {
    errors.push(required("spec.strategy"));
    return;
  }
  if (strategy === oldest && !emulated?.some((part) => part > 0))
    errors.push(required("spec.emulationVersion", "must be specified when `strategy` is 'OldestEmulationVersion'"));
  const field = "spec.strategy.strategy";
  if (!strategy.includes("/")) {
    if (strategy !== oldest) errors.push(notSupported(field, strategy, [oldest]));
  } else addProblems(errors, field, strategy, isQualifiedName(strategy));
}
