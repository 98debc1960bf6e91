// /stats/summary and /metrics with what is below it: the kubelet's statistics, also on the read-only port.
import type { KubeletServerHost } from "./host.ts";
import { pageNotFound, type Route } from "./route.ts";

export function statsRoutes(host: () => KubeletServerHost): readonly Route[] {
  const route = (path: string): Route => ({
    path,
    methods: ["GET", "POST"],
    readOnly: true,
    async answer({ url, request, response }) {
      const found = await host().stats(url, request.method ?? "GET");
      if (!found) throw pageNotFound();
      response.setHeader("content-type", found.contentType);
      response.end(found.body);
    },
  });
  return ["/stats", "/metrics"].map(route);
}
