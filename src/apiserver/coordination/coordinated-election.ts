// Gives leases to those who have put themselves forward for them (the gate CoordinatedLeaderElection, off by default): of all
// API servers one does so at a time. Every lease with candidates is looked at when it or one of them changes, and every five
// seconds; what is to be done is decided by election.ts. Candidates that have expired are removed every half hour.
import { isStatus } from "../../api/meta/status-error.ts";
import { leasecandidatesV1beta1 as leaseCandidates } from "../../api/optional-resources.generated.ts";
import { leases } from "../../api/resources.generated.ts";
import type { Lease } from "../../api/types/coordination-v1.ts";
import type { LeaseCandidate } from "../../api/types/coordination-v1beta1.ts";
import { type Clock, formatMicroTime } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { Lister } from "../../client/informer.ts";
import { LeaderElector } from "../../client/leader-election.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import { createWorkQueue, type RequeueAfter } from "../../client/work-queue.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { CoordinationSettings } from "../coordination-options.ts";
import { answerMs, decideElection, electedSpec, isAsked, isCandidateExpired } from "./election.ts";

export interface CoordinatedElectionDeps {
  readonly reader: AdmissionReader;
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  /** Unique to this server. */
  readonly identity: string;
}

/** Of the work queue, and of the lease by which one server is chosen to do this. */
const name = "leader-election-controller";
const collectMs = 30 * 60_000;
const later: RequeueAfter = { requeueAfterMs: answerMs };

export function startCoordinatedElection(deps: CoordinatedElectionDeps, settings: CoordinationSettings): Running {
  const { client, clock, logger, identity } = deps;
  const elector = new LeaderElector({ client, clock, logger, name, identity, ...settings, lead: () => holdElections(deps) });
  elector.start();
  return elector;
}

async function holdElections(deps: CoordinatedElectionDeps): Promise<Running> {
  const { reader, clock, logger, queues } = deps;
  const held = reader.informer(leases);
  const candidates = reader.informer(leaseCandidates);
  candidates.addIndex("lease", leasesOf);
  const metrics = queues?.hooks(name);
  const queue = createWorkQueue({
    name,
    clock,
    logger,
    workers: 1,
    process: (key, signal) => stepElection(key, { ...deps, leases: held, candidates, signal }),
    ...(metrics ? { metrics } : {}),
  });
  queues?.measure(name, queue);
  const addLease = ({ metadata }: Lease): void => queue.add(keyOf(metadata.namespace, metadata.name));
  const addCandidate = (candidate: LeaseCandidate): void => {
    // Its election goes on already.
    if (!isAsked(candidate)) queue.add(keyOf(candidate.metadata.namespace, candidate.spec.leaseName));
  };
  held.start();
  candidates.start();
  await Promise.all([held.synced(), candidates.synced()]);
  const handlers = [
    held.addHandler({ onAdd: addLease, onUpdate: addLease, onDelete: addLease }),
    candidates.addHandler({ onAdd: addCandidate, onUpdate: addCandidate, onDelete: addCandidate }),
  ];
  queue.start();
  let collecting = Promise.resolve();
  const collect = (): void => {
    collecting = collecting
      .then(() => removeExpired(candidates, deps))
      .catch((error: unknown) => logger.warn("Expired lease candidates not removed", { error }));
  };
  collect();
  const timer = clock.every(collectMs, collect);
  return {
    async stop() {
      timer.cancel();
      for (const handler of handlers) handler.remove();
      await Promise.all([queue.stop(), collecting]);
    },
  };
}

const keyOf = (namespace: string, lease: string): string => `${namespace}/${lease}`;
const leasesOf = ({ metadata, spec }: LeaseCandidate): string[] => [keyOf(metadata.namespace, spec.leaseName)];

interface StepDeps extends Pick<CoordinatedElectionDeps, "client" | "clock" | "logger"> {
  readonly leases: Lister<Lease>;
  readonly candidates: Lister<LeaseCandidate>;
  readonly signal: AbortSignal;
}

async function stepElection(key: string, deps: StepDeps): Promise<RequeueAfter | undefined> {
  const { client, clock, logger, signal } = deps;
  const nowMs = clock.now();
  const candidates = deps.candidates.byIndex("lease", key).filter((candidate) => !isCandidateExpired(candidate, nowMs));
  if (candidates.length === 0) return undefined;
  const lease = deps.leases.get(key);
  const step = decideElection({ lease, candidates, nowMs });
  if (step.kind === "undecided") {
    // Until the lease or a candidate changes.
    logger.warn("No leader can be chosen", { lease: key, reason: step.reason });
    return undefined;
  }
  if (step.kind === "ask") {
    const pingTime = formatMicroTime(nowMs);
    const ask = (candidate: LeaseCandidate): Promise<LeaseCandidate> =>
      client.update(leaseCandidates, { ...candidate, spec: { ...candidate.spec, pingTime } }, { signal });
    await Promise.all(step.candidates.map(ask));
  }
  if (step.kind === "elect") {
    const spec = electedSpec(lease, step, nowMs);
    if (spec) {
      await write(lease, { key, spec }, deps);
      logger.info("Elected", { lease: key, holder: step.holder ?? "", strategy: step.strategy });
    }
  }
  return later;
}

async function write(
  lease: Lease | undefined,
  { key, spec }: { readonly key: string; readonly spec: Lease["spec"] },
  { client, signal }: StepDeps,
): Promise<void> {
  const [namespace = "", leaseName = ""] = key.split("/");
  try {
    if (lease) await client.update(leases, { ...lease, spec }, { signal });
    else await client.create(leases, { metadata: { namespace, name: leaseName }, spec }, { signal });
  } catch (error) {
    // What somebody has written meanwhile brings the key back here.
    if (!isStatus(error, "AlreadyExists")) throw error;
  }
}

async function removeExpired(candidates: Lister<LeaseCandidate>, { client, clock }: CoordinatedElectionDeps): Promise<void> {
  for (const candidate of [...candidates.list()]) {
    if (!isCandidateExpired(candidate, clock.now())) continue;
    const { namespace, name: candidateName, uid, resourceVersion } = candidate.metadata;
    try {
      // One that has renewed meanwhile stays.
      await client.delete(leaseCandidates, { namespace, name: candidateName }, { body: { preconditions: { uid, resourceVersion } } });
    } catch (error) {
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
  }
}
