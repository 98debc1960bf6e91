// service-cidr-controller: a ServiceCIDR is marked ready and held by a finalizer; one that is being deleted goes ten seconds
// later, when all allocators know, unless there are addresses that no other range has: then it says so and stays.
import { cidrContains, type ParsedCIDR, parseCIDR, parseIP } from "../api/meta/ip.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { parseTime } from "../api/meta/time.ts";
import { ipaddresses, servicecidrs } from "../api/resources.generated.ts";
import { findCondition } from "../api/semantics/conditions.ts";
import type { IPAddress, ServiceCIDR } from "../api/types/networking-v1.ts";
import { formatTime } from "../base/clock.ts";
import { type Controller, type ControllerContext, watch } from "./controller.ts";

const finalizer = "networking.k8s.io/service-cidr-finalizer";
const managedByLabel = "ipaddress.kubernetes.io/managed-by";
const allocator = "ipallocator.k8s.io";
/** Until then the API servers' allocators may not know yet that the range is going. */
const gracePeriodMs = 10_000;
const fieldManager = "service-cidr-controller";

interface Readiness {
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

const ready: Readiness = { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" };
const stillUsed: Readiness = {
  status: "False",
  reason: "Terminating",
  message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

const rangesOf = ({ spec }: ServiceCIDR): readonly ParsedCIDR[] => (spec?.cidrs ?? []).flatMap((cidr) => parseCIDR(cidr) ?? []);

const isWithin = (inner: ParsedCIDR, outer: ParsedCIDR): boolean =>
  outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.ip);

/** Whether it may go: its ranges lie in those of others, or no address has no other range than its. */
export function isFreeToGo(going: ServiceCIDR, all: Iterable<ServiceCIDR>, addresses: Iterable<IPAddress>): boolean {
  const others = [...all].filter(({ metadata }) => metadata.name !== going.metadata.name).flatMap(rangesOf);
  const uncovered = rangesOf(going).filter((range) => !others.some((other) => isWithin(range, other)));
  if (uncovered.length === 0) return true;
  for (const { metadata } of addresses) {
    if (metadata.labels?.[managedByLabel] !== allocator) continue;
    const ip = parseIP(metadata.name);
    if (!ip || !uncovered.some((range) => cidrContains(range, ip))) continue;
    if (!others.some((other) => cidrContains(other, ip))) return false;
  }
  return true;
}

export const serviceCidrController: Controller = {
  name: "service-cidr-controller",
  serviceAccount: "service-cidrs-controller",
  create(context) {
    const rangeInformer = context.informers.informer(servicecidrs);
    const addressInformer = context.informers.informer(ipaddresses);
    const namesOf = (concerns: (range: ParsedCIDR) => boolean): readonly string[] =>
      [...rangeInformer.list()].filter((each) => rangesOf(each).some(concerns)).map(({ metadata }) => metadata.name);
    return {
      watches: [
        // One that comes or goes may set others free, or hold them.
        watch(rangeInformer, (range) => [
          range.metadata.name,
          ...namesOf((other) => rangesOf(range).some((own) => isWithin(own, other) || isWithin(other, own))),
        ]),
        watch(addressInformer, ({ metadata }) => {
          const ip = metadata.labels?.[managedByLabel] === allocator ? parseIP(metadata.name) : undefined;
          return ip ? namesOf((range) => cidrContains(range, ip)) : [];
        }),
      ],
      async reconcile(name, { signal }) {
        const range = rangeInformer.get(name);
        if (!range) return undefined;
        const { deletionTimestamp, finalizers = [] } = range.metadata;
        if (deletionTimestamp === undefined) {
          if (!finalizers.includes(finalizer)) await setFinalizers(context, range, { finalizers: [...finalizers, finalizer], signal });
          await setReadiness(context, range, { readiness: ready, signal });
          return undefined;
        }
        if (!isFreeToGo(range, rangeInformer.list(), addressInformer.list())) {
          await setReadiness(context, range, { readiness: stillUsed, signal });
          return undefined;
        }
        const leftMs = gracePeriodMs - (context.clock.now() - (parseTime(deletionTimestamp) ?? 0));
        if (leftMs > 0) return { requeueAfterMs: leftMs };
        if (finalizers.includes(finalizer))
          await setFinalizers(context, range, { finalizers: finalizers.filter((each) => each !== finalizer), signal });
        return undefined;
      },
    };
  },
};

async function setFinalizers(
  { client }: ControllerContext,
  { metadata }: ServiceCIDR,
  { finalizers, signal }: { readonly finalizers: readonly string[]; readonly signal: AbortSignal },
): Promise<void> {
  const { name, resourceVersion } = metadata;
  try {
    await client.patch(servicecidrs, { name }, { metadata: { finalizers, resourceVersion } }, { type: "merge", signal });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}

async function setReadiness(
  { client, clock, recorder }: ControllerContext,
  range: ServiceCIDR,
  { readiness, signal }: { readonly readiness: Readiness; readonly signal: AbortSignal },
): Promise<void> {
  const known = findCondition(range.status?.conditions, "Ready");
  const { status, reason, message } = readiness;
  if (known?.status === status && (known.reason ?? "") === reason && known.message === message) return;
  const { name } = range.metadata;
  const condition = { type: "Ready", status, reason, message, lastTransitionTime: formatTime(clock.now()) };
  const applied = { apiVersion: range.apiVersion, kind: range.kind, metadata: { name }, status: { conditions: [condition] } };
  try {
    await client.patch(servicecidrs, { name }, applied, { type: "apply", subresource: "status", fieldManager, force: true, signal });
  } catch (error) {
    if (signal.aborted || isStatus(error, "NotFound")) return;
    if (status === "True") {
      const what = "The ServiceCIDR Status can not be set to Ready=True";
      recorder.record(range, { type: "Warning", reason: "KubernetesServiceCIDRError", message: what });
    }
    throw error;
  }
}
