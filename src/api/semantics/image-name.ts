// Image references as a pod writes them ("nginx", "nginx:1.27", "registry.local:5000/team/app@sha256:…"): checked by the
// grammar of the distribution project, completed with the tag "latest" where neither tag nor digest is given.

const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const domainLabel = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domain = `(?:${domainLabel}(?:\\.${domainLabel})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const reference = new RegExp(
  `^((?:${domain}/)?${component}(?:/${component})*)(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);

export interface ImageName {
  readonly name: string;
  readonly tag?: string;
  readonly digest?: string;
}

const identifier = /^[a-f0-9]{64}$/;

const maxPathLength = 255;

/** Whether a text is an image reference. 64 hexadecimal digits are none, as they are an identifier, nor is a path that is too long. */
export function isImageName(image: string): boolean {
  const match = reference.exec(image);
  if (!match || identifier.test(image)) return false;
  const [, name = ""] = match;
  if (name.length <= maxPathLength - libraryPrefix.length) return true;
  const slash = name.indexOf("/");
  if (slash < 0) return false;
  const named = /[.:]/.test(name.slice(0, slash)) || name.startsWith("localhost/");
  return (named ? name.length - slash - 1 : name.length) <= maxPathLength;
}

/** What stands before a name without a slash. */
const libraryPrefix = "library/";

/** What a text that is no reference would have as its repository: without the registry, and up to the first colon. */
function repositoryOf(image: string): string {
  const slash = image.indexOf("/");
  const first = slash < 0 ? "" : image.slice(0, slash);
  const isRegistry = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  const rest = isRegistry ? image.slice(slash + 1) : slash < 0 ? `${libraryPrefix}${image}` : image;
  return rest.split(":", 1)[0] ?? "";
}

/** Throws an Error with upstream's text for what is no image reference. */
export function parseImageName(image: string): ImageName {
  const match = reference.exec(image);
  if (!match) {
    const repository = repositoryOf(image);
    const why = repository === repository.toLowerCase() ? "" : `: repository name (${repository}) must be lowercase`;
    throw new Error(`couldn't parse image name "${image}": invalid reference format${why}`);
  }
  const [, name = "", tag, digest] = match;
  return { name, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** The reference to ask the runtime for. */
export function withDefaultTag(image: string): string {
  const { tag, digest } = parseImageName(image);
  return tag === undefined && digest === undefined ? `${image}:latest` : image;
}

/** The registry's host, "docker.io" where none is written. */
export function registryOf(image: string): string {
  const first = parseImageName(image).name.split("/")[0] ?? "";
  const named = image.includes("/") && (/[.:]/.test(first) || first === "localhost");
  return named ? first : "docker.io";
}
