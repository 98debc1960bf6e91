// The protocol of signers of service-account tokens outside of the API server: externaljwt.v1 of v1.36, on a Unix socket.
import type { CallOptions, EmptyMessage, Input, ProtocolTable } from "../../../rpc/protocol.ts";

export interface SignJwtResponse {
  /** base64url, as it stands in the token: alg, kid and typ alone. */
  readonly header: string;
  /** base64url. */
  readonly signature: string;
}

export interface ExternalKey {
  readonly keyId: string;
  /** PKIX, DER. */
  readonly key: Uint8Array;
  /** Signs nothing any more, and is not told to others. */
  readonly excludeFromOidcDiscovery: boolean;
}

export interface FetchKeysResponse {
  readonly keys: readonly ExternalKey[];
  /** When the signer had them from where they are kept. */
  readonly dataTimestamp?: { readonly seconds: number; readonly nanos: number } | undefined;
  readonly refreshHintSeconds: number;
}

export interface ExternalJwtSigner {
  /** `claims`: base64url, as it stands in the token. */
  sign(request: Input<{ readonly claims: string }>, options?: CallOptions): Promise<SignJwtResponse>;
  fetchKeys(request: EmptyMessage, options?: CallOptions): Promise<FetchKeysResponse>;
  metadata(request: EmptyMessage, options?: CallOptions): Promise<{ readonly maxTokenExpirationSeconds: number }>;
}

export const externalJwtV1: ProtocolTable = {
  package: "v1",
  services: {
    ExternalJWTSigner: {
      Sign: "SignJWTRequest -> SignJWTResponse",
      FetchKeys: "FetchKeysRequest -> FetchKeysResponse",
      Metadata: "MetadataRequest -> MetadataResponse",
    },
  },
  enums: {},
  messages: {
    SignJWTRequest: "1 claims string",
    SignJWTResponse: "1 header string; 2 signature string",
    FetchKeysRequest: "",
    FetchKeysResponse: "1 keys Key[]; 2 dataTimestamp Timestamp; 3 refreshHintSeconds int64",
    Key: "1 keyId string; 2 key bytes; 3 excludeFromOidcDiscovery bool",
    Timestamp: "1 seconds int64; 2 nanos int32",
    MetadataRequest: "",
    MetadataResponse: "1 maxTokenExpirationSeconds int64",
  },
};
