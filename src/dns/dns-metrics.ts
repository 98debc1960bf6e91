// Figures under the names CoreDNS gives them, so that its dashboards and alerts fit. What is counted for every question is
// looked up once and then added to.
import { type Family, type HistogramSeries, MetricsRegistry, type Series } from "../base/metrics.ts";
import { version } from "../base/version.ts";
import { ForwardMetrics } from "./forward-metrics.ts";
import { latencySeconds, messageBytes, serverLabel } from "./metric-scales.ts";
import { rcodeNames, type } from "./wire.ts";

export type Protocol = "udp" | "tcp";

export interface AnsweredQuestion {
  /** By the cluster's own data. */
  readonly ofCluster: boolean;
  readonly protocol: Protocol;
  readonly ipv6: boolean;
  readonly type: number;
  readonly rcode: number;
  readonly tookMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

const typeNames: ReadonlyMap<number, string> = new Map(Object.entries(type).map(([name, code]) => [code, name]));

export class DnsMetrics {
  readonly registry: MetricsRegistry;
  readonly forward: ForwardMetrics;
  readonly #ofCluster: ZoneMetrics;
  readonly #ofOthers: ZoneMetrics;

  /** `zone`: the cluster's domain with a final dot. */
  constructor(zone: string, registry = new MetricsRegistry()) {
    this.registry = registry;
    const families = registerFamilies(registry);
    this.#ofCluster = new ZoneMetrics(zone, "kubernetes", families);
    this.#ofOthers = new ZoneMetrics(".", "forward", families);
    this.forward = new ForwardMetrics(registry);
    registry.gauge("coredns_build_info", "Always 1; its label is the version.", ["version"]).series(`coracle-${version}`).set(1);
  }

  answered(question: AnsweredQuestion): void {
    (question.ofCluster ? this.#ofCluster : this.#ofOthers).count(question);
  }
}

interface Families {
  readonly requests: Family<Series>;
  readonly responses: Family<Series>;
  readonly durations: Family<HistogramSeries>;
  readonly requestBytes: Family<HistogramSeries>;
  readonly responseBytes: Family<HistogramSeries>;
}

function registerFamilies(registry: MetricsRegistry): Families {
  const common = ["server", "zone", "view"];
  const sized = { labels: [...common, "proto"], buckets: messageBytes };
  return {
    requests: registry.counter("coredns_dns_requests_total", "Questions asked.", [...common, "proto", "family", "type"]),
    responses: registry.counter("coredns_dns_responses_total", "Answers given.", [...common, "rcode", "plugin"]),
    durations: registry.histogram("coredns_dns_request_duration_seconds", "How long answers took.", {
      labels: common,
      buckets: latencySeconds,
    }),
    requestBytes: registry.histogram("coredns_dns_request_size_bytes", "Sizes of questions.", sized),
    responseBytes: registry.histogram("coredns_dns_response_size_bytes", "Sizes of answers.", sized),
  };
}

/** The series of one zone, found by numbers. */
class ZoneMetrics {
  readonly #zone: string;
  readonly #plugin: string;
  readonly #families: Families;
  readonly #durations: HistogramSeries;
  readonly #sizes: Readonly<Record<Protocol, readonly [HistogramSeries, HistogramSeries]>>;
  readonly #requests = new Map<number, Series>();
  readonly #responses = new Map<number, Series>();

  constructor(zone: string, plugin: string, families: Families) {
    this.#zone = zone;
    this.#plugin = plugin;
    this.#families = families;
    this.#durations = families.durations.series(serverLabel, zone, "");
    const sizes = (protocol: Protocol) =>
      [families.requestBytes, families.responseBytes].map((family) => family.series(serverLabel, zone, "", protocol)) as [
        HistogramSeries,
        HistogramSeries,
      ]; // of two families
    this.#sizes = { udp: sizes("udp"), tcp: sizes("tcp") };
  }

  count(question: AnsweredQuestion): void {
    this.#requestsOf(question).add();
    this.#responsesOf(question.rcode).add();
    this.#durations.observe(question.tookMs / 1000);
    const [requests, responses] = this.#sizes[question.protocol];
    requests.observe(question.requestBytes);
    responses.observe(question.responseBytes);
  }

  #requestsOf({ type: recordType, ipv6, protocol }: AnsweredQuestion): Series {
    const key = recordType * 4 + (ipv6 ? 2 : 0) + (protocol === "udp" ? 1 : 0);
    const known = this.#requests.get(key);
    if (known) return known;
    const name = typeNames.get(recordType);
    const series = this.#families.requests.series(serverLabel, this.#zone, "", protocol, ipv6 ? "2" : "1", name ?? "other");
    // Clients may ask for 65,536 types; those without a name are few in practice.
    if (name !== undefined) this.#requests.set(key, series);
    return series;
  }

  #responsesOf(code: number): Series {
    const known = this.#responses.get(code);
    if (known) return known;
    const series = this.#families.responses.series(serverLabel, this.#zone, "", rcodeNames[code] ?? String(code), this.#plugin);
    this.#responses.set(code, series);
    return series;
  }
}
