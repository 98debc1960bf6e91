// When an image is pulled, where its user does not say.
import { isImageName } from "../semantics/image-name.ts";

/** Always for the tag "latest", given or meant; IfNotPresent for other tags, for digests without a tag and for what names no image. */
export function defaultPullPolicy(image: string): "Always" | "IfNotPresent" {
  const [name = "", digest] = image.split("@");
  const colon = name.lastIndexOf(":");
  const tag = colon > name.lastIndexOf("/") ? name.slice(colon + 1) : "";
  const isLatest = tag === "latest" || (tag === "" && digest === undefined);
  return isLatest && isImageName(image) ? "Always" : "IfNotPresent";
}
