// The answers to reads at resource versions that are malformed, compacted away or not reached, with upstream's texts.
import { badRequest, StatusError, serviceUnavailable } from "../../api/meta/status-error.ts";
import { CompactedError } from "../../storage/store.ts";
import { CacheStoppedError, RevisionNotReachedError } from "../watch-cache/progress.ts";
import { CacheNotReadyError } from "../watch-cache/readiness.ts";
import { encodeContinue } from "./continue-token.ts";
import { parseResourceVersion } from "./request-options.ts";

const malformed = (text: string): string =>
  `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;

/** The resource version of a list. Throws 400. */
export function listRevision(text: string): number {
  const revision = parseResourceVersion(text === "" ? "0" : text);
  if (revision === undefined) throw badRequest(`invalid resource version: ${malformed(text)}`);
  return revision;
}

/** The resource version of a get or watch; undefined where none is given. Throws 500, as upstream does. */
export function readRevision(text: string): number | undefined {
  if (text === "") return undefined;
  const revision = parseResourceVersion(text);
  if (revision === undefined) throw new StatusError({ code: 500, message: malformed(text) });
  return revision;
}

/** Runs a read and turns the store's errors about revisions into answers. */
export async function answeringRevisionErrors<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof RevisionNotReachedError) throw tooLarge(error.revision, error.current);
    // Asked again, the resource is found anew, or is gone.
    if (error instanceof CacheStoppedError) throw serviceUnavailable("the resource is no longer served as it was");
    if (error instanceof CacheNotReadyError) throw notReady(error);
    if (error instanceof CompactedError)
      throw new StatusError({ code: 410, reason: "Expired", message: "The resourceVersion for the provided list is too old." });
    throw error;
  }
}

/** Who asks comes back the later the longer it lasts, after half a minute at most. */
function notReady({ message, downMs }: CacheNotReadyError): StatusError {
  const retryAfterSeconds = Math.trunc(Math.min(30, Math.max(1, Math.exp(0.06 * (downMs / 1000)))));
  return new StatusError({ code: 429, reason: "TooManyRequests", message, details: { retryAfterSeconds } });
}

export function tooLarge(revision: number, current: number): StatusError {
  return new StatusError({
    code: 504,
    reason: "Timeout",
    message: `Timeout: Too large resource version: ${revision}, current: ${current}`,
    details: { causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }], retryAfterSeconds: 1 },
  });
}

/** The answer to a continue token whose revision is gone; it holds a token that goes on without consistency. */
export function continueExpired(start: string): StatusError {
  const message =
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the " +
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with " +
    "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the " +
    "first chunk was returned and now may show up in the list.";
  const metadata = { continue: encodeContinue({ revision: -1, start }) };
  return new StatusError({ code: 410, reason: "Expired", message, ...{ metadata } });
}
