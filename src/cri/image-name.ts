// Image names as Docker and Kubernetes complete them: "busybox" is "docker.io/library/busybox:latest". The grammar is that of
// the distribution project's reference format.

const domain =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\d+)?$|^\[[0-9a-fA-F:]+\](?::\d+)?$/;
const pathComponent = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

/** The full name with registry, and tag or digest. Throws an Error that says what is wrong with the name. */
export function normalizeImageName(name: string): string {
  const [beforeDigest = "", digest, ...more] = name.split("@");
  if (more.length > 0 || (digest !== undefined && !digestPattern.test(digest)))
    throw invalid(name, "the digest is not sha256:<64 hex digits>");
  const colon = beforeDigest.lastIndexOf(":");
  const hasTag = colon > beforeDigest.lastIndexOf("/");
  const repository = hasTag ? beforeDigest.slice(0, colon) : beforeDigest;
  const tag = hasTag ? beforeDigest.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid(name, `"${tag}" is not a tag`);
  const [registry, path] = splitRegistry(repository);
  if (!domain.test(registry)) throw invalid(name, `"${registry}" is not a registry`);
  if (!path.split("/").every((part) => pathComponent.test(part)))
    throw invalid(name, "the repository must be lower-case words separated by /");
  const suffix = digest === undefined ? `:${tag ?? "latest"}` : `${tag === undefined ? "" : `:${tag}`}@${digest}`;
  return `${registry}/${path}${suffix}`;
}

/** The first component is a registry when it could not be part of a Docker Hub name. */
function splitRegistry(repository: string): readonly [string, string] {
  const slash = repository.indexOf("/");
  const first = repository.slice(0, Math.max(slash, 0));
  const isRegistry = slash > 0 && (/[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first);
  const registry = isRegistry ? first : "docker.io";
  const path = isRegistry ? repository.slice(slash + 1) : repository;
  const hub = registry === "docker.io" || registry === "index.docker.io";
  return [hub ? "docker.io" : registry, hub && !path.includes("/") ? `library/${path}` : path];
}

function invalid(name: string, reason: string): Error {
  return new Error(`invalid image name ${JSON.stringify(name)}: ${reason}`);
}
