// Which images a pattern of registries means, in docker configurations and for credential programs: the host with "*" for
// (a part of) one of its labels, the same number of labels, the same port, and a path that the image's path begins with.
import { parseImageName, registryOf } from "../../api/semantics/image-name.ts";

export function matchesImage(pattern: string, image: string): boolean {
  const wanted = normalized(pattern);
  const [wantedHost = "", ...wantedPath] = wanted.split("/");
  const { name } = parseImageName(image);
  const host = registryOf(image);
  const path = host === "docker.io" && !name.startsWith("docker.io/") ? name : name.split("/").slice(1).join("/");
  if (!hostPattern(wantedHost).test(host)) return false;
  const prefix = wantedPath.join("/");
  return prefix === "" || path === prefix || path.startsWith(`${prefix}/`);
}

/** Without scheme and the registry API's version; docker's own old name is its new one. */
export function normalized(server: string): string {
  const plain = server.replace(/^https?:\/\//, "").replace(/\/(v[12]\/?)?$/, "");
  return plain === "index.docker.io" ? "docker.io" : plain;
}

function hostPattern(host: string): RegExp {
  return new RegExp(`^${host.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^.]*")}$`);
}
