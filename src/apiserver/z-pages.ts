// /statusz and /flagz: what the server is and with which flags it was started, for people, and (in forms that are named by
// their versions) for programs.
import { answerPage, type ComponentPage, flagzPage, statuszPage } from "../api/encode/component-pages.ts";
import type { Clock } from "../base/clock.ts";
import { kubernetesVersion } from "../base/version.ts";
import type { EndpointSource } from "./http/endpoints.ts";
import { wantsPretty } from "./http/negotiate.ts";
import type { ApiResponse, Handler } from "./request.ts";

export interface ZPagesDeps {
  readonly clock: Clock;
  /** By their names, as texts. */
  readonly flags: Readonly<Record<string, string>>;
}

const component = "apiserver";
const paths = ["/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"];

export function createZPages({ clock, flags }: ZPagesDeps): EndpointSource {
  const startedMs = clock.now();
  const binaryVersion = kubernetesVersion.replace(/^v/, "");
  const flagPage = flagzPage(component, flags);
  const handlers: Readonly<Record<string, Handler>> = {
    "/statusz": served(() =>
      statuszPage({ component, startedMs, nowMs: clock.now(), paths, binaryVersion, platformVersion: process.version }),
    ),
    "/flagz": served(() => flagPage),
  };
  return { paths: () => Object.keys(handlers), find: (path) => (Object.hasOwn(handlers, path) ? handlers[path] : undefined) };
}

function served(page: () => ComponentPage): Handler {
  return async ({ request }): Promise<ApiResponse> => {
    const { body, ...answer } = await answerPage(page(), { accept: request.headers.accept, isPretty: wantsPretty(request) });
    return { kind: "bytes", ...answer, bytes: Buffer.from(body) };
  };
}
