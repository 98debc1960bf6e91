// What the kubelet says about itself: its configuration (/configz), its flags (/flagz) and its build and paths (/statusz).
// The last two answer in text, or as the objects of config.k8s.io where the client asks for one.
import { answerPage, type ComponentPage, flagzPage, statuszPage } from "../../api/encode/component-pages.ts";
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
  const status = (): ComponentPage =>
    statuszPage({
      ...{ component: "kubelet", startedMs, nowMs: clock.now(), paths: paths() },
      ...{ platformVersion: process.version, binaryVersion: kubernetesVersion.replace(/^v/, "") },
    });
  return [
    { path: "/configz", answer: ({ response }) => sendJson(response, { kubeletconfig: about.configuration() }) },
    { path: "/flagz", answer: (call) => send(call, flagzPage("kubelet", about.flags)) },
    { path: "/statusz", answer: (call) => send(call, status()) },
  ];
}

async function send({ request, response }: RouteCall, page: ComponentPage): Promise<void> {
  const { status, contentType, headers, body } = await answerPage(page, { accept: request.headers.accept });
  response.writeHead(status, { "content-type": contentType, ...headers });
  response.end(body);
}
