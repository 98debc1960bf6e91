// V8's profiles in the form of pprof (https://github.com/google/pprof/blob/main/proto/profile.proto), which `go tool pprof` and
// what reads Kubernetes' profiles understand: a sample is a stack of locations, innermost first, with numbers.
import { gzipSync } from "node:zlib";
import { createCodecs } from "../../rpc/protobuf.ts";
import type { ProtocolTable } from "../../rpc/protocol.ts";

export const pprofV1: ProtocolTable = {
  package: "perftools.profiles",
  services: {},
  enums: {},
  messages: {
    Profile:
      "1 sampleType ValueType[]; 2 sample Sample[]; 4 location Location[]; 5 function Function[]; 6 stringTable string[]; 9 timeNanos int64:bigint; 10 durationNanos int64:bigint; 11 periodType ValueType; 12 period int64",
    ValueType: "1 type int64; 2 unit int64",
    Sample: "1 locationId uint64[]; 2 value int64[]",
    Location: "1 id uint64; 4 line Line[]",
    Line: "1 functionId uint64; 2 line int64",
    Function: "1 id uint64; 2 name int64; 3 systemName int64; 4 filename int64; 5 startLine int64",
  },
};

/** A place in the program. */
export interface Frame {
  readonly functionName: string;
  readonly url: string;
  /** From 0. */
  readonly lineNumber: number;
}

export interface StackSample {
  /** Innermost first. */
  readonly frames: readonly Frame[];
  readonly values: readonly number[];
}

export interface ProfileFacts {
  /** What the values of samples are: ["samples", "count"], ["cpu", "nanoseconds"]. */
  readonly valueTypes: readonly (readonly [type: string, unit: string])[];
  /** What is between two samples. */
  readonly period: { readonly type: readonly [type: string, unit: string]; readonly value: number };
  /** Since 1970. */
  readonly beganMs: number;
  readonly durationMs: number;
}

const codec = createCodecs(pprofV1).of<object>("Profile");

/** Compressed, as profiles are kept and sent. */
export function pprofBytes(samples: readonly StackSample[], facts: ProfileFacts): Uint8Array {
  const texts = new Numbered<string, string>((text) => text);
  texts.of("");
  const functions = new Numbered<Frame, object>(({ functionName, url, lineNumber }) => ({
    name: texts.of(functionName === "" ? `(anonymous) ${url.slice(url.lastIndexOf("/") + 1)}:${lineNumber + 1}` : functionName),
    systemName: texts.of(functionName),
    filename: texts.of(url),
    startLine: lineNumber + 1,
  }));
  const keyOf = ({ functionName, url, lineNumber }: Frame): string => `${functionName}\n${url}\n${lineNumber}`;
  const typeOf = ([type, unit]: readonly [string, string]): object => ({ type: texts.of(type), unit: texts.of(unit) });
  const sample = samples.map(({ frames, values }) => ({
    locationId: frames.map((frame) => functions.of(frame, keyOf(frame)) + 1),
    value: values,
  }));
  const sampleType = facts.valueTypes.map(typeOf);
  const periodType = typeOf(facts.period.type);
  const message = {
    ...{ sampleType, sample, periodType, period: facts.period.value },
    // A function is its location: V8 samples lines of functions, not of instructions.
    location: functions.all.map((_, i) => ({ id: i + 1, line: [{ functionId: i + 1, line: functions.keys[i]?.lineNumber ?? 0 }] })),
    function: functions.all.map((of, i) => ({ id: i + 1, ...of })),
    stringTable: texts.all,
    timeNanos: BigInt(Math.round(facts.beganMs)) * 1_000_000n,
    durationNanos: BigInt(Math.round(facts.durationMs)) * 1_000_000n,
  };
  return gzipSync(codec.encode(message));
}

/** Numbers from 0 for things, the same for the same. */
class Numbered<K, V> {
  readonly all: V[] = [];
  readonly keys: K[] = [];
  readonly #numbers = new Map<unknown, number>();
  readonly #make: (key: K) => V;

  constructor(make: (key: K) => V) {
    this.#make = make;
  }

  of(key: K, identity: unknown = key): number {
    const known = this.#numbers.get(identity);
    if (known !== undefined) return known;
    const number = this.all.push(this.#make(key)) - 1;
    this.keys.push(key);
    this.#numbers.set(identity, number);
    return number;
  }
}
