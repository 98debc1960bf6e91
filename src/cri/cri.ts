// The Container Runtime Interface, v1, as the kubelet sees it: every method of RuntimeService and ImageService. Nothing above
// this file knows which runtime answers: containerd or CRI-O over a socket (grpc-runtime.ts), or the simulated one
// (simulated.ts). Failures are RpcErrors with a gRPC code name ("NOT_FOUND", "UNAVAILABLE", "UNIMPLEMENTED" …). Times
// (`createdAt`, `startedAt`, `timestamp`) are nanoseconds since 1970 as bigint; 0n is "never".
import type { ImageService, RuntimeService } from "./generated/runtime-v1.ts";

export interface CriRuntime extends RuntimeService, ImageService {}

/** A runtime reached through a connection of its own, which its owner closes. */
export interface CriConnection extends CriRuntime {
  /** Resolves when the runtime accepts calls; rejects with an RpcError after `timeoutMs`. */
  ready(options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void>;
  /** Fails calls under way with CANCELLED. Idempotent. */
  close(): void;
}

/** A CRI time as milliseconds since 1970. */
export function criTimeMs(nanoseconds: bigint): number {
  return Number(nanoseconds / 1000n) / 1000;
}

/** Milliseconds since 1970 as a CRI time. */
export function criTime(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}
