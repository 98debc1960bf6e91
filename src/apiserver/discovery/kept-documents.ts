// The encoded discovery documents, made when they are first asked for, and again when what they tell of has changed.
import { createHash } from "node:crypto";
import type { ResourceType } from "../../api/resource-type.ts";
import { encodeJson } from "../http/encode.ts";
import {
  type AggregatedGroups,
  aggregatedDiscovery,
  type DiscoveredGroup,
  discoveredGroups,
  groupsOf,
  type ServedGroup,
} from "./documents.ts";

export interface DocumentSources {
  /** What is served now; another array when it has changed. */
  readonly resources: () => readonly ResourceType[];
  /** What extension servers add. */
  readonly aggregated?: AggregatedGroups;
  /** Told when the documents of all groups are put together anew. */
  readonly onMerge?: () => void;
  /** Where the server has peers whose groups stand in its aggregated document, too. */
  readonly peers?: PeerGroups | undefined;
  /** Told of each request for the aggregated document that says who is to be in it. */
  readonly onProfile?: (answered: "nopeer" | "peers, kept" | "peers, made") => void;
}

/** What other servers of the same store serve besides. */
export interface PeerGroups {
  /** Another value when merge() would give something else. */
  readonly generation: number;
  merge(own: readonly DiscoveredGroup[]): readonly DiscoveredGroup[];
}

export interface EncodedDocument {
  readonly object: object;
  readonly bytes: Uint8Array;
  readonly etag: string;
}

/** What is served, as it was when the documents were made. */
interface Served {
  readonly resources: readonly ResourceType[];
  /** Of what extension servers add. */
  readonly generation: number | undefined;
  readonly groups: readonly ServedGroup[];
  /** By path, and the aggregated ones by "aggregated" and path. */
  readonly encoded: Map<string, EncodedDocument>;
}

interface MergedDocument {
  readonly of: Served;
  /** Of the peers' groups. */
  readonly generation: number;
  readonly document: EncodedDocument;
}

/** Whether it is another group than the core one. */
export const isNamed = ({ name }: ServedGroup): boolean => name !== "";

export class KeptDocuments {
  readonly #sources: DocumentSources;
  #served: Served | undefined;
  /** The aggregated document with the groups of peers. */
  #merged: MergedDocument | undefined;

  constructor(sources: DocumentSources) {
    this.#sources = sources;
  }

  /** Those of this server and of extension servers. */
  get groups(): readonly ServedGroup[] {
    return this.#current.groups;
  }

  get #current(): Served {
    const { resources: served, aggregated, onMerge } = this.#sources;
    const resources = served();
    const generation = aggregated?.generation;
    if (this.#served?.resources !== resources || this.#served.generation !== generation) {
      const local = groupsOf(resources);
      const groups = aggregated?.merge(local) ?? local;
      onMerge?.();
      this.#served = { resources, generation, groups, encoded: new Map() };
    }
    return this.#served;
  }

  /** The document under this key, made of all groups where it is not there. */
  document(key: string, make: (groups: readonly ServedGroup[]) => object): EncodedDocument {
    const { groups, encoded } = this.#current;
    const found = encoded.get(key);
    if (found) return found;
    const document = encodedDocument(make(groups));
    encoded.set(key, document);
    return document;
  }

  /** The aggregated document of a path: of the groups that it covers, and of the peers' unless the client wants none. */
  aggregated(path: "/api" | "/apis", profile: string, covers: (group: ServedGroup) => boolean): EncodedDocument {
    const { peers, onProfile } = this.#sources;
    if (profile === "nopeer") onProfile?.("nopeer");
    else if (peers && path === "/apis") return this.#withPeers(peers);
    return this.document(`aggregated ${path}`, (groups) => aggregatedDiscovery(discoveredGroups(groups.filter(covers))));
  }

  /** Of all groups but the core one: peers serve that too, and under another path. */
  #withPeers(peers: PeerGroups): EncodedDocument {
    const of = this.#current;
    const { generation } = peers;
    const isKept = this.#merged?.of === of && this.#merged.generation === generation;
    this.#sources.onProfile?.(isKept ? "peers, kept" : "peers, made");
    if (!this.#merged || !isKept) {
      const own = discoveredGroups(of.groups.filter(isNamed));
      this.#merged = { of, generation, document: encodedDocument(aggregatedDiscovery(peers.merge(own))) };
    }
    return this.#merged.document;
  }
}

function encodedDocument(object: object): EncodedDocument {
  const bytes = encodeJson(object);
  return { object, bytes, etag: createHash("sha512").update(bytes).digest("hex").toUpperCase() };
}
