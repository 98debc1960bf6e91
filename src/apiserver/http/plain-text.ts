// Answers in plain text, as Go's HTTP library writes its errors: browsers are told not to take them for anything else.
import type { ApiResponse } from "../request.ts";

export function plainText(status: number, text: string, more: Readonly<Record<string, string>> = {}): ApiResponse {
  return {
    kind: "bytes",
    status,
    contentType: "text/plain; charset=utf-8",
    bytes: Buffer.from(text),
    headers: { "X-Content-Type-Options": "nosniff", ...more },
  };
}

/** What Go's router says of a path it does not know. */
export const pageNotFound: ApiResponse = plainText(404, "404 page not found\n");
