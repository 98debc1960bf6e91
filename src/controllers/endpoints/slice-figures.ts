// Figures of the controllers that keep slices: what one look at a service changed, and what there is, counted when somebody asks.
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";
import type { Informer } from "../../client/informer.ts";
import type { ControllerFigures } from "../controller-figures.ts";
import type { SlicesPlan } from "./plan-slices.ts";

export type SliceController = "endpoint_slice_controller" | "endpoint_slice_mirroring_controller";

/** What the plans for one service come to. */
export class SliceChanges {
  #created = 0;
  #updated = 0;
  #removed = 0;
  #added = 0;
  #gone = 0;

  plan({ create, update, remove }: SlicesPlan): void {
    this.#created += create.length;
    this.#updated += update.length;
    this.remove(remove);
    const addresses = (endpoints: EndpointSlice["endpoints"]): ReadonlySet<string> =>
      new Set((endpoints ?? []).map((endpoint) => endpoint.addresses.join(",")));
    for (const { endpoints } of create) this.#added += endpoints.length;
    for (const { slice, content } of update) {
      const [before, after] = [addresses(slice.endpoints), addresses(content.endpoints)];
      for (const address of after) if (!before.has(address)) this.#added++;
      for (const address of before) if (!after.has(address)) this.#gone++;
    }
  }

  remove(slices: readonly EndpointSlice[]): void {
    this.#removed += slices.length;
    for (const slice of slices) this.#gone += slice.endpoints?.length ?? 0;
  }

  tell(own: ControllerFigures | undefined, controller: SliceController): void {
    if (!own) return;
    own.observe(`${controller}_endpoints_added_per_sync`, this.#added);
    own.observe(`${controller}_endpoints_removed_per_sync`, this.#gone);
    for (const [operation, count] of Object.entries({ create: this.#created, update: this.#updated, delete: this.#removed })) {
      if (count > 0) own.add(`${controller}_changes`, count, operation);
    }
  }
}

/** Slices that a controller keeps, and their endpoints. */
export function countSlices(
  own: ControllerFigures,
  controller: SliceController,
  slices: Informer<EndpointSlice>,
  isOwn: (slice: EndpointSlice) => boolean,
): ReadonlyMap<string, number> {
  let endpoints = 0;
  let count = 0;
  /** Endpoints by what their slices are of. */
  const bySource = new Map<string, number>();
  for (const slice of slices.list()) {
    if (!isOwn(slice)) continue;
    count++;
    const size = slice.endpoints?.length ?? 0;
    endpoints += size;
    const { namespace, labels } = slice.metadata;
    const source = `${namespace}/${labels?.["kubernetes.io/service-name"]}/${slice.addressType}/${JSON.stringify(slice.ports ?? [])}`;
    bySource.set(source, (bySource.get(source) ?? 0) + size);
  }
  own.set(`${controller}_endpoints_desired`, endpoints);
  own.set(`${controller}_num_endpoint_slices`, count);
  return bySource;
}
