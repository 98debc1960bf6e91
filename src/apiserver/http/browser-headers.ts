// What browsers want to know of the server: whether pages of other origins may call it (CORS, --cors-allowed-origins), and that
// it is only to be reached by HTTPS (Strict-Transport-Security). Without the flags the stage does not exist.
import type { Pattern } from "../../base/regex/pattern.ts";
import type { Stage } from "../request.ts";

export interface BrowserHeaders {
  readonly allowedOrigins: readonly Pattern[];
  /** The header's value; "" for none. */
  readonly transportSecurity: string;
}

const allowed = {
  "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE, PATCH",
  "access-control-allow-headers":
    "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since",
  "access-control-expose-headers": "Date",
  "access-control-allow-credentials": "true",
};

/** None where nothing is asked for. */
export function browserStages({ allowedOrigins, transportSecurity }: BrowserHeaders): readonly Stage[] {
  if (allowedOrigins.length === 0 && transportSecurity === "") return [];
  const always = transportSecurity === "" ? {} : { "strict-transport-security": transportSecurity };
  return [
    (context, next) => {
      const { origin } = context.request.headers;
      const isAllowed = origin !== undefined && origin !== "" && allowedOrigins.some((pattern) => pattern.test(origin));
      context.headers = { ...always, ...(isAllowed ? { "access-control-allow-origin": origin, ...allowed } : {}) };
      // The question before the request itself, which needs no credentials.
      if (isAllowed && context.request.method === "OPTIONS")
        return Promise.resolve({ kind: "bytes", status: 204, contentType: "", bytes: new Uint8Array() });
      return next(context);
    },
  ];
}
