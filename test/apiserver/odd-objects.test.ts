// Objects of every kind, damaged: fields gone, of other types, with values nobody expects. The server refuses or takes them, and
// what it takes it can show; it never meets a case its own code has not foreseen. The seed is fixed; a failure prints it.
import { Agent, request } from "node:https";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fullObject } from "../../src/api/encode/protobuf/object-fixture.ts";
import { type ObjectSchema, schemaOfKind } from "../../src/api/schema/schema.ts";
import { type ApiServerProcess, startApiServerProcess } from "../support/apiserver-process.ts";
import { until } from "../support/processes.ts";

let server: ApiServerProcess;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
beforeAll(async () => {
  server = await startApiServerProcess();
  await until("the namespace default is there", async () => (await call("GET", "/api/v1/namespaces/default")).status === 200);
});
afterAll(async () => {
  agent.destroy();
  await server.stop();
});

interface Reply {
  readonly status: number;
  readonly text: string;
}

function call(method: string, path: string, body?: unknown, accept = "application/json"): Promise<Reply> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const sent = text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  const headers = { authorization: `Bearer ${server.token}`, accept, ...sent };
  return new Promise((resolve, reject) => {
    const outgoing = request(server.url + path, { method, agent, rejectUnauthorized: false, headers, timeout: 20_000 }, (response) => {
      let answer = "";
      response.on("data", (chunk) => (answer += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text: answer }));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer to ${method} ${path}`)));
    outgoing.end(text);
  });
}

interface Served {
  readonly path: string;
  readonly name: string;
  readonly schema: ObjectSchema;
  readonly verbs: readonly string[];
}

interface ResourceList {
  readonly resources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly group?: string;
    readonly version?: string;
    readonly namespaced: boolean;
    readonly verbs: readonly string[];
  }[];
}

async function servedResources(): Promise<Served[]> {
  const read = async <T>(path: string): Promise<T> => JSON.parse((await call("GET", path)).text) as T;
  const { groups } = await read<{ groups: { versions: { groupVersion: string }[] }[] }>("/apis");
  const versions = ["v1", ...groups.flatMap(({ versions: of }) => of.map(({ groupVersion }) => groupVersion))];
  const served: Served[] = [];
  for (const groupVersion of versions) {
    const root = groupVersion === "v1" ? "/api/v1" : `/apis/${groupVersion}`;
    for (const { name, kind, group, version, namespaced, verbs } of (await read<ResourceList>(root)).resources) {
      const schema = schemaOfKind(version === undefined ? groupVersion : group ? `${group}/${version}` : version, kind);
      const [resource = "", subresource] = name.split("/");
      const collection = `${root}${namespaced ? "/namespaces/default" : ""}/${resource}`;
      const path = subresource === undefined ? collection : `${collection}/default/${subresource}`;
      if (schema && verbs.some((verb) => verb === "create" || verb === "update")) served.push({ path, name, schema, verbs });
    }
  }
  return served;
}

const anything: readonly unknown[] = [null, {}, [], "", "x", 0, -1, 1e9, true, [null], [{}], { a: null }, { "": "" }];
const texts = ["", "x", "a/b", "*", "-1", "0", "1Gi", "é", "a".repeat(300), "::", "10.0.0.0/8", "$(X)", "%", "@every 1s", "{}"];
const numbers = [0, -1, 1, 65_536, 2 ** 31 - 1, -(2 ** 31)];

/** Decides what becomes of each value: how likely damage is, whether types are kept, and a sequence of numbers from a seed. */
interface Damage {
  readonly share: number;
  readonly keepsTypes: boolean;
  next(): number;
}

const damage = fc
  .record({ seed: fc.integer(), share: fc.double({ min: 0.01, max: 0.15, noNaN: true }), keepsTypes: fc.boolean() })
  .map(({ seed, ...rest }): Damage => {
    let state = seed >>> 0;
    return {
      ...rest,
      next() {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state / 2 ** 32;
      },
    };
  });

/** Undefined where the value is to be left out. */
function damaged(value: unknown, how: Damage): unknown {
  if (how.next() < how.share) {
    if (how.next() < 0.4) return undefined;
    const choices = !how.keepsTypes ? anything : typeof value === "string" ? texts : typeof value === "number" ? numbers : [value];
    return choices[Math.floor(how.next() * choices.length)];
  }
  if (Array.isArray(value)) return value.map((item) => damaged(item, how)).filter((item) => item !== undefined);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, damaged(item, how)]));
}

/** A failure of the server's own making; upstream's 500s for bindings say what is wrong instead. */
const isDefect = ({ status, text }: Reply): boolean => status >= 500 && text.includes("Internal error occurred");

test("damaged objects of every kind are refused or taken, as new ones and in place of old ones", async () => {
  const served = await servedResources();
  expect(served.length).toBeGreaterThan(100);
  for (const { path, name, schema, verbs } of served) {
    const { kind: _kind, apiVersion: _version, ...full } = fullObject(schema, "full");
    await fc.assert(
      fc.asyncProperty(damage, async (how) => {
        const metadata = how.next() < 0.9 ? { name: "default" } : damaged(full.metadata, how);
        const body = { ...(damaged(full, how) as object | undefined), metadata };
        const query = "?dryRun=All&fieldValidation=Ignore";
        const replies: Reply[] = [];
        if (verbs.includes("create")) replies.push(await call("POST", path + query, body));
        if (verbs.includes("update")) replies.push(await call("PUT", (name.includes("/") ? path : `${path}/default`) + query, body));
        expect(replies.filter(isDefect), name).toEqual([]);
      }),
      { numRuns: 8, seed: 20_261_129, interruptAfterTimeLimit: 2000, endOnFailure: true },
    );
  }
});

/** What would stop the others from being created, or the server from answering. */
const actsOnRequests = /admissionregistration|apiregistration|flowcontrol|namespaces\/default\/resourcequotas|limitranges|\/namespaces$/;

test("what was taken of them can be shown in every form", async () => {
  const served = (await servedResources()).filter(
    ({ name, path, verbs }) => !name.includes("/") && verbs.includes("list") && !actsOnRequests.test(path),
  );
  for (const { path, schema } of served) {
    const { kind: _kind, apiVersion: _version, ...full } = fullObject(schema, "full");
    await fc.assert(
      fc.asyncProperty(damage, async (how) => {
        const object = damaged(full, { ...how, share: how.share / 4, next: how.next }) as object | undefined;
        expect(isDefect(await call("POST", `${path}?fieldValidation=Ignore`, { ...object, metadata: { generateName: "odd-" } }))).toBe(
          false,
        );
      }),
      { numRuns: 6, seed: 20_261_129, interruptAfterTimeLimit: 2000, endOnFailure: true },
    );
    for (const accept of [
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
      "application/yaml",
      "application/vnd.kubernetes.protobuf",
    ])
      expect((await call("GET", path, undefined, accept)).status, `${path} as ${accept}`).toBe(200);
  }
  expect(server.process.output()).not.toMatch(/Request failed|Answer broken off/);
});
