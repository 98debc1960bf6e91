// What conditions of routes look at, read from a request when a condition asks for it.
import type { Asked, ClientRequest } from "./client-request.ts";
import type { RequestFacts } from "./routes.ts";

export function requestFacts({ method = "GET", headers }: ClientRequest, { pathAndQuery, path }: Asked): RequestFacts {
  let parameters: URLSearchParams | undefined;
  return {
    method,
    header(name) {
      const value = headers[name];
      return Array.isArray(value) ? value.join(",") : value;
    },
    query(name) {
      parameters ??= new URLSearchParams(pathAndQuery.slice(path.length));
      return parameters.get(name) ?? undefined;
    },
  };
}
