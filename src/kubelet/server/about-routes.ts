// What the kubelet says about itself: its configuration (/configz), its flags (/flagz) and its build and paths (/statusz).
import { flagzPage, type ShownPage, statuszPage } from "../../api/semantics/component-pages.ts";
import type { Clock } from "../../base/clock.ts";
import { kubernetesVersion } from "../../base/version.ts";
import { type Route, type RouteCall, sendJson } from "./route.ts";

export interface AboutKubelet {
  /** A KubeletConfiguration. */
  readonly configuration: () => Readonly<Record<string, unknown>>;
  /** By name, as text. */
  readonly flags: Readonly<Record<string, string>>;
}

export function aboutRoutes(about: AboutKubelet, clock: Clock, paths: () => readonly string[]): readonly Route[] {
  const startedMs = clock.now();
  const asked = ({ request }: RouteCall) => ({ component: "kubelet", accept: request.headers.accept ?? "" });
  const send = ({ response }: RouteCall, { contentType, body }: ShownPage): void => {
    response.setHeader("content-type", contentType);
    response.end(body);
  };
  return [
    { path: "/configz", answer: ({ response }) => sendJson(response, { kubeletconfig: about.configuration() }) },
    { path: "/flagz", answer: (call) => send(call, flagzPage(asked(call), about.flags)) },
    {
      path: "/statusz",
      answer: (call) => {
        const facts = { startedMs, nowMs: clock.now(), version: kubernetesVersion, platformVersion: process.version, paths: paths() };
        send(call, statuszPage(asked(call), facts));
      },
    },
  ];
}
