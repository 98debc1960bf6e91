// Opens the way to other API servers of the store, where --peer-ca-file says by what they are believed. The file is followed as it
// changes. Nothing of it is loaded without.
import { readFile } from "node:fs/promises";
import { AuthorityBundle } from "../../apiserver/authn/client-authorities.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { PeerProxy, PeerProxyDeps } from "../../apiserver/peer-proxy/peer-proxy.ts";
import { followFiles } from "../../base/followed-files.ts";
import type { StopStack } from "../../base/lifecycle.ts";
import { errorText } from "../../base/log.ts";
import { CommandError } from "../command-error.ts";

export interface OpenPeerProxyDeps extends Omit<PeerProxyDeps, "authority"> {
  /** As it has been read. */
  readonly authority: string;
  /** Stops what runs. */
  readonly stack: StopStack;
}

/** PEM of the authority of peers; undefined where none is given. Throws CommandError for a file that is no authority's. */
export async function readPeerAuthority({ peers: { caFile } }: ApiServerSettings): Promise<string | undefined> {
  if (caFile === undefined) return undefined;
  try {
    return checkedAuthority(await readFile(caFile, "utf8"));
  } catch (error) {
    throw new CommandError(`--peer-ca-file: ${errorText(error)}`);
  }
}

/** `identity`: this server's own. */
export async function openPeerProxy(
  { peers: { caFile = "" }, requestTimeoutMs }: ApiServerSettings,
  { authority, stack, ...deps }: OpenPeerProxyDeps,
  identity: string,
): Promise<PeerProxy> {
  const { clock, logger } = deps;
  let current = authority;
  const followed = followFiles([{ path: caFile, contents: current }], {
    clock,
    changed: ([pem = ""]) => {
      current = checkedAuthority(pem);
    },
    failed: (error) => logger.error("Authority of peers not reloaded, the old one stays", { file: caFile, error }),
  });
  stack.add(followed);
  const { createPeerProxy } = await import("../../apiserver/peer-proxy/peer-proxy.ts");
  return stack.add(createPeerProxy({ ...deps, authority: () => current }, { identity, requestTimeoutMs }));
}

/** The bundle itself. */
function checkedAuthority(pem: string): string {
  return new AuthorityBundle(pem).pem;
}
