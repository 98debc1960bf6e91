// Clients that others have written in other languages, as Debian packages them, against the command: what each of them prints
// of a conversation. The official JavaScript client is in client-node.test.ts, kubectl in test/e2e.
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { request } from "node:https";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, test } from "vitest";
import { type ApiServerProcess, startApiServerProcess } from "../support/apiserver-process.ts";
import { temporaryDirectory, until } from "../support/processes.ts";

const run = promisify(execFile);
const program = (name: string): string => new URL(`other-clients/${name}`, import.meta.url).pathname;

/** Why a program that loads a package cannot run; undefined where it can. */
const whyNot = (interpreter: string, args: readonly string[]): Promise<string | undefined> =>
  run(interpreter, args).then(
    () => undefined,
    (error: Error) => error.message.trim().split("\n").at(-1),
  );
// Debian's own interpreters: others on the path do not see its packages.
const [noPython, noRuby] = await Promise.all([
  whyNot("/usr/bin/python3", ["-c", "import kubernetes"]),
  whyNot("/usr/bin/ruby", ["-e", "require 'kubeclient'"]),
]);
if (noPython) console.log(`the Python client is not tried (python3-kubernetes): ${noPython}`);
if (noRuby) console.log(`the Ruby client is not tried (ruby-kubeclient): ${noRuby}`);

let server: ApiServerProcess;
beforeAll(async () => {
  server = await startApiServerProcess();
});
afterAll(() => server.stop());

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "c:1"}]}}
---
apiVersion: v1
kind: List
items: [{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}]
`;

async function talk(interpreter: string, args: readonly string[]): Promise<unknown> {
  const { stdout } = await run(interpreter, [...args], { timeout: 60_000 });
  return JSON.parse(stdout);
}

test.runIf(noPython === undefined)(
  "Python: typed, dynamic, watching, applying, with manifests and an election",
  { timeout: 70_000 },
  async () => {
    const directory = await temporaryDirectory("python");
    try {
      const manifest = `${directory.path}/manifest.yaml`;
      await writeFile(manifest, deployment);
      expect(await talk("/usr/bin/python3", ["-W", "ignore", program("client.py"), server.url, server.token, manifest])).toEqual({
        created: ["typed", true, { a: "b" }],
        twice: [409, 'configmaps "typed" already exists'],
        patched: { c: "d" },
        stale: [
          409,
          'Operation cannot be fulfilled on configmaps "typed": the object has been modified; please apply your changes to the latest version and try again',
        ],
        pages: [
          ["page-0", "page-1", null],
          ["page-2", "page-3", null],
          ["page-4", null],
        ],
        events: [
          ["ADDED", "watched"],
          ["DELETED", "watched"],
        ],
        manifest: ["Deployment/web", "Service/web"],
        scaled: 3,
        applied: ["apply", true],
        nothing: 404,
        kinds: ["deployments"],
        leads: true,
      });
    } finally {
      await directory.remove();
    }
  },
);

test.runIf(noRuby === undefined)("Ruby: objects, pages, patches, a watch and errors", { timeout: 70_000 }, async () => {
  expect(await talk("/usr/bin/ruby", [program("client.rb"), server.url, server.token])).toEqual({
    twice: ["Kubeclient::HttpError", 409, 'configmaps "a" already exists'],
    absent: ["Kubeclient::ResourceNotFoundError", 404, 'configmaps "none" not found'],
    patched: { q: "r", z: "1" },
    pages: [["a", "p0"], ["p1", "p2"], ["p3"]],
    events: [
      ["ADDED", "watched"],
      ["DELETED", "watched"],
    ],
    containers: ["d", "c"],
    ending: ["foregroundDeletion"],
    anonymous: ["Kubeclient::HttpError", 401, "Unauthorized"],
  });
});

function text(path: string): Promise<string> {
  const headers = { authorization: `Bearer ${server.token}`, accept: "application/json", "user-agent": "test" };
  return new Promise((resolve, reject) => {
    const outgoing = request(server.url + path, { rejectUnauthorized: false, headers, timeout: 10_000 }, (response) => {
      let answer = "";
      response.on("data", (chunk) => (answer += chunk));
      response.on("end", () => resolve(answer));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

it("objects and lists, long ones too, end with one line end", async () => {
  await until("the namespace is there", async () => (await text("/api/v1/namespaces/default")).includes("Active"));
  for (const path of ["/api/v1/namespaces/default", "/api/v1/secrets", "/apis/rbac.authorization.k8s.io/v1/clusterroles"])
    expect((await text(path)).slice(-4)).toMatch(/[^\n]\n$/);
});
