// Requests and their contexts as the stages of the API server see them, for tests of stages.
import type { RequestInfo } from "../http/request-info.ts";
import type { ApiRequest, Handler, RequestContext } from "../request.ts";
import { anonymousUser, type UserInfo } from "./user.ts";

export interface RequestFixture {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly user?: UserInfo;
  readonly info?: Partial<RequestInfo>;
  readonly clientCertificate?: Uint8Array;
  readonly frontProxyCertificate?: Uint8Array;
  readonly trustedUser?: UserInfo;
}

function fakeRequest(fixture: RequestFixture = {}): ApiRequest {
  const headers = Object.entries(fixture.headers ?? {}).map(
    ([name, value]) => [name, typeof value === "string" ? [value] : value] as const,
  );
  return {
    method: "GET",
    path: fixture.info?.path ?? "/api",
    query: new URLSearchParams(),
    headers: Object.fromEntries(headers.map(([name, values]) => [name, values.join(", ")])),
    headerLines: (name) => headers.find(([n]) => n === name)?.[1] ?? [],
    body: { kind: "none" },
    signal: new AbortController().signal,
    remoteAddress: "10.0.0.9",
    ...(fixture.clientCertificate ? { clientCertificate: fixture.clientCertificate } : {}),
    ...(fixture.frontProxyCertificate ? { frontProxyCertificate: fixture.frontProxyCertificate } : {}),
    ...(fixture.trustedUser ? { trustedUser: fixture.trustedUser } : {}),
  };
}

export function fakeContext(fixture: RequestFixture = {}): RequestContext {
  const info: RequestInfo = {
    isResourceRequest: true,
    path: "/api",
    verb: "get",
    apiPrefix: "api",
    apiGroup: "",
    apiVersion: "v1",
    namespace: "",
    resource: "",
    subresource: "",
    name: "",
    parts: [],
    fieldSelector: "",
    labelSelector: "",
    ...fixture.info,
  };
  return { request: fakeRequest(fixture), info, user: fixture.user ?? anonymousUser, warnings: [], receivedAtMs: 0 };
}

/** The end of a chain of stages: answers 200. */
export const answerOk: Handler = async () => ({ kind: "object", status: 200, object: {} });
