// What a client sends, read without decoding more than is needed: one question, and the OPT record of EDNS (RFC 6891).
// Whatever cannot be a query is dropped; what can be answered with an error alone says with which.
import { dnssecOk, flag, headerBytes, plainUdpBytes, rcode, readUint16, skipName, type } from "./wire.ts";

export interface Query {
  /** As received. */
  readonly bytes: Uint8Array;
  readonly id: number;
  readonly flags: number;
  /** What is asked: the name as on the wire in lower case, then the type. Answers are found by it. */
  readonly key: string;
  /** Of the name as on the wire. */
  readonly nameBytes: number;
  readonly type: number;
  readonly class: number;
  /** Position behind the question; the header's length where there is none. */
  readonly questionEnd: number;
  readonly edns: boolean;
  /** The client wants DNSSEC records. */
  readonly dnssecOk: boolean;
  /** What it takes over UDP. */
  readonly udpBytes: number;
  /** Why it is answered with this alone; NOERROR where it is not. */
  readonly problem: number;
}

/** Records behind the question that are looked at, in search of OPT. */
const maxExtraRecords = 8;

const scratch = Buffer.alloc(300);

/** Undefined for what gets no answer: too short for a header, or an answer itself. */
export function parseQuery(bytes: Uint8Array): Query | undefined {
  if (bytes.length < headerBytes) return undefined;
  const flags = readUint16(bytes, 2);
  if (flags & flag.QR) return undefined;
  if ((flags >> 11) & 15) return unanswerable(bytes, flags, rcode.NOTIMP);
  if (readUint16(bytes, 4) !== 1) return unanswerable(bytes, flags, rcode.FORMERR);
  const nameEnd = skipName(bytes, headerBytes, false);
  if (nameEnd === undefined || nameEnd + 4 > bytes.length) return unanswerable(bytes, flags, rcode.FORMERR);
  const nameBytes = nameEnd - headerBytes;
  for (let i = 0; i < nameBytes + 2; i++) {
    const byte = bytes[headerBytes + i] ?? 0;
    // Length bytes are below 64 and so never taken for letters.
    scratch[i] = i < nameBytes && byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
  }
  const extra = readUint16(bytes, 6) + readUint16(bytes, 8) + readUint16(bytes, 10);
  const edns = extra === 0 ? noEdns : readEdns(bytes, nameEnd + 4, extra);
  return {
    bytes,
    id: readUint16(bytes, 0),
    flags,
    key: scratch.toString("latin1", 0, nameBytes + 2),
    nameBytes,
    type: readUint16(bytes, nameEnd),
    class: readUint16(bytes, nameEnd + 2),
    questionEnd: nameEnd + 4,
    edns: edns.present,
    dnssecOk: edns.dnssecOk,
    udpBytes: edns.udpBytes,
    problem: edns.problem,
  };
}

interface Edns {
  readonly present: boolean;
  readonly dnssecOk: boolean;
  readonly udpBytes: number;
  readonly problem: number;
}

const noEdns: Edns = { present: false, dnssecOk: false, udpBytes: plainUdpBytes, problem: rcode.NOERROR };
const malformed: Edns = { ...noEdns, problem: rcode.FORMERR };

function readEdns(bytes: Uint8Array, start: number, records: number): Edns {
  let found = noEdns;
  let at = start;
  for (let i = 0; i < Math.min(records, maxExtraRecords); i++) {
    const nameEnd = skipName(bytes, at, true);
    if (nameEnd === undefined || nameEnd + 10 > bytes.length) return malformed;
    const end = nameEnd + 10 + readUint16(bytes, nameEnd + 8);
    if (end > bytes.length) return malformed;
    if (readUint16(bytes, nameEnd) === type.OPT) {
      // One only, and of the root.
      if (found.present || nameEnd !== at + 1) return malformed;
      found = {
        present: true,
        dnssecOk: (readUint16(bytes, nameEnd + 6) & dnssecOk) !== 0,
        udpBytes: Math.max(plainUdpBytes, readUint16(bytes, nameEnd + 2)),
        problem: bytes[nameEnd + 5] === 0 ? rcode.NOERROR : rcode.BADVERS,
      };
    }
    at = end;
  }
  return found;
}

function unanswerable(bytes: Uint8Array, flags: number, problem: number): Query {
  const none = { key: "", nameBytes: 0, type: 0, class: 0, edns: false, dnssecOk: false };
  return { bytes, id: readUint16(bytes, 0), flags, ...none, questionEnd: headerBytes, udpBytes: plainUdpBytes, problem };
}
