import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { expect, it } from "vitest";
import { guardedAnswers } from "./guarded-answers.ts";
import { listen } from "./listen.ts";

it("a request whose handler throws is answered with 500, and the next is served", async () => {
  const failures: unknown[] = [];
  const server = createServer(
    guardedAnswers(
      ({ url }, response) => {
        if (url === "/late") response.write("begun");
        if (url !== "/well") throw new Error(`no ${url}`);
        response.end("well");
      },
      (error) => failures.push(String(error)),
    ),
  );
  const port = await listen(server, { port: 0, host: "127.0.0.1" }, () => undefined);
  const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  expect((await ask("/bad")).status).toBe(500);
  await expect(ask("/late").then((answer) => answer.text())).rejects.toThrow();
  expect(await (await ask("/well")).text()).toBe("well");
  expect(failures).toEqual(["Error: no /bad", "Error: no /late"]);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

it("listen() rejects where the port is taken, and tells of every error afterwards", async () => {
  const failures: string[] = [];
  const server = createTcpServer();
  const port = await listen(server, { port: 0, host: "127.0.0.1" }, (error) => failures.push(error.message));
  await expect(listen(createTcpServer(), { port, host: "127.0.0.1" }, () => undefined)).rejects.toThrow("EADDRINUSE");
  for (const message of ["EMFILE", "EMFILE again"]) server.emit("error", new Error(message));
  expect(failures).toEqual(["EMFILE", "EMFILE again"]);
  await new Promise((resolve) => server.close(resolve));
});
