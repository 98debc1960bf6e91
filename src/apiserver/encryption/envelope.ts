// How values lie in the store that a KMS protects: beside the data the seed it was encrypted with, itself encrypted by the KMS,
// with the id of the KMS's key. Upstream's message, field by field.
import { createCodecs } from "../../rpc/protobuf.ts";
import type { ProtocolTable } from "../../rpc/protocol.ts";
import { DecryptError } from "./transformer.ts";

/** The encrypted source is the AES-GCM key itself, or the seed of keys (see seededAesGcm). */
export const sourceTypes = { key: 0, seed: 1 } as const;

export interface Envelope {
  readonly encryptedData: Uint8Array;
  readonly keyId: string;
  readonly encryptedSource: Uint8Array;
  readonly annotations: Readonly<Record<string, Uint8Array>>;
  readonly sourceType: number;
}

const table: ProtocolTable = {
  package: "v2",
  services: {},
  enums: {},
  messages: {
    EncryptedObject: "1 encryptedData bytes; 2 keyId string; 3 encryptedSource bytes; 4 annotations map<string,bytes>; 5 sourceType int32",
  },
};

const codec = createCodecs(table).of<Envelope>("EncryptedObject");
const maxKeyIdBytes = 1024;
const maxSourceBytes = 1024;
const maxAnnotationBytes = 32 * 1024;

export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return codec.encode(envelope);
}

/** Throws DecryptError. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  let envelope: Envelope;
  try {
    envelope = codec.decode(bytes);
  } catch (cause) {
    throw new DecryptError("the stored value is no envelope", { cause });
  }
  const problem = envelope.encryptedData.length === 0 ? "encrypted data is empty" : envelopeProblem(envelope);
  if (problem !== undefined) throw new DecryptError(problem);
  return envelope;
}

export function keyIdProblem(keyId: string): string | undefined {
  if (keyId === "") return "keyID is empty";
  const size = Buffer.byteLength(keyId);
  return size > maxKeyIdBytes ? `keyID is ${size} bytes, which exceeds the max size of ${maxKeyIdBytes}` : undefined;
}

/** What is wrong with all but the data: also asked of what a KMS gives. */
export function envelopeProblem({ keyId, encryptedSource, annotations, sourceType }: Omit<Envelope, "encryptedData">): string | undefined {
  if (sourceType !== sourceTypes.key && sourceType !== sourceTypes.seed) return `unknown encryptedDEKSourceType: ${sourceType}`;
  if (encryptedSource.length === 0) return "encrypted DEK source is empty";
  if (encryptedSource.length > maxSourceBytes)
    return `encrypted DEK source is ${encryptedSource.length} bytes, which exceeds the max size of ${maxSourceBytes}`;
  const badKeyId = keyIdProblem(keyId);
  if (badKeyId !== undefined) return badKeyId;
  let size = 0;
  for (const [name, value] of Object.entries(annotations)) {
    if (!/^([a-z0-9]([-a-z0-9]*[a-z0-9])?)(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/.test(name))
      return `annotation ${JSON.stringify(name)} is no fully qualified domain name`;
    size += Buffer.byteLength(name) + value.length;
  }
  return size > maxAnnotationBytes
    ? `total size of annotations is ${size}, which exceeds the max size of ${maxAnnotationBytes}`
    : undefined;
}
