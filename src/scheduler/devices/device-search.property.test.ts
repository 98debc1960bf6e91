// The search against all combinations there are: on small random clusters both agree on whether a solution exists, and what
// the search found is one.
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { Device, DeviceRequest, ResourceClaim, ResourceSlice } from "../../api/types/resource-v1.ts";
import { AllocatedDevices } from "./allocated-devices.ts";
import { deviceId, poolIdOf, poolsFor } from "./device-pools.ts";
import { AllocationError } from "./device-requests.ts";
import { DeviceSearch } from "./device-search.ts";
import { DeviceSelectors } from "./device-selectors.ts";
import { driver, exactly, selecting, testClaim, testClass, testDevice, testSlice } from "./test-devices.ts";

const small = fc.integer({ min: 1, max: 2 });
const sharedCounters = [{ name: "set", counters: { memory: { value: "4" } } }];
const device = fc.record({
  size: small,
  taint: fc.boolean(),
  draws: fc.integer({ min: 0, max: 3 }),
  shared: fc.integer({ min: 0, max: 3 }),
});
const option = fc.record({
  size: fc.option(small, { nil: undefined }),
  count: small,
  all: fc.nat(5).map((n) => n === 0),
  tolerates: fc.boolean(),
  asks: fc.option(small, { nil: undefined }),
});
const request = fc.record({ options: fc.array(option, { minLength: 1, maxLength: 2 }) });
const constraint = fc.record({ kind: fc.constantFrom("matchAttribute", "distinctAttribute"), requests: fc.subarray(["r0", "r1"]) });
const claim = fc.record({
  requests: fc.array(request, { minLength: 1, maxLength: 2 }),
  constraints: fc.array(constraint, { maxLength: 1 }),
});
const cluster = fc.record({
  devices: fc.array(device, { minLength: 1, maxLength: 5 }),
  taken: fc.subarray([0, 1, 2, 3, 4], { maxLength: 1 }),
  claims: fc.array(claim, { minLength: 1, maxLength: 2 }),
});

type Cluster = typeof cluster extends fc.Arbitrary<infer C> ? C : never;
type Option = Cluster["claims"][number]["requests"][number]["options"][number];

const deviceNamed = (i: number, { size, taint, draws, shared }: Cluster["devices"][number]): Device =>
  testDevice(
    `d${i}`,
    { size: { int: size } },
    {
      ...(taint ? { taints: [{ key: "broken", effect: "NoSchedule" as const }] } : {}),
      ...(draws > 0 ? { consumesCounters: [{ counterSet: "set", counters: { memory: { value: String(draws) } } }] } : {}),
      ...(shared > 0
        ? { allowMultipleAllocations: true, capacity: { units: { value: String(shared), requestPolicy: { default: "1" } } } }
        : {}),
    },
  );

function requestNamed(name: string, options: readonly Option[]): DeviceRequest {
  const wanted = ({ size, count, all, tolerates, asks }: Option) => ({
    deviceClassName: "gpu",
    ...(all ? { allocationMode: "All" as const } : { allocationMode: "ExactCount" as const, count }),
    ...(size === undefined ? {} : selecting(`device.attributes["${driver}"].size == ${size}`)),
    ...(tolerates ? { tolerations: [{ operator: "Exists" as const }] } : {}),
    ...(asks === undefined ? {} : { capacity: { requests: { units: String(asks) } } }),
  });
  const [only] = options;
  if (options.length === 1 && only) return exactly(name, wanted(only));
  return { name, firstAvailable: options.map((each, i) => ({ name: `o${i}`, ...wanted(each) })) };
}

function built({ devices, taken, claims }: Cluster) {
  const pool = { name: "a", generation: 1, resourceSliceCount: 2 };
  const all = devices.map((each, i) => deviceNamed(i, each));
  const slices: ResourceSlice[] = [testSlice("counters", [], { pool, sharedCounters }), testSlice("devices", all, { pool })];
  const wanted = claims.map(({ requests, constraints }, i) =>
    testClaim(
      `c${i}`,
      requests.map(({ options }, r) => requestNamed(`r${r}`, options)),
      {
        constraints: constraints.map(({ kind, requests: names }) => ({
          [kind]: `${driver}/size`,
          requests: names.slice(0, requests.length),
        })),
      },
    ),
  );
  const allocated = new AllocatedDevices();
  for (const i of taken)
    if (all[i] && !all[i].allowMultipleAllocations)
      allocated.add({ devices: { results: [{ driver, pool: "a", device: all[i].name, request: "x" }] } });
  return { all, slices, wanted, allocated };
}

/** One device for one request of one claim. */
interface Choice {
  readonly claim: number;
  readonly request: string;
  readonly option: Option;
  readonly device: Device;
}

type Built = ReturnType<typeof built>;

/** Every choice of alternatives and of devices for them, valid or not. */
function* combinations({ claims }: Cluster, { all }: Built): Generator<readonly Choice[]> {
  const steps = claims.flatMap(({ requests }, c) => requests.map(({ options }, r) => ({ claim: c, request: `r${r}`, options })));
  function* from(at: number, chosen: readonly Choice[]): Generator<readonly Choice[]> {
    const step = steps[at];
    if (!step) return yield chosen;
    for (const each of step.options) {
      const could = all.filter((d) => selects(each, d));
      const sets = each.all ? (could.length > 0 ? [could] : []) : subsets(all, each.count);
      for (const set of sets)
        yield* from(at + 1, [...chosen, ...set.map((d) => ({ claim: step.claim, request: step.request, option: each, device: d }))]);
    }
  }
  yield* from(0, []);
}

const selects = ({ size, asks }: Option, { attributes, capacity }: Device): boolean =>
  (size === undefined || attributes?.size?.int === size) &&
  (asks === undefined || (capacity?.units !== undefined && asks <= parseQuantity(capacity.units.value).value()));

function subsets<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  if (size === 0) return [[]];
  return items.flatMap((item, i) => subsets(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}

function isValid(choices: readonly Choice[], { claims }: Cluster, { all, allocated }: Built): boolean {
  const drawn = (d: Device): number => parseQuantity(d.consumesCounters?.[0]?.counters.memory?.value ?? "0").value();
  const used = new Set([...choices.map((c) => c.device), ...all.filter((d) => allocated.isTaken(deviceId(driver, "a", d.name)))]);
  const drawing = choices.filter((c) => drawn(c.device) > 0);
  if (drawing.length > 0 && [...used].reduce((sum, d) => sum + drawn(d), 0) > 4) return false;
  for (const { option: each, device: d } of choices) {
    const users = choices.filter((other) => other.device === d);
    if (!selects(each, d) || (d.taints && !each.tolerates)) return false;
    if (d.allowMultipleAllocations) {
      const units = users.reduce((sum, { option: { asks } }) => sum + (asks ?? 1), 0);
      if (units > parseQuantity(d.capacity?.units?.value ?? "0").value()) return false;
    } else if (users.length > 1 || allocated.isTaken(deviceId(driver, "a", d.name))) return false;
  }
  return claims.every(({ constraints, requests }, c) =>
    constraints.every(({ kind, requests: names }) => {
      const bound = names.filter((_, i) => i < requests.length);
      const sizes = choices
        .filter((each) => each.claim === c && (bound.length === 0 || bound.includes(each.request)))
        .map((each) => each.device.attributes?.size?.int);
      const distinct = new Set(sizes).size;
      return kind === "matchAttribute" ? distinct <= 1 : distinct === sizes.length;
    }),
  );
}

test("a solution is found where there is one, and only then", () => {
  const selectors = new DeviceSelectors();
  const node = { metadata: { name: "a", uid: "", resourceVersion: "", creationTimestamp: "" } };
  let [solved, unsolved] = [0, 0];
  fc.assert(
    fc.property(cluster, (given) => {
      const made = built(given);
      const { slices, wanted, allocated } = made;
      const pools = poolsFor(node, slices, (id) => slices.filter((slice) => poolIdOf(slice) === id));
      const exists = [...combinations(given, made)].some((choices) => isValid(choices, given, made));
      const run = () =>
        new DeviceSearch(wanted, { node, pools, allocated, classOf: () => testClass("gpu"), selectors, checkTime: () => undefined }).run();
      let picks: ReturnType<typeof run>;
      try {
        picks = run();
      } catch (error) {
        // "All" devices that break a constraint are an error of the claim, which no other combination mends.
        if (!(error instanceof AllocationError) || !error.message.includes("claim constraint")) throw error;
        return;
      }
      expect(picks !== undefined).toBe(exists);
      if (!picks) return void unsolved++;
      solved++;
      const chosen = picks.flatMap((each, c) =>
        each.map(({ option: { request: name, ref }, found }): Choice => {
          const index = ref.includes("/") ? Number(ref.slice(-1)) : 0;
          return {
            claim: c,
            request: name,
            option: given.claims[c]?.requests[Number(name.slice(1))]?.options[index] as Option,
            device: found.device,
          };
        }),
      );
      expect(isValid(chosen, given, made)).toBe(true);
      expect(countsOf(wanted, picks)).toBe(true);
    }),
    { numRuns: 400 },
  );
  expect(Math.min(solved, unsolved)).toBeGreaterThan(20);
});

/** Each request has as many devices as its option says. */
function countsOf(claims: readonly ResourceClaim[], picks: NonNullable<ReturnType<DeviceSearch["run"]>>): boolean {
  return claims.every(({ spec }, c) =>
    (spec.devices?.requests ?? []).every(({ name }) => {
      const own = picks[c]?.filter((each) => each.option.request === name) ?? [];
      const [first] = own;
      return first !== undefined && own.every((each) => each.option.ref === first.option.ref) && own.length === first.option.count;
    }),
  );
}
