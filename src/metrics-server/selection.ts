// The selectors of a list request, as functions; one that does not parse is the client's mistake.
import { parseFieldSelector, parseLabelSelector, SelectorError } from "../api/meta/selectors.ts";
import { badRequest } from "../api/meta/status-error.ts";

interface Named {
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export function labelMatcherOf(query: URLSearchParams): (labels: Readonly<Record<string, string>> | undefined) => boolean {
  const text = query.get("labelSelector") ?? "";
  const matcher = orBadRequest(() => parseLabelSelector(text));
  return (labels) => matcher.matches(labels);
}

/** By metadata.name and metadata.namespace. */
export function selectedFields(query: URLSearchParams): (object: Named) => boolean {
  const text = query.get("fieldSelector") ?? "";
  if (text === "") return () => true;
  const matcher = orBadRequest(() => parseFieldSelector(text));
  return ({ metadata }) =>
    matcher.matches((field) => ({ "metadata.name": metadata.name, "metadata.namespace": metadata.namespace ?? "" })[field]);
}

function orBadRequest<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
}
