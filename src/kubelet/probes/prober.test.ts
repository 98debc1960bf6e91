import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Container, Probe } from "../../api/types/core-v1.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { createHttpGet } from "./http.ts";
import { createProber, type ProbeOutcome } from "./prober.ts";

let server: Server;
let port: number;
const agents: (string | undefined)[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    agents.push(request.headers["user-agent"]);
    const path = request.url ?? "/";
    if (path === "/slow") return;
    if (path === "/away") response.writeHead(302, { location: "http://example.invalid/" }).end("moved");
    else if (path === "/here") response.writeHead(302, { location: "/ok" }).end();
    else response.writeHead(path === "/ok" ? 200 : 503).end(path === "/ok" ? `fine ${request.headers["x-token"] ?? ""}` : "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function run(probe: Probe, execSync: () => Promise<unknown> = () => Promise.reject(new Error("not asked for"))): Promise<ProbeOutcome> {
  const container: Container = { name: "main", ports: [{ name: "web", containerPort: port }] };
  const prober = createProber({ cri: { execSync } as unknown as CriRuntime, httpGet: createHttpGet("1.36") });
  return prober(probe, { container, containerId: "c", podIP: "127.0.0.1" });
}

const get = (path: string, more: Partial<NonNullable<Probe["httpGet"]>> = {}): Promise<ProbeOutcome> =>
  run({ httpGet: { path, port, ...more } });

describe("HTTP probes", () => {
  it("succeed with 2xx and fail with the code otherwise", async () => {
    expect(await get("/ok", { port: "web", httpHeaders: [{ name: "X-Token", value: "t" }] })).toEqual({
      result: "success",
      output: "fine t",
    });
    expect(await get("/bad")).toEqual({ result: "failure", output: "HTTP probe failed with statuscode: 503" });
    expect(agents[0]).toBe("kube-probe/1.36");
  });

  it("follow redirections within the host, and warn about others", async () => {
    expect((await get("/here")).result).toBe("success");
    expect(await get("/away")).toEqual({ result: "warning", output: "Probe terminated redirects, Response body: moved" });
  });

  it("fail when there is no answer in time, or no server", async () => {
    const slow = await run({ httpGet: { path: "/slow", port }, timeoutSeconds: 0.2 });
    expect(slow.output).toBe(
      `Get "http://127.0.0.1:${port}/slow": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
    );
    expect(await get("/", { port: 1 })).toEqual({
      result: "failure",
      output: 'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused',
    });
  });

  it("cannot be made for a port without a number", async () => {
    await expect(get("/", { port: "none" })).rejects.toThrow(`strconv.Atoi: parsing "none": invalid syntax`);
  });
});

describe("other probes", () => {
  it("connect by TCP", async () => {
    expect((await run({ tcpSocket: { port } })).result).toBe("success");
    expect(await run({ tcpSocket: { port: 1 } })).toEqual({
      result: "failure",
      output: "dial tcp 127.0.0.1:1: connect: connection refused",
    });
  });

  it("run commands: the exit code counts, a timeout is a failure, a runtime that is away is neither", async () => {
    const answer = (exitCode: number) => async () => ({ stdout: Buffer.from("out"), stderr: Buffer.from("err"), exitCode });
    expect(await run({ exec: { command: ["x"] } }, answer(0))).toEqual({ result: "success", output: "outerr" });
    expect((await run({ exec: { command: ["x"] } }, answer(1))).result).toBe("failure");
    const late = await run({ exec: { command: ["x"] } }, () => Promise.reject(new RpcError("DEADLINE_EXCEEDED", "timed out")));
    expect(late).toEqual({ result: "failure", output: 'command timed out: "x" timed out after 1s' });
    await expect(run({ exec: { command: ["x"] } }, () => Promise.reject(new RpcError("UNAVAILABLE", "away")))).rejects.toThrow("away");
  });
});
