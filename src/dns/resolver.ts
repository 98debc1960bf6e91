// What becomes of a question: refused, answered from the cluster, or forwarded; and the alias of an ExternalName service,
// whose target is looked up in either. Answers at once where it can, so that the hot path makes no promise.
import { decode } from "dns-packet";
import { type Answer, buildAnswer, emptyAnswer, encodeRecord } from "./answer.ts";
import type { ClusterZone, ZoneAnswer } from "./cluster-zone.ts";
import type { AgedAnswer, Forwarder } from "./forwarder.ts";
import type { Query } from "./query.ts";
import { nameBytes } from "./record-bytes.ts";
import { classIN, flag, headerBytes, rcode, type, writeUint16 } from "./wire.ts";

export interface ResolvedAnswer extends AgedAnswer {
  /** From the cluster's own data. */
  readonly ofCluster: boolean;
}

export interface Resolver {
  resolve(query: Query, client: string): ResolvedAnswer | Promise<ResolvedAnswer>;
}

const errors = new Map<number, ResolvedAnswer>(
  Object.values(rcode).map((code) => [code, { answer: emptyAnswer(code), ageSeconds: 0, ofCluster: false }]),
);

const error = (code: number): ResolvedAnswer => errors.get(code) ?? { answer: emptyAnswer(code), ageSeconds: 0, ofCluster: false };

/** Aliases that follow one another. */
const maxAliases = 8;

export function createResolver(zone: ClusterZone, forwarder: Forwarder): Resolver {
  /** Answers of the cluster in the form they are sent, made once for each. */
  const wrapped = new WeakMap<Answer, ResolvedAnswer>();
  const wrap = (answer: Answer): ResolvedAnswer => {
    const known = wrapped.get(answer);
    if (known) return known;
    // Other names can be had here too.
    const made = { answer: { ...answer, flags: answer.flags | flag.RA }, ageSeconds: 0, ofCluster: true };
    wrapped.set(answer, made);
    return made;
  };
  return {
    resolve(query, client) {
      if (query.problem !== rcode.NOERROR) return error(query.problem);
      // Transfers are for secondary servers, of which there are none; ANY serves attackers more than anyone else (RFC 8482).
      if (query.class !== classIN || (query.type >= type.IXFR && query.type <= type.ANY) || query.type === type.OPT)
        return error(rcode.REFUSED);
      const found = zone.answer(query);
      if (found?.kind === "answer") return wrap(found.answer);
      if (found) return followAlias({ zone, forwarder }, found, query, client);
      // Who does not want recursion wants what this server knows, which is nothing.
      if (!(query.flags & flag.RD)) return error(rcode.REFUSED);
      const forwarded = forwarder.forward(query, client);
      return forwarded instanceof Promise ? forwarded.then(ofOthers) : ofOthers(forwarded);
    },
  };
}

const ofOthers = ({ answer, ageSeconds }: AgedAnswer): ResolvedAnswer => ({ answer, ageSeconds, ofCluster: false });

/** The CNAME, and what its target has, wherever that is known. */
async function followAlias(
  { zone, forwarder }: { readonly zone: ClusterZone; readonly forwarder: Forwarder },
  first: Extract<ZoneAnswer, { kind: "alias" }>,
  query: Query,
  client: string,
): Promise<ResolvedAnswer> {
  const records = [first.record];
  let { target } = first;
  for (let i = 0; i < maxAliases; i++) {
    const asked = questionFor(target, query);
    const found = zone.answer(asked);
    if (found?.kind === "alias") {
      records.push(renamed(target, found.record));
      target = found.target;
      continue;
    }
    const aged = found ? { answer: found.answer, ageSeconds: 0 } : await forwarder.forward(asked, client);
    const code = aged.answer.rcode;
    if (code !== rcode.NOERROR && code !== rcode.NXDOMAIN) return error(rcode.SERVFAIL);
    records.push(...recordsOf(asked, aged));
    return { answer: buildAnswer(code, flag.AA | flag.RA, { answers: records }), ageSeconds: 0, ofCluster: true };
  }
  return error(rcode.SERVFAIL);
}

/** The client's question about another name. */
function questionFor(name: string, query: Query): Query {
  const bytes = Buffer.alloc(headerBytes + name.length + 4);
  writeUint16(bytes, 2, flag.RD);
  writeUint16(bytes, 4, 1);
  bytes.write(name, headerBytes, "latin1");
  writeUint16(bytes, headerBytes + name.length, query.type);
  writeUint16(bytes, headerBytes + name.length + 2, classIN);
  const key = bytes.toString("latin1", headerBytes, headerBytes + name.length + 2);
  return { ...query, bytes, flags: flag.RD, key, nameBytes: name.length, questionEnd: bytes.length, edns: false, dnssecOk: false };
}

/** A record of the name asked for, as one of another name. */
function renamed(owner: string, record: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(owner, "latin1"), record.subarray(2)]);
}

/** The answers of a message, written out: they go behind another question. */
function recordsOf(asked: Query, { answer, ageSeconds }: AgedAnswer): readonly Uint8Array[] {
  const header = Buffer.from(asked.bytes.subarray(0, headerBytes));
  writeUint16(header, 6, answer.answers);
  const end = answer.ends[answer.answers - 1] ?? 0;
  const { answers = [] } = decode(Buffer.concat([header, asked.bytes.subarray(headerBytes), answer.body.subarray(0, end)]));
  return answers.flatMap((record) => {
    if (record.type !== "A" && record.type !== "AAAA" && record.type !== "CNAME" && record.type !== "TXT" && record.type !== "SRV")
      return [];
    return [encodeRecord({ ...record, ttl: Math.max(0, (record.ttl ?? 0) - ageSeconds) }, nameBytes(record.name))];
  });
}
