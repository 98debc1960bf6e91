// The resolvers of one domain, asked in their order; one that failed is asked last for a while. One that sends questions
// back to this server (a loop) is found by a question nobody else asks, and not asked again.
import { type BackoffOptions, backoffDelay } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { errorText, type Logger } from "../base/log.ts";
import type { DnsMetrics } from "./dns-metrics.ts";
import type { Exchange, ServerAddress } from "./exchange.ts";
import type { ForwardedQuestion, UpstreamAnswer } from "./upstream-message.ts";
import { classIN, rcode, type, wireName, writeUint16 } from "./wire.ts";

export interface UpstreamsDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly exchange: Exchange;
  readonly metrics: DnsMetrics;
}

interface Upstream extends ServerAddress {
  failures: number;
  /** Asked last until then. */
  downUntilMs: number;
  loops: boolean;
}

/** For one question, all resolvers together. */
const totalMs = 5_000;
/** For one resolver. */
const attemptMs = 2_000;
const downtime: BackoffOptions = { baseMs: 500, maxMs: 30_000 };
/** Answers with which another resolver may help. */
const failed: ReadonlySet<number> = new Set([rcode.SERVFAIL, rcode.REFUSED, rcode.NOTIMP]);

export class Upstreams {
  readonly #deps: UpstreamsDeps;
  readonly #upstreams: readonly Upstream[];
  readonly #probe: string;

  constructor(servers: readonly ServerAddress[], deps: UpstreamsDeps) {
    this.#deps = deps;
    this.#upstreams = servers.map((server) => ({ ...server, failures: 0, downUntilMs: 0, loops: false }));
    this.#probe = Math.floor(deps.clock.random() * 2 ** 48).toString(36);
  }

  get servers(): readonly ServerAddress[] {
    return this.#upstreams;
  }

  /** Rejects when no resolver has answered in time. */
  async ask(asked: ForwardedQuestion): Promise<UpstreamAnswer> {
    const { clock } = this.#deps;
    const endMs = clock.monotonic() + totalMs;
    let last: UpstreamAnswer | undefined;
    let lastError: unknown = new Error("there is no resolver to ask");
    while (clock.monotonic() < endMs) {
      const round = this.#inOrder();
      if (round.length === 0) break;
      for (const upstream of round) {
        const leftMs = endMs - clock.monotonic();
        if (leftMs <= 0) break;
        try {
          const answer = await this.#askOne(upstream, asked, Math.min(attemptMs, leftMs));
          if (!failed.has(answer.answer.rcode)) return answer;
          last ??= answer;
        } catch (error) {
          lastError = error;
        }
      }
      // They have spoken, if not helpfully, or refuse at once: asking again at once would not change it.
      if (last || round.every(({ failures }) => failures > 1)) break;
    }
    if (last) return last;
    throw new Error("no resolver has answered", { cause: lastError });
  }

  /** Sends each resolver a question that must not come back. */
  async findLoops(): Promise<void> {
    await Promise.all(
      this.#upstreams.map(async (upstream, i) => {
        const name = Buffer.from(wireName(`${this.#probe}-${i}.coracle-loop-check`), "latin1");
        const question = Buffer.alloc(name.length + 4);
        question.set(name);
        writeUint16(question, name.length, type.HINFO);
        writeUint16(question, name.length + 2, classIN);
        try {
          await this.#deps.exchange(upstream, { question, dnssecOk: false, authenticated: false, checkingDisabled: false }, attemptMs);
        } catch (error) {
          this.#deps.logger.info("A resolver does not answer", { resolver: shown(upstream), error: errorText(error) }, 2);
        }
      }),
    );
  }

  /** Whether a question is one of ours that has come back; its resolver is not asked any more. */
  isLoop(key: string): boolean {
    if (!key.includes(this.#probe)) return false;
    const index = Number(/^.(?:[0-9a-z]+)-(\d+)\x12coracle-loop-check\0/.exec(key)?.[1] ?? Number.NaN);
    const upstream = this.#upstreams[index];
    if (!upstream) return false;
    if (!upstream.loops)
      this.#deps.logger.error("A resolver asks this server in turn: it is not asked any more", { resolver: shown(upstream) });
    upstream.loops = true;
    return true;
  }

  /** Those that are well first, then the others, the one that failed longest ago first. */
  #inOrder(): readonly Upstream[] {
    const nowMs = this.#deps.clock.monotonic();
    const usable = this.#upstreams.filter(({ loops }) => !loops);
    const isDown = ({ downUntilMs }: Upstream): boolean => downUntilMs > nowMs;
    return [...usable.filter((u) => !isDown(u)), ...usable.filter(isDown).sort((a, b) => a.downUntilMs - b.downUntilMs)];
  }

  async #askOne(upstream: Upstream, asked: ForwardedQuestion, timeoutMs: number): Promise<UpstreamAnswer> {
    const { clock, exchange, metrics } = this.#deps;
    const startedMs = clock.monotonic();
    try {
      const answer = await exchange(upstream, asked, timeoutMs);
      upstream.failures = 0;
      upstream.downUntilMs = 0;
      metrics.forward.answered(shown(upstream), answer.answer.rcode, clock.monotonic() - startedMs);
      return answer;
    } catch (error) {
      upstream.downUntilMs = clock.monotonic() + backoffDelay(upstream.failures++, downtime);
      metrics.forward.failed(shown(upstream));
      throw error;
    }
  }
}

function shown({ address, port }: ServerAddress): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
