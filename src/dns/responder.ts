// From the bytes of a question to the bytes of its answer, the same for UDP and TCP.
import type { Clock } from "../base/clock.ts";
import { errorText, type Logger } from "../base/log.ts";
import { emptyAnswer, writeMessage } from "./answer.ts";
import type { DnsMetrics, Protocol } from "./dns-metrics.ts";
import { parseQuery, type Query } from "./query.ts";
import type { ResolvedAnswer, Resolver } from "./resolver.ts";
import { rcode } from "./wire.ts";

export interface ResponderDeps {
  readonly resolver: Resolver;
  readonly metrics: DnsMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Gives the answer to `send`, at once where it is known; there is none for what is no question. */
export type Responder = (bytes: Uint8Array, client: Client, send: (message: Uint8Array) => void) => void | Promise<void>;

export interface Client {
  readonly address: string;
  readonly protocol: Protocol;
}

const failure: ResolvedAnswer = { answer: emptyAnswer(rcode.SERVFAIL), ageSeconds: 0, ofCluster: false };

export function createResponder({ resolver, metrics, clock, logger }: ResponderDeps): Responder {
  /** Which of several addresses comes first next time. */
  let turn = 0;
  const finish = (query: Query, resolved: ResolvedAnswer, client: Client, startedMs: number): Uint8Array => {
    const { answer, ageSeconds, ofCluster } = resolved;
    turn = (turn + 1) & 0xffff;
    const message = writeMessage(query, answer, { udp: client.protocol === "udp", turn, ageSeconds });
    metrics.answered({
      ofCluster,
      protocol: client.protocol,
      ipv6: client.address.includes(":"),
      type: query.type,
      rcode: answer.rcode,
      tookMs: clock.monotonic() - startedMs,
      requestBytes: query.bytes.length,
      responseBytes: message.length,
    });
    return message;
  };
  return (bytes, client, send) => {
    const startedMs = clock.monotonic();
    const query = parseQuery(bytes);
    if (!query) return;
    const fail = (error: unknown): void => {
      logger.warn("A question could not be answered", { error: errorText(error) });
      try {
        send(finish(query, failure, client, startedMs));
      } catch (again) {
        logger.warn("Nor can that be said", { client: client.address, error: errorText(again) });
      }
    };
    // One question that cannot be answered must not end the process, whatever is the matter with it.
    try {
      const resolved = resolver.resolve(query, client.address);
      if (!(resolved instanceof Promise)) return send(finish(query, resolved, client, startedMs));
      // The bytes belong to the question until it is answered: nobody writes over them.
      return resolved.then((late) => send(finish(query, late, client, startedMs))).catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}
