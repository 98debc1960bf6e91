// Answers without the client's part: what follows the question, encoded once and sent to everybody who asks the same. An
// answer becomes a message by copying it behind the client's own question (so that letters keep the case they came in) and
// setting the header. The owner of a record is a pointer to the question wherever it is the name asked for.
import { encode, type Answer as PacketRecord } from "dns-packet";
import type { Query } from "./query.ts";
import { flag, headerBytes, maxUdpBytes, optBytes, readUint32, writeUint16, writeUint32 } from "./wire.ts";

export interface Answer {
  readonly rcode: number;
  /** AA, AD, RA … of the header. */
  readonly flags: number;
  /** Everything behind the question, without OPT. */
  readonly body: Uint8Array;
  readonly answers: number;
  readonly authorities: number;
  readonly additionals: number;
  /** Where each record of the body ends. */
  readonly ends: readonly number[];
  /** Bytes of each answer where they are alike and may be told in any order; 0 where they are not. */
  readonly rotates: number;
  /** Where the TTLs stand that grow smaller while the answer is kept. */
  readonly ttls: readonly number[];
}

export interface Sections {
  readonly answers?: readonly Uint8Array[];
  readonly authorities?: readonly Uint8Array[];
  readonly additionals?: readonly Uint8Array[];
}

/** Owner of a record that is the name asked for. */
export const theQuestion = Uint8Array.of(0xc0, headerBytes);

/** A record in bytes. `owner`: its name as on the wire, or a pointer; the record's own name is not looked at. */
export function encodeRecord(record: PacketRecord, owner: Uint8Array = theQuestion): Uint8Array {
  const encoded = encode({ type: "response", answers: [{ ...record, name: "." }] });
  return Buffer.concat([owner, encoded.subarray(headerBytes + 1)]);
}

export function buildAnswer(code: number, flags: number, { answers = [], authorities = [], additionals = [] }: Sections = {}): Answer {
  const records = [...answers, ...authorities, ...additionals];
  let end = 0;
  const ends = records.map((record) => {
    end += record.length;
    return end;
  });
  const size = answers[0]?.length ?? 0;
  // Addresses of one name; SRV and PTR records differ in length as a rule, and their order says nothing.
  const alike = answers.length > 1 && answers.every((record) => record.length === size && record[0] === 0xc0 && record[1] === headerBytes);
  return {
    rcode: code,
    flags,
    body: Buffer.concat(records),
    answers: answers.length,
    authorities: authorities.length,
    additionals: additionals.length,
    ends,
    rotates: alike ? size : 0,
    ttls: [],
  };
}

export const emptyAnswer = (code: number, flags = 0): Answer => buildAnswer(code, flags);

export interface Delivery {
  /** Over UDP a message is cut to what the client takes. */
  readonly udp: boolean;
  /** How many records further the alike ones begin. */
  readonly turn: number;
  /** How long the answer has been kept. */
  readonly ageSeconds: number;
}

/** The message for a client. */
export function writeMessage(query: Query, answer: Answer, { udp, turn, ageSeconds }: Delivery): Uint8Array {
  const { questionEnd } = query;
  const room = (udp ? Math.min(query.udpBytes, maxUdpBytes) : 65_535) - questionEnd - (query.edns ? optBytes : 0);
  const fits = answer.body.length <= room;
  const kept = fits ? answer.ends.length : answer.ends.findIndex((end) => end > room);
  const bodyBytes = fits ? answer.body.length : kept === 0 ? 0 : (answer.ends[kept - 1] ?? 0);
  const message = Buffer.allocUnsafe(questionEnd + bodyBytes + (query.edns ? optBytes : 0));
  message.set(query.bytes.subarray(0, questionEnd));
  copyBody(message, questionEnd, { answer, bodyBytes, turn: fits ? turn : 0 });
  if (ageSeconds > 0) age(message, questionEnd, { answer, bodyBytes, ageSeconds });
  // What is added for convenience may be missing without a word.
  const truncated = kept < answer.answers + answer.authorities;
  const flags = flag.QR | (query.flags & (0x7800 | flag.RD | flag.CD)) | answer.flags | (truncated ? flag.TC : 0) | (answer.rcode & 15);
  writeUint16(message, 2, flags);
  writeUint16(message, 4, questionEnd > headerBytes ? 1 : 0);
  writeUint16(message, 6, Math.min(kept, answer.answers));
  writeUint16(message, 8, Math.max(0, Math.min(kept - answer.answers, answer.authorities)));
  writeUint16(message, 10, Math.max(0, kept - answer.answers - answer.authorities) + (query.edns ? 1 : 0));
  if (query.edns) writeOpt(message, questionEnd + bodyBytes, query, answer.rcode);
  return message;
}

interface Copied {
  readonly answer: Answer;
  readonly bodyBytes: number;
}

function copyBody(message: Buffer, at: number, { answer, bodyBytes, turn }: Copied & { readonly turn: number }): void {
  const { body, rotates, answers } = answer;
  const shift = rotates === 0 ? 0 : (turn % answers) * rotates;
  if (shift === 0) {
    message.set(bodyBytes === body.length ? body : body.subarray(0, bodyBytes), at);
    return;
  }
  const end = rotates * answers;
  message.set(body.subarray(shift, end), at);
  message.set(body.subarray(0, shift), at + end - shift);
  message.set(body.subarray(end, bodyBytes), at + end);
}

function age(message: Buffer, at: number, { answer, bodyBytes, ageSeconds }: Copied & { readonly ageSeconds: number }): void {
  for (const position of answer.ttls)
    if (position < bodyBytes) writeUint32(message, at + position, Math.max(0, readUint32(message, at + position) - ageSeconds));
}

function writeOpt(message: Buffer, at: number, query: Query, code: number): void {
  message.fill(0, at, at + optBytes);
  message[at + 2] = 41;
  writeUint16(message, at + 3, maxUdpBytes);
  message[at + 5] = code >> 4;
  if (query.dnssecOk) message[at + 7] = 0x80;
}
