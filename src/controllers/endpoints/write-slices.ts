// Carries out a plan of slices: creates, updates and removes them under the labels and the owner they are to have. Shared
// by the controllers that keep slices of services and of Endpoints.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { controllerOf, type New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { endpointslices } from "../../api/resources.generated.ts";
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import type { Client } from "../../client/client.ts";
import type { RecentWrites } from "../../client/recent-writes.ts";
import { isNamespaceGoing } from "../service-account.ts";
import type { SliceContent, SlicesPlan } from "./plan-slices.ts";

export interface SliceWork {
  readonly client: Client;
  /** "namespace/name" of what the slices belong to. */
  readonly key: string;
  readonly recent: RecentWrites<EndpointSlice>;
  readonly signal: AbortSignal;
}

/** What the metadata of every slice have to be. */
export interface SliceMetadata {
  readonly namespace: string;
  readonly generateName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent: whatever annotations a slice has are left alone. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly owner: OwnerReference;
}

/** Writes what the plan says; unchanged slices too, where their metadata are not as they have to be. */
export async function writeSlices(
  work: SliceWork,
  plan: SlicesPlan,
  { metadata, addressType }: { readonly metadata: SliceMetadata; readonly addressType: EndpointSlice["addressType"] },
): Promise<void> {
  for (const slice of plan.remove) await removeSlice(work, slice);
  for (const { slice, content } of plan.update) await updateSlice(work, metadata, { slice, content });
  for (const slice of plan.unchanged)
    await updateSlice(work, metadata, { slice, content: { ports: slice.ports ?? [], endpoints: slice.endpoints ?? [] } });
  for (const content of plan.create) await createSlice(work, metadata, { addressType, ...filled(content) });
}

export async function removeSlice({ client, key, recent, signal }: SliceWork, slice: EndpointSlice): Promise<void> {
  const { namespace, name, uid } = slice.metadata;
  try {
    await client.delete(endpointslices, { namespace, name }, { signal, body: { preconditions: { uid } } });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
  recent.deleted(key, slice);
}

async function createSlice(
  { client, key, recent, signal }: SliceWork,
  { owner, ...metadata }: SliceMetadata,
  content: Pick<EndpointSlice, "addressType" | "endpoints" | "ports">,
): Promise<void> {
  const slice: New<EndpointSlice> = { metadata: { ...metadata, ownerReferences: [owner] }, ...content };
  try {
    recent.written(key, await client.create(endpointslices, slice, { signal }));
  } catch (error) {
    if (!isNamespaceGoing(error)) throw error;
  }
}

async function updateSlice(
  { client, key, recent, signal }: SliceWork,
  { labels, annotations, owner }: SliceMetadata,
  { slice, content }: { readonly slice: EndpointSlice; readonly content: SliceContent },
): Promise<void> {
  const isOwned = controllerOf(slice)?.uid === owner.uid;
  const isLabelled =
    semanticallyEqual(slice.metadata.labels, labels) && (!annotations || semanticallyEqual(slice.metadata.annotations, annotations));
  const isSame = semanticallyEqual(slice.endpoints, content.endpoints) && semanticallyEqual(slice.ports, content.ports);
  if (isSame && isOwned && isLabelled) return;
  const others = (slice.metadata.ownerReferences ?? []).filter((reference) => reference.controller !== true);
  const ownerReferences = isOwned ? (slice.metadata.ownerReferences ?? []) : [...others, owner];
  const { endpoints: _endpoints, ports: _ports, ...rest } = slice;
  const metadata = { ...slice.metadata, labels, ...(annotations ? { annotations } : {}), ownerReferences };
  recent.written(key, await client.update(endpointslices, { ...rest, metadata, ...filled(content) }, { signal }));
}

/** Empty lists are left out, as upstream's are null. */
function filled({ endpoints, ports }: SliceContent): Pick<EndpointSlice, "endpoints" | "ports"> {
  return { ...(endpoints.length > 0 ? { endpoints } : {}), ...(ports.length > 0 ? { ports } : {}) };
}
