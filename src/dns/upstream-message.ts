// Messages of resolvers outside: what is asked of them, and their answers read as far as it takes to keep and to repeat
// them. Records are not decoded: an answer keeps its bytes, whose pointers stay right because the question in front is as
// long as it was.
import type { Answer } from "./answer.ts";
import type { Query } from "./query.ts";
import { dnssecOk, flag, headerBytes, maxUdpBytes, optBytes, rcode, readUint16, readUint32, skipName, type, writeUint16 } from "./wire.ts";

/** The part of a query that a resolver's answer depends on. */
export interface ForwardedQuestion {
  /** Name, type and class as on the wire, in lower case. */
  readonly question: Uint8Array;
  readonly dnssecOk: boolean;
  /** The client understands the AD bit. */
  readonly authenticated: boolean;
  readonly checkingDisabled: boolean;
}

export interface UpstreamAnswer {
  readonly answer: Answer;
  readonly truncated: boolean;
  /** How long it may be kept; 0 where it may not. */
  readonly ttlSeconds: number;
}

export function forwardedQuestion(query: Query): ForwardedQuestion {
  const question = Buffer.from(query.key, "latin1");
  const withClass = Buffer.alloc(question.length + 2);
  withClass.set(question);
  writeUint16(withClass, question.length, query.class);
  return {
    question: withClass,
    dnssecOk: query.dnssecOk,
    authenticated: (query.flags & flag.AD) !== 0,
    checkingDisabled: (query.flags & flag.CD) !== 0,
  };
}

/** What of two questions must be the same for one answer to do for both. */
export function cacheKey({ question, ...bits }: ForwardedQuestion): string {
  const mark = (bits.dnssecOk ? 1 : 0) + (bits.authenticated ? 2 : 0) + (bits.checkingDisabled ? 4 : 0);
  return Buffer.from(question).toString("latin1") + mark;
}

export function writeUpstreamQuery(id: number, asked: ForwardedQuestion): Uint8Array {
  const { question } = asked;
  const message = Buffer.alloc(headerBytes + question.length + optBytes);
  writeUint16(message, 0, id);
  writeUint16(message, 2, flag.RD | (asked.authenticated ? flag.AD : 0) | (asked.checkingDisabled ? flag.CD : 0));
  writeUint16(message, 4, 1);
  writeUint16(message, 10, 1);
  message.set(question, headerBytes);
  const opt = headerBytes + question.length;
  writeUint16(message, opt + 1, type.OPT);
  writeUint16(message, opt + 3, maxUdpBytes);
  writeUint16(message, opt + 7, asked.dnssecOk ? dnssecOk : 0);
  return message;
}

/** Undefined for what does not answer the query: another question, another id, no message at all. */
export function readUpstreamAnswer(message: Uint8Array, query: Uint8Array): UpstreamAnswer | undefined {
  const start = query.length - optBytes;
  if (message.length < headerBytes || message[0] !== query[0] || message[1] !== query[1]) return undefined;
  const flags = readUint16(message, 2);
  if (!(flags & flag.QR)) return undefined;
  const code = flags & 15;
  const bare: Answer = { ...emptyBody, rcode: code, flags: flag.RA };
  // Some say no more than that they do not like the question.
  if (readUint16(message, 4) === 0) return code === rcode.NOERROR ? undefined : { answer: bare, truncated: false, ttlSeconds: 0 };
  if (readUint16(message, 4) !== 1 || message.length < start || !isSameQuestion(message, query, start)) return undefined;
  const truncated = (flags & flag.TC) !== 0;
  const counts: Counts = [readUint16(message, 6), readUint16(message, 8), readUint16(message, 10)];
  const records = readRecords(message, start, counts);
  if (!records) return truncated ? { answer: bare, truncated, ttlSeconds: 0 } : undefined;
  const { ends, ttls, present } = records;
  const body = message.slice(start, start + (ends.at(-1) ?? 0));
  const [answers, authorities, additionals] = present;
  const answer = { ...bare, flags: flag.RA | (flags & flag.AD), body, answers, authorities, additionals, ends, ttls };
  const keeps = !truncated && (code === rcode.NXDOMAIN || code === rcode.NOERROR);
  return { answer, truncated, ttlSeconds: keeps ? records.ttlSeconds : 0 };
}

type Counts = readonly [number, number, number];

const emptyBody = { body: new Uint8Array(), answers: 0, authorities: 0, additionals: 0, ends: [], rotates: 0, ttls: [] };

function isSameQuestion(message: Uint8Array, query: Uint8Array, end: number): boolean {
  for (let i = headerBytes; i < end; i++) {
    const byte = message[i] ?? 0;
    const lower = byte >= 0x41 && byte <= 0x5a && i < end - 4 ? byte | 0x20 : byte;
    if (lower !== query[i]) return false;
  }
  return true;
}

interface RecordPlaces {
  /** Relative to the end of the question. */
  readonly ends: readonly number[];
  readonly ttls: readonly number[];
  readonly present: Counts;
  readonly ttlSeconds: number;
}

/** Finds the records up to OPT, which is this hop's alone. */
function readRecords(message: Uint8Array, start: number, counts: Counts): RecordPlaces | undefined {
  const ends: number[] = [];
  const ttls: number[] = [];
  const present: [number, number, number] = [0, 0, 0];
  let [at, shortest, negative] = [start, Number.POSITIVE_INFINITY, 0];
  for (const section of [0, 1, 2] as const)
    for (let i = 0; i < counts[section]; i++) {
      const nameEnd = skipName(message, at, true);
      if (nameEnd === undefined || nameEnd + 10 > message.length) return undefined;
      const end = nameEnd + 10 + readUint16(message, nameEnd + 8);
      if (end > message.length) return undefined;
      const recordType = readUint16(message, nameEnd);
      // Records behind it may point into it: they are let go with it.
      if (recordType === type.OPT) return { ends, ttls, present, ttlSeconds: present[0] > 0 ? shortest : negative };
      const ttl = ttlAt(message, nameEnd + 4);
      shortest = Math.min(shortest, ttl);
      if (recordType === type.SOA && section === 1) negative = Math.min(ttl, ttlAt(message, end - 4));
      present[section]++;
      ttls.push(nameEnd + 4 - start);
      ends.push(end - start);
      at = end;
    }
  return { ends, ttls, present, ttlSeconds: present[0] > 0 ? shortest : negative };
}

/** The highest bit set means none at all (RFC 2181). */
function ttlAt(message: Uint8Array, at: number): number {
  const ttl = readUint32(message, at);
  return ttl > 0x7fff_ffff ? 0 : ttl;
}
