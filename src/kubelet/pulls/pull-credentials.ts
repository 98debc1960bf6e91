// Credentials for a registry out of a pod's imagePullSecrets (types kubernetes.io/dockerconfigjson and .../dockercfg). The
// most specific entries come first; an entry matches by host ("*.example.com" too), port and path prefix.
import { createHash } from "node:crypto";
import type { Secret } from "../../api/types/core-v1.ts";
import type { AuthConfig } from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";
import { matchesImage, normalized } from "./match-image.ts";
import type { PullServiceAccount } from "./pull-records.ts";

/** Credentials, and whose they are: without a source they are the node's, for all pods. */
export interface TrackedCredential {
  readonly auth: Input<AuthConfig>;
  /** Of what is in it. */
  readonly hash: string;
  readonly source?: {
    readonly secret?: { readonly uid: string; readonly namespace: string; readonly name: string };
    readonly serviceAccount?: PullServiceAccount;
  };
}

interface DockerAuth {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

export function trackedCredential(auth: Input<AuthConfig>, source?: TrackedCredential["source"]): TrackedCredential {
  const { serverAddress: _server, ...what } = auth;
  const hash = createHash("sha256").update(JSON.stringify(what)).digest("hex");
  return { auth, hash, ...(source ? { source } : {}) };
}

export function credentialsFor(image: string, secrets: readonly Secret[]): readonly TrackedCredential[] {
  return secrets
    .flatMap((secret) => readEntries(secret).map(([server, auth]) => ({ server, auth, secret })))
    .filter(({ server }) => matchesImage(server, image))
    .sort((a, b) => normalized(b.server).length - normalized(a.server).length)
    .map(({ server, auth, secret }) => {
      const { uid, namespace, name } = secret.metadata;
      return trackedCredential(toAuthConfig(server, auth), { secret: { uid, namespace, name } });
    });
}

function readEntries(secret: Secret): readonly (readonly [string, DockerAuth])[] {
  const modern = secret.data?.[".dockerconfigjson"];
  const old = secret.data?.[".dockercfg"];
  const text = modern ?? old;
  if (text === undefined) return [];
  try {
    const parsed = JSON.parse(Buffer.from(text, "base64").toString("utf8")) as { auths?: Record<string, DockerAuth> };
    return Object.entries(modern ? (parsed.auths ?? {}) : (parsed as Record<string, DockerAuth>));
  } catch {
    // A secret that is no JSON gives no credentials, as upstream has it; the pull then fails with the registry's answer.
    return [];
  }
}

function toAuthConfig(server: string, auth: DockerAuth): Input<AuthConfig> {
  const [username = "", ...password] = auth.auth ? Buffer.from(auth.auth, "base64").toString("utf8").split(":") : [];
  return {
    serverAddress: server,
    username: auth.username ?? username,
    password: auth.password ?? password.join(":"),
    ...(auth.identitytoken ? { identityToken: auth.identitytoken } : {}),
    ...(auth.registrytoken ? { registryToken: auth.registrytoken } : {}),
  };
}
