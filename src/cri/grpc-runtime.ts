// A CRI runtime behind a unix socket: containerd, CRI-O, or anything else that speaks runtime.v1. Methods the runtime is too
// old for fail with UNIMPLEMENTED.
import { connectRpc, type RpcConnection, type RpcConnectionOptions } from "../rpc/client.ts";
import type { CriConnection } from "./cri.ts";
import { type ImageService, type RuntimeService, runtimeV1 } from "./generated/runtime-v1.ts";

/** Connects lazily: the first call, or `ready`, opens the connection. The caller closes it. */
export function connectCri(options: RpcConnectionOptions): CriConnection {
  return criOver(connectRpc(options));
}

export function criOver(connection: RpcConnection): CriConnection {
  return {
    ...connection.service<RuntimeService>(runtimeV1, "RuntimeService"),
    ...connection.service<ImageService>(runtimeV1, "ImageService"),
    ready: (wait) => connection.ready(wait),
    close: () => connection.close(),
  };
}
