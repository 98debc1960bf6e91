// The cluster's domain and the names of its addresses, answered from informers. Answers about services are encoded at the
// first question and kept until the service or one of its EndpointSlices changes: a question is then one look-up. What has
// no bound of its own (names that do not exist, names of pods) is not kept, but put together from parts that are.
import { cidrContains, type ParsedCIDR, parseCIDR, parseIP } from "../api/meta/ip.ts";
import { keyOf } from "../api/meta/object.ts";
import { endpointslices, namespaces, services } from "../api/resources.generated.ts";
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Running } from "../base/lifecycle.ts";
import type { InformerFactory } from "../client/informer.ts";
import { type Answer, buildAnswer, emptyAnswer, encodeRecord, theQuestion } from "./answer.ts";
import { reverseAddress } from "./cluster-names.ts";
import { type ClusterRecord, type ClusterView, namesOfAddress, type Resolution, resolveClusterName } from "./cluster-records.ts";
import { asPacketRecord, nameBytes } from "./record-bytes.ts";
import { flag, headerBytes, isWithin, labelsOf, rcode, type, wireName } from "./wire.ts";

export interface ClusterZoneOptions {
  /** "cluster.local". */
  readonly domain: string;
  readonly ttlSeconds: number;
  /** Of the DNS service itself, for the domain's NS record. Default none. */
  readonly serverAddresses?: readonly string[];
  /** Ranges of pods and services: nobody else knows the names of these addresses. */
  readonly ownRanges?: readonly string[];
}

/** What the cluster has to say to a question; undefined where it is somebody else's to answer. */
export type ZoneAnswer =
  | { readonly kind: "answer"; readonly answer: Answer }
  /** The name stands for another one, as on the wire, which is to be looked up too. */
  | { readonly kind: "alias"; readonly record: Uint8Array; readonly target: string };

export interface ZoneQuestion {
  /** Name as on the wire in lower case, then the type. */
  readonly key: string;
  readonly nameBytes: number;
  readonly type: number;
}

export interface ClusterZone extends Running {
  answer(question: ZoneQuestion): ZoneAnswer | undefined;
  readonly hasSynced: boolean;
  /** Answers that are kept encoded. */
  readonly size: number;
  synced(signal?: AbortSignal): Promise<void>;
}

/** Answers to other types are the same empty one, and not kept: clients may ask for 65,000 types. */
const keptTypes: ReadonlySet<number> = new Set([type.A, type.AAAA, type.SRV, type.CNAME, type.HTTPS]);

const servFail = emptyAnswer(rcode.SERVFAIL);

export function createClusterZone(informers: InformerFactory, options: ClusterZoneOptions): ClusterZone {
  const zone = new InformedZone(informers, options);
  return zone;
}

class InformedZone implements ClusterZone {
  readonly #options: ClusterZoneOptions;
  readonly #domain: string;
  readonly #ranges: readonly ParsedCIDR[];
  readonly #view: ClusterView;
  readonly #answers = new Map<string, ZoneAnswer>();
  /** Keys of the answers about a service. */
  readonly #ofService = new Map<string, string[]>();
  /** By where in the name the authority's begins, and whether the name exists. */
  readonly #negative = new Map<number, ZoneAnswer>();
  readonly #soaData: Uint8Array;
  readonly #informers: readonly { readonly hasSynced: boolean; synced(signal?: AbortSignal): Promise<void> }[];
  readonly #handlers: readonly { remove(): void }[];

  constructor(informers: InformerFactory, options: ClusterZoneOptions) {
    this.#options = options;
    this.#domain = wireName(options.domain);
    this.#ranges = (options.ownRanges ?? []).map((range) => parseCIDR(range)).filter((range) => range !== undefined);
    const serviceInformer = informers.informer(services);
    const sliceInformer = informers.informer(endpointslices);
    const namespaceInformer = informers.informer(namespaces);
    serviceInformer.addIndex("dns-address", (service) => (service.spec?.clusterIPs ?? []).filter((ip) => ip !== "" && ip !== "None"));
    sliceInformer.addIndex("dns-service", serviceKeysOf);
    sliceInformer.addIndex("dns-address", (slice) => (slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses));
    this.#view = {
      hasNamespace: (name) => namespaceInformer.get(name) !== undefined,
      service: (namespace, name) => serviceInformer.get(`${namespace}/${name}`),
      slicesOf: (namespace, name) => sliceInformer.byIndex("dns-service", `${namespace}/${name}`),
      servicesAt: (address) => serviceInformer.byIndex("dns-address", address),
      slicesAt: (address) => sliceInformer.byIndex("dns-address", address).filter((slice) => serviceKeysOf(slice).length > 0),
    };
    this.#informers = [serviceInformer, sliceInformer, namespaceInformer];
    this.#handlers = [
      serviceInformer.addHandler(onAny((service: Service) => this.#forget(keyOf(service)))),
      sliceInformer.addHandler(
        onAny((slice: EndpointSlice) => {
          for (const key of serviceKeysOf(slice)) this.#forget(key);
        }),
      ),
    ];
    this.#soaData = soaRecord(options);
    informers.start();
  }

  get hasSynced(): boolean {
    return this.#informers.every((informer) => informer.hasSynced);
  }

  get size(): number {
    return this.#answers.size;
  }

  async synced(signal?: AbortSignal): Promise<void> {
    await Promise.all(this.#informers.map((informer) => informer.synced(signal)));
  }

  async stop(): Promise<void> {
    for (const handler of this.#handlers) handler.remove();
    this.#answers.clear();
    this.#ofService.clear();
  }

  answer(question: ZoneQuestion): ZoneAnswer | undefined {
    const known = this.#answers.get(question.key);
    if (known) return known;
    const name = question.key.slice(0, question.nameBytes);
    if (isWithin(name, this.#domain)) return this.hasSynced ? this.#inDomain(name, question) : { kind: "answer", answer: servFail };
    return name.endsWith("\x04arpa\0") ? this.#reverse(name, question) : undefined;
  }

  #inDomain(name: string, { key, type: recordType }: ZoneQuestion): ZoneAnswer {
    const below = name.length - this.#domain.length;
    const labels = labelsOf(name.slice(0, below));
    const resolution = resolveClusterName(labels, recordType, this.#view, {
      domain: this.#options.domain,
      serverAddresses: this.#options.serverAddresses ?? [],
    });
    if (resolution.kind === "none") return this.#noRecords(headerBytes + below, true);
    const answer = this.#encode(resolution, { recordType, below });
    if (labels.at(-1) === "svc" && labels.length > 2 && keptTypes.has(recordType))
      this.#keep(`${labels.at(-2)}/${labels.at(-3)}`, key, answer);
    return answer;
  }

  #encode(
    resolution: Exclude<Resolution, { kind: "none" }>,
    { recordType, below }: { readonly recordType: number; readonly below: number },
  ): ZoneAnswer {
    const ttl = this.#options.ttlSeconds;
    if (resolution.kind === "authority")
      return { kind: "answer", answer: buildAnswer(rcode.NOERROR, flag.AA, { answers: [Buffer.concat([theQuestion, this.#soaData])] }) };
    if (resolution.kind === "alias") {
      const target = resolution.target.replace(/\.$/, "");
      const record = encodeRecord({ type: "CNAME", name: "", ttl, data: target });
      if (recordType === type.CNAME) return { kind: "answer", answer: buildAnswer(rcode.NOERROR, flag.AA, { answers: [record] }) };
      return { kind: "alias", record, target: wireName(target) };
    }
    const { records, extra = [] } = resolution;
    if (records.length === 0) return this.#noRecords(headerBytes + below, false);
    const answers = records.map((record) => encodeRecord(asPacketRecord(record, ttl)));
    const additionals = extra.map(({ name, record }) => encodeRecord(asPacketRecord(record, ttl), nameBytes(name)));
    return { kind: "answer", answer: buildAnswer(rcode.NOERROR, flag.AA, { answers, additionals }) };
  }

  /** `owner`: where in the message the authority's name begins. */
  #noRecords(owner: number, nameError: boolean): ZoneAnswer {
    const key = nameError ? -owner : owner;
    let made = this.#negative.get(key);
    if (!made) {
      const authorities = [Buffer.concat([Uint8Array.of(0xc0 | (owner >> 8), owner & 0xff), this.#soaData])];
      made = { kind: "answer", answer: buildAnswer(nameError ? rcode.NXDOMAIN : rcode.NOERROR, flag.AA, { authorities }) };
      this.#negative.set(key, made);
    }
    return made;
  }

  #reverse(name: string, { type: recordType }: ZoneQuestion): ZoneAnswer | undefined {
    const labels = labelsOf(name);
    const address = reverseAddress(labels);
    const parsed = address === undefined ? undefined : parseIP(address);
    if (address === undefined || !parsed) return undefined;
    const isOwn = this.#ranges.some((range) => cidrContains(range, parsed));
    if (!this.hasSynced) return isOwn ? { kind: "answer", answer: servFail } : undefined;
    const names = namesOfAddress(address, this.#view, { domain: this.#options.domain, serverAddresses: [] });
    if (names.length === 0 && !isOwn) return undefined;
    // The authority over the reverse names begins at "in-addr.arpa" or "ip6.arpa", as CoreDNS is configured to answer.
    const owner = headerBytes + name.length - wireName(labels.slice(-2).join(".")).length;
    if (names.length === 0 || recordType !== type.PTR) return this.#noRecords(owner, names.length === 0);
    const records = names.map((target): ClusterRecord => ({ type: "PTR", target }));
    const answers = records.map((record) => encodeRecord(asPacketRecord(record, this.#options.ttlSeconds)));
    return { kind: "answer", answer: buildAnswer(rcode.NOERROR, flag.AA, { answers }) };
  }

  #keep(serviceKey: string, key: string, answer: ZoneAnswer): void {
    this.#answers.set(key, answer);
    const keys = this.#ofService.get(serviceKey);
    if (keys) keys.push(key);
    else this.#ofService.set(serviceKey, [key]);
  }

  #forget(serviceKey: string): void {
    const keys = this.#ofService.get(serviceKey);
    if (!keys) return;
    for (const key of keys) this.#answers.delete(key);
    this.#ofService.delete(serviceKey);
  }
}

function onAny<T>(changed: (object: T) => void) {
  return {
    onAdd: changed,
    onUpdate(object: T, previous: T) {
      changed(object);
      changed(previous);
    },
    onDelete: changed,
  };
}

function serviceKeysOf({ metadata }: EndpointSlice): readonly string[] {
  const name = metadata.labels?.["kubernetes.io/service-name"];
  return name ? [`${metadata.namespace}/${name}`] : [];
}

/** The start of authority without its owner. Its serial says nothing: there are no secondary servers. */
function soaRecord({ domain, ttlSeconds }: ClusterZoneOptions): Uint8Array {
  const data = { mname: `ns.dns.${domain}`, rname: `hostmaster.${domain}`, serial: 1, refresh: 7200, retry: 1800, expire: 86_400 };
  return encodeRecord({ type: "SOA", name: "", ttl: ttlSeconds, data: { ...data, minimum: ttlSeconds } }, new Uint8Array());
}
