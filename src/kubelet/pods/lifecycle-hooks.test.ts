import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import type { Container, LifecycleHandler, Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { createHttpGet } from "../probes/http.ts";
import { runHook } from "./lifecycle-hooks.ts";

const container: Container = { name: "main" };
const pod = { metadata: { name: "web", namespace: "default", uid: "u1" }, spec: { containers: [container] } } as unknown as Pod; // what is looked at

function setUp() {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const deps = {
    ...{ cri: {} as CriRuntime, clock, httpGet: createHttpGet("1.36") },
    recorder: { record: (_about: unknown, event: { readonly reason: string; readonly message: string }) => void seen.push(event.message) },
    onHookFallback: () => void seen.push("fallback"),
    onSleepCutShort: () => void seen.push("short"),
  };
  const run = (handler: LifecycleHandler, signal?: AbortSignal): Promise<void> =>
    runHook(deps, { pod, container, containerId: "c1", podIP: "127.0.0.1", handler, ...(signal ? { signal } : {}) });
  return { clock, seen, run };
}

test("an HTTPS hook that is answered over HTTP is asked so, with an event", async () => {
  const paths: (string | undefined)[] = [];
  const server: Server = createServer((request, response) => {
    paths.push(request.url);
    response.end("bye");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const { seen, run } = setUp();
  try {
    await run({ httpGet: { path: "/stop", port, scheme: "HTTPS" } });
    expect(paths).toEqual(["/stop"]);
    expect(seen).toEqual(["fallback", "request to HTTPS lifecycle hook /stop got HTTP response, retry with HTTP succeeded"]);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  await expect(run({ httpGet: { path: "/stop", port, scheme: "HTTPS" } })).rejects.toThrow("HTTP lifecycle hook (/stop)");
  expect(seen).toHaveLength(2);
});

test("a pause is counted when it is cut short", async () => {
  const { clock, seen, run } = setUp();
  const paused = run({ sleep: { seconds: 5 } });
  await clock.advance(5_000);
  await paused;
  expect(seen).toEqual([]);
  const abort = new AbortController();
  const cut = run({ sleep: { seconds: 5 } }, abort.signal);
  abort.abort(new Error("time is up"));
  await expect(cut).rejects.toThrow("time is up");
  expect(seen).toEqual(["short"]);
});
