// Questions about names outside the cluster: answered from the cache, or by the resolvers of the longest domain that is
// configured, else by the node's. The same question asked by many is asked once; how much may be under way is bounded,
// altogether and for each client.
import type { Clock } from "../base/clock.ts";
import { ExpiringMap } from "../base/expiring-map.ts";
import { errorText, type Logger } from "../base/log.ts";
import { type Answer, emptyAnswer } from "./answer.ts";
import type { DnsMetrics } from "./dns-metrics.ts";
import type { Exchange, ServerAddress } from "./exchange.ts";
import type { Query } from "./query.ts";
import { cacheKey, type ForwardedQuestion, forwardedQuestion, type UpstreamAnswer } from "./upstream-message.ts";
import { Upstreams } from "./upstreams.ts";
import { flag, isWithin, rcode, wireName } from "./wire.ts";

export interface ForwarderOptions {
  /** The node's resolvers. */
  readonly servers: readonly ServerAddress[];
  /** Resolvers of single domains: "corp.example" → addresses. */
  readonly stubDomains?: ReadonlyMap<string, readonly ServerAddress[]>;
  /** No answer is kept longer. */
  readonly maxCacheSeconds: number;
  /** Answers kept. Default 10,000. */
  readonly cacheEntries?: number;
  /** Questions under way. Default 1,000. */
  readonly maxConcurrent?: number;
  /** Of one client. Default 150. */
  readonly maxPerClient?: number;
}

export interface ForwarderDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly exchange: Exchange;
  readonly metrics: DnsMetrics;
}

/** An answer and how long ago it was given. */
export interface AgedAnswer {
  readonly answer: Answer;
  readonly ageSeconds: number;
}

/** Larger answers are not kept, so that the cache is bounded in bytes too. */
const maxKeptBytes = 4096;

const servFail: AgedAnswer = { answer: emptyAnswer(rcode.SERVFAIL, flag.RA), ageSeconds: 0 };
const refused: AgedAnswer = { answer: emptyAnswer(rcode.REFUSED, flag.RA), ageSeconds: 0 };

interface Kept {
  readonly answer: Answer;
  readonly atMs: number;
}

export class Forwarder {
  readonly #deps: ForwarderDeps;
  readonly #options: ForwarderOptions;
  readonly #cache: ExpiringMap<string, Kept>;
  readonly #underWay = new Map<string, Promise<AgedAnswer>>();
  readonly #clients = new Map<string, number>();
  #default: Upstreams;
  /** Longest domain first; names as on the wire. */
  readonly #stubs: readonly (readonly [string, Upstreams])[];

  constructor(deps: ForwarderDeps, options: ForwarderOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#cache = new ExpiringMap(options.cacheEntries ?? 10_000, deps.clock);
    deps.metrics.forward.countEntries(deps.metrics.registry, () => this.#cache.size);
    this.#default = new Upstreams(options.servers, deps);
    this.#stubs = [...(options.stubDomains ?? [])]
      .map(([domain, servers]) => [wireName(domain), new Upstreams(servers, deps)] as const)
      .sort(([a], [b]) => b.length - a.length);
  }

  /** Questions that are being asked now. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** The node's resolvers have changed. */
  useServers(servers: readonly ServerAddress[]): void {
    this.#default = new Upstreams(servers, this.#deps);
    void this.#default.findLoops();
  }

  /** Finds resolvers that send questions back here; while it runs, this server has to be listening. */
  async findLoops(): Promise<void> {
    await Promise.all(this.#all.map((upstreams) => upstreams.findLoops()));
  }

  /** At once where the answer is known or there is none to be had. */
  forward(query: Query, client: string): AgedAnswer | Promise<AgedAnswer> {
    const asked = forwardedQuestion(query);
    const key = cacheKey(asked);
    const kept = this.#cache.get(key);
    if (kept) {
      this.#deps.metrics.forward.cacheHit(kept.answer.answers > 0);
      return { answer: kept.answer, ageSeconds: Math.floor((this.#deps.clock.monotonic() - kept.atMs) / 1000) };
    }
    this.#deps.metrics.forward.cacheMiss();
    const upstreams = this.#upstreamsFor(query.key.slice(0, query.nameBytes));
    if (this.#all.some((each) => each.isLoop(query.key))) return refused;
    const known = this.#underWay.get(key);
    const ofClient = this.#clients.get(client) ?? 0;
    if (ofClient >= (this.#options.maxPerClient ?? 150) || (!known && this.#underWay.size >= (this.#options.maxConcurrent ?? 1000))) {
      this.#deps.metrics.forward.rejected();
      return refused;
    }
    this.#clients.set(client, ofClient + 1);
    return (known ?? this.#ask(upstreams, asked, key)).finally(() => this.#release(client));
  }

  get #all(): readonly Upstreams[] {
    return [this.#default, ...this.#stubs.map(([, upstreams]) => upstreams)];
  }

  #release(client: string): void {
    const left = (this.#clients.get(client) ?? 1) - 1;
    if (left <= 0) this.#clients.delete(client);
    else this.#clients.set(client, left);
  }

  #upstreamsFor(name: string): Upstreams {
    for (const [domain, upstreams] of this.#stubs) if (isWithin(name, domain)) return upstreams;
    return this.#default;
  }

  #ask(upstreams: Upstreams, asked: ForwardedQuestion, key: string): Promise<AgedAnswer> {
    const asking = upstreams
      .ask(asked)
      .then(
        (given) => this.#keep(key, given),
        (error: unknown) => {
          this.#deps.logger.info("A name could not be resolved", { error: errorText(error) }, 2);
          return servFail;
        },
      )
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asking);
    return asking;
  }

  #keep(key: string, { answer, ttlSeconds }: UpstreamAnswer): AgedAnswer {
    const seconds = Math.min(ttlSeconds, this.#options.maxCacheSeconds);
    if (seconds > 0 && answer.body.length <= maxKeptBytes)
      this.#cache.set(key, { answer, atMs: this.#deps.clock.monotonic() }, seconds * 1000);
    return { answer, ageSeconds: 0 };
  }
}
