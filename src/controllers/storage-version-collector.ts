// storageversion-garbage-collector-controller: takes out of storage versions what API servers have said that are gone, by their
// identity leases in kube-system. Off by default, as upstream without the gate StorageVersionAPI; and where the API server
// does not serve storage versions it has nothing to do.
import { isStatus } from "../api/meta/status-error.ts";
import { storageversionsV1alpha1 } from "../api/optional-resources.generated.ts";
import { leases } from "../api/resources.generated.ts";
import { withCondition } from "../api/semantics/conditions.ts";
import type { StorageVersion, StorageVersionStatus } from "../api/types/apiserverinternal-v1alpha1.ts";
import type { Lease } from "../api/types/coordination-v1.ts";
import { formatTime } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Informer } from "../client/informer.ts";
import type { Controller, ControllerContext } from "./controller.ts";

const identityLabel = "apiserver.kubernetes.io/identity";
const namespace = "kube-system";
const retryMs = 10_000;

const serversOf = ({ status }: StorageVersion): readonly string[] => (status?.storageVersions ?? []).map((each) => each.apiServerID);
const isIdentity = (lease: Lease | undefined): boolean => lease?.metadata.labels?.[identityLabel] === "kube-apiserver";

export const storageVersionCollector: Controller = {
  name: "storageversion-garbage-collector-controller",
  serviceAccount: "storage-version-garbage-collector",
  isOffByDefault: true,
  workers: 1,
  create(context) {
    return {
      watches: [],
      start: () => follow(context),
      async reconcile(name, { signal }) {
        await collect(context, name, signal);
        return undefined;
      },
    };
  },
};

/** Watches storage versions and leases, once it is known that the server has the former. */
function follow({ client, clock, informers, logger, enqueue }: ControllerContext): Running {
  const stopping = new AbortController();
  const registrations: { remove(): void }[] = [];
  const begin = async (): Promise<void> => {
    await client.list(storageversionsV1alpha1, { limit: 1, signal: stopping.signal });
    const versions: Informer<StorageVersion> = informers.informer(storageversionsV1alpha1);
    const identities = informers.informer(leases, { namespace, labelSelector: `${identityLabel}=kube-apiserver` });
    for (const informer of [versions, identities]) informer.start();
    await Promise.all([versions.synced(stopping.signal), identities.synced(stopping.signal)]);
    const check = (version: StorageVersion): void => {
      if (serversOf(version).some((id) => !identities.get(`${namespace}/${id}`))) enqueue(version.metadata.name);
    };
    const gone = ({ metadata }: Lease): void => {
      for (const version of versions.list()) if (serversOf(version).includes(metadata.name)) enqueue(version.metadata.name);
    };
    registrations.push(versions.addHandler({ onAdd: check, onUpdate: check }), identities.addHandler({ onDelete: gone }));
  };
  const tryToBegin = async (): Promise<void> => {
    while (!stopping.signal.aborted)
      try {
        return await begin();
      } catch (error) {
        if (isStatus(error, "NotFound")) return logger.info("Storage versions are not served: there is nothing to do");
        if (stopping.signal.aborted) return;
        // Its role may not be there yet.
        logger.warn("Storage versions cannot be followed, trying again", { error });
        await clock.sleep(retryMs, stopping.signal).catch(() => undefined);
      }
  };
  const begun = tryToBegin();
  return {
    async stop() {
      stopping.abort(new Error("the controller is stopping"));
      await begun;
      for (const registration of registrations) registration.remove();
    },
  };
}

async function collect({ client, clock }: ControllerContext, name: string, signal: AbortSignal): Promise<void> {
  const find = async <T>(look: Promise<T>): Promise<T | undefined> =>
    look.catch((error: unknown) => {
      if (isStatus(error, "NotFound")) return undefined;
      throw error;
    });
  const version = await find(client.get(storageversionsV1alpha1, { name }, { signal }));
  if (!version) return;
  const said = version.status?.storageVersions ?? [];
  const present = new Set<string>();
  for (const id of new Set(serversOf(version)))
    if (isIdentity(await find(client.get(leases, { namespace, name: id }, { signal })))) present.add(id);
  const kept = said.filter(({ apiServerID }) => present.has(apiServerID));
  if (kept.length === said.length) return;
  if (kept.length === 0) await find(client.delete(storageversionsV1alpha1, { name }, { signal }));
  else {
    const status = agreedStatus(version, kept, clock.now());
    await client.updateStatus(storageversionsV1alpha1, { ...version, status }, { signal });
  }
}

/** What those that are left agree on. */
function agreedStatus(
  { metadata, status }: StorageVersion,
  storageVersions: NonNullable<StorageVersionStatus["storageVersions"]>,
  nowMs: number,
): StorageVersionStatus {
  const { commonEncodingVersion: before, ...rest } = status ?? {};
  const [first] = storageVersions;
  const agree = storageVersions.every(({ encodingVersion }) => encodingVersion === first?.encodingVersion);
  const common = agree ? first?.encodingVersion : undefined;
  const known = status?.conditions?.find(({ type }) => type === "AllEncodingVersionsEqual");
  const isSame = known?.status === (agree ? "True" : "False") && (before === undefined || common === undefined || before === common);
  const condition = {
    type: "AllEncodingVersionsEqual",
    status: agree ? "True" : "False",
    reason: agree ? "CommonEncodingVersionSet" : "CommonEncodingVersionUnset",
    message: `Common encoding version ${agree ? "set" : "unset"}`,
    lastTransitionTime: (isSame ? known?.lastTransitionTime : undefined) ?? formatTime(nowMs),
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
  };
  return {
    ...rest,
    storageVersions,
    ...(common === undefined ? {} : { commonEncodingVersion: common }),
    conditions: withCondition(status?.conditions, condition),
  };
}
