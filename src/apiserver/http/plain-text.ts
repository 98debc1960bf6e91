// Answers in plain text, as Go's HTTP library writes its errors: browsers are told not to take them for anything else.
import { goQuoted } from "../../base/go-quoted.ts";
import { type ApiRequest, type ApiResponse, requestUri } from "../request.ts";

export function plainText(status: number, text: string, more: Readonly<Record<string, string>> = {}): ApiResponse {
  return {
    kind: "bytes",
    status,
    contentType: "text/plain; charset=utf-8",
    bytes: Buffer.from(text),
    headers: { "X-Content-Type-Options": "nosniff", ...more },
  };
}

/** The answer where a stage failed before there was anything to answer with. */
export function internalServerError(request: Pick<ApiRequest, "uri" | "path" | "query">, why: string): ApiResponse {
  return plainText(500, `${withoutMarkup(`Internal Server Error: ${goQuoted(requestUri(request))}: ${why}`)}\n`);
}

/** User names and paths come from outside: the text must not pass for HTML. */
export function withoutMarkup(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** What Go's router says of a path it does not know. */
export const pageNotFound: ApiResponse = plainText(404, "404 page not found\n");
