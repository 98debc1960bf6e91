// What a client may ask of a document before it is sent: that it is, or is not, the one with a tag, or of some time. As Go's
// file server answers, with which upstream sends its documents: tags count before times, and times that cannot be read do not.

export interface Validators {
  /** Absent: no tag is this one's. */
  readonly etag?: string;
  readonly modifiedMs: number;
}

type Headers = Readonly<Record<string, string | undefined>>;

/** 412 where the document is not the one that was meant, 304 where the client has it. */
export function preconditionStatus(headers: Headers, document: Validators): 304 | 412 | undefined {
  const { etag } = document;
  const match = headers["if-match"];
  if (match ? !namesTag(match, etag) : modifiedSince(headers["if-unmodified-since"], document) === true) return 412;
  const noneMatch = headers["if-none-match"];
  return (noneMatch ? namesTag(noneMatch, etag, { weakly: true }) : modifiedSince(headers["if-modified-since"], document) === false)
    ? 304
    : undefined;
}

function namesTag(header: string, etag: string | undefined, { weakly = false } = {}): boolean {
  const isOwn = (tag: string): boolean => tag === "*" || (weakly ? tag.replace(/^W\//, "") : tag) === etag;
  return header.split(",").some((tag) => isOwn(tag.trim()));
}

/** Undefined where the header is not there, or says no time. Times have seconds. */
function modifiedSince(header: string | undefined, { modifiedMs }: Validators): boolean | undefined {
  const since = header ? Date.parse(header) : Number.NaN;
  return Number.isNaN(since) ? undefined : Math.floor(modifiedMs / 1000) * 1000 > since;
}
