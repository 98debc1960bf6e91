// The Lease in kube-system by which an API server is known to the cluster, and the removal of those of servers that are gone:
// renewed every ten seconds, good for an hour, looked through once an hour.
import { createHash, randomUUID } from "node:crypto";
import { isStatus } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { leases } from "../../api/resources.generated.ts";
import type { Lease } from "../../api/types/coordination-v1.ts";
import { type Clock, formatMicroTime } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { find } from "../bootstrap.ts";

export interface IdentityLeaseDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

const namespace = "kube-system";
const identityLabel = "apiserver.kubernetes.io/identity";
const peerAnnotation = "kubernetes.io/peer-advertise-address";
const component = "kube-apiserver";
const renewMs = 10_000;
const durationSeconds = 3600;
const collectMs = 3_600_000;
/** A store that is gone too is not waited for. */
const goodbyeMs = 5000;

/** "apiserver-" and a hash of the host's name, the same at every start there. */
export function apiServerIdentity(hostname: string): string {
  const prefixed = (text: string): Buffer => {
    const bytes = Buffer.from(text);
    return Buffer.concat([Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes]);
  };
  const hash = createHash("sha256").update(prefixed(hostname)).update(prefixed(component)).digest();
  return `apiserver-${base32(hash.subarray(0, 16))}`;
}

const letters = "abcdefghijklmnopqrstuvwxyz234567";

/** RFC 4648 in small letters, without padding. */
function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += letters[(value >> bits) & 31];
    }
  }
  return bits > 0 ? text + letters[(value << (5 - bits)) & 31] : text;
}

export interface IdentityLeaseOptions {
  readonly hostname: string;
  /** "10.0.0.1:6443", where other servers reach this one. Default: the lease does not say. */
  readonly peerAddress?: string | undefined;
}

/** Whether it is an API server's. */
export const isIdentityLease = ({ metadata }: Lease): boolean =>
  metadata.namespace === namespace && metadata.labels?.[identityLabel] === component;

/** Renews the lease until it is stopped, and then takes it away. Failures are logged and tried again. */
export function keepIdentityLease({ client, clock, logger }: IdentityLeaseDeps, { hostname, peerAddress }: IdentityLeaseOptions): Running {
  const name = apiServerIdentity(hostname);
  const holderIdentity = `${name}_${randomUUID()}`;
  const labels = { [identityLabel]: component, "kubernetes.io/hostname": hostname };
  const said = peerAddress === undefined ? {} : { annotations: { [peerAnnotation]: peerAddress } };
  const renew = async (): Promise<void> => {
    const spec = { holderIdentity, leaseDurationSeconds: durationSeconds, renewTime: formatMicroTime(clock.now()) };
    const found = await find(client, leases, { namespace, name });
    if (!found) await client.create(leases, { metadata: { namespace, name, labels, ...said }, spec });
    else {
      const { labels: before, annotations } = found.metadata;
      const noted = said.annotations ? { annotations: { ...annotations, ...said.annotations } } : {};
      await client.update(leases, { ...found, metadata: { ...found.metadata, labels: { ...before, ...labels }, ...noted }, spec });
    }
  };
  const collect = async (): Promise<void> => {
    const { items } = await client.list(leases, { namespace, labelSelector: `${identityLabel}=${component}` });
    for (const lease of items) if (isExpired(lease, clock.now())) await remove(client, lease);
  };
  let running: Promise<void> = Promise.resolve();
  const then = (work: () => Promise<void>): void => {
    running = running.then(work).catch((error: unknown) => logger.warn("Identity lease", { error }));
  };
  then(renew);
  const timers = [clock.every(renewMs, () => then(renew)), clock.every(collectMs, () => then(collect))];
  let isStopped = false;
  return {
    async stop() {
      for (const timer of timers) timer.cancel();
      if (!isStopped) then(() => takeAway(client, name));
      isStopped = true;
      await running;
    },
  };
}

/** Other servers learn by it at once that this one is gone. */
async function takeAway(client: Client, name: string): Promise<void> {
  try {
    await client.delete(leases, { namespace, name }, { timeoutMs: goodbyeMs });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}

/** One that has no duration or no time of renewal is nobody's. */
function isExpired({ spec }: Lease, nowMs: number): boolean {
  const renewed = spec?.renewTime === undefined ? undefined : parseTime(spec.renewTime);
  if (renewed === undefined || spec?.leaseDurationSeconds === undefined) return true;
  return renewed + spec.leaseDurationSeconds * 1000 < nowMs;
}

async function remove(client: Client, { metadata }: Lease): Promise<void> {
  const { name, uid, resourceVersion } = metadata;
  try {
    // Renewed meanwhile it stays.
    await client.delete(leases, { namespace, name }, { body: { preconditions: { uid, resourceVersion } } });
  } catch (error) {
    if (!isStatus(error, "NotFound", "Conflict")) throw error;
  }
}
