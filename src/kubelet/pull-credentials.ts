// Credentials for a registry out of a pod's imagePullSecrets (types kubernetes.io/dockerconfigjson and .../dockercfg). The
// most specific entries come first; an entry matches by host ("*.example.com" too), port and path prefix.
import type { Secret } from "../api/types/core-v1.ts";
import type { AuthConfig } from "../cri/generated/runtime-v1.ts";
import type { Input } from "../rpc/protocol.ts";
import { parseImageName, registryOf } from "./image-name.ts";

interface DockerAuth {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

export function credentialsFor(image: string, secrets: readonly Secret[]): readonly Input<AuthConfig>[] {
  const { name } = parseImageName(image);
  const host = registryOf(image);
  const path = host === "docker.io" && !name.startsWith("docker.io/") ? `docker.io/${name}` : name;
  return secrets
    .flatMap(readEntries)
    .filter(([server]) => matches(normalized(server), host, path))
    .sort(([a], [b]) => normalized(b).length - normalized(a).length)
    .map(([server, auth]) => toAuthConfig(server, auth));
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

function normalized(server: string): string {
  const plain = server.replace(/^https?:\/\//, "").replace(/\/(v[12]\/?)?$/, "");
  return plain === "index.docker.io" ? "docker.io" : plain;
}

function matches(entry: string, host: string, path: string): boolean {
  const [entryHost = "", ...rest] = entry.split("/");
  const hostPattern = new RegExp(`^${entryHost.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^.]*")}$`);
  const prefix = rest.length > 0 ? `${host}/${rest.join("/")}` : "";
  return hostPattern.test(host) && (prefix === "" || path === prefix || path.startsWith(`${prefix}/`));
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
