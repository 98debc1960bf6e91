// The most a pod ever has at once of what its containers ask for: init containers run before the others, sidecars beside them.
import type { Container, Pod } from "../../api/types/core-v1.ts";
import { isSidecar } from "../pods/pod-spec.ts";

type Amounts = Readonly<Record<string, number>>;

/** `amountsOf`: what one container asks for, by resource. */
export function podPeak({ spec }: Pod, amountsOf: (container: Container) => Amounts): Amounts {
  let [sidecars, init]: [Amounts, Amounts] = [{}, {}];
  for (const container of spec.initContainers ?? []) {
    if (isSidecar(container)) sidecars = sum(sidecars, amountsOf(container));
    else init = most(init, sum(sidecars, amountsOf(container)));
  }
  return most(
    init,
    spec.containers.reduce<Amounts>((all, container) => sum(all, amountsOf(container)), sidecars),
  );
}

const merge = (a: Amounts, b: Amounts, join: (x: number, y: number) => number): Amounts =>
  Object.fromEntries([...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [name, join(a[name] ?? 0, b[name] ?? 0)]));

const sum = (a: Amounts, b: Amounts): Amounts => merge(a, b, (x, y) => x + y);
const most = (a: Amounts, b: Amounts): Amounts => merge(a, b, Math.max);
