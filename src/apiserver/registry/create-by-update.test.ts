// Updates and applies that create: whoever may update or patch may not create for that.
import { afterEach, describe, expect, it } from "vitest";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture, type Reply } from "./request-fixture.ts";
import { leaseDefinition } from "./resources/core.ts";

const asked: AuthorizationAttributes[] = [];
let fixture: Fixture;
afterEach(() => fixture.stop());

function start(authorize: Authorizer["authorize"]): void {
  asked.length = 0;
  fixture = createFixture({
    definitions: builtInDefinitions([leaseDefinition]),
    authorizer: {
      authorize(attributes) {
        asked.push(attributes);
        return authorize(attributes);
      },
    },
  });
}

const leases = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
const put = (): Promise<Reply> =>
  fixture.send("PUT", `${leases}/a`, { contentType: "application/json", body: { metadata: { name: "a" }, spec: {} } });
const apply = (path = `${leases}/a`): Promise<Reply> =>
  fixture.send("PATCH", `${path}?fieldManager=test`, {
    contentType: "application/apply-patch+yaml",
    body: { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: "a", labels: { a: "b" } } },
  });

describe("an update of what is not there", () => {
  it.each([
    ["PUT", put],
    ["an apply", apply],
  ])("by %s creates it for those who may create it", async (_, send) => {
    start(() => ({ decision: "allow", reason: "" }));
    expect((await send()).status).toBe(201);
    expect(asked).toMatchObject([
      { verb: "create", apiGroup: "coordination.k8s.io", resource: "leases", namespace: "ns", name: "a", subresource: "" },
    ]);
    // What is there is updated, and nothing more is asked.
    expect((await apply()).status).toBe(200);
    expect(asked).toHaveLength(1);
  });

  it.each([
    ["PUT", put],
    ["an apply", apply],
  ])("by %s is refused, as a creation is, to those who may not", async (_, send) => {
    start(() => ({ decision: "no-opinion", reason: "" }));
    const { status, body } = await send();
    expect(status).toBe(403);
    expect(body.message).toBe(
      'leases.coordination.k8s.io "a" is forbidden: User "system:apiserver" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "ns"',
    );
    expect((await fixture.send("GET", `${leases}/a`)).status).toBe(404);
  });

  it("fails where nobody can be asked", async () => {
    start(() => ({ decision: "no-opinion", reason: "", error: "webhook is away" }));
    expect((await put()).status).toBe(500);
  });
});

it("an update that names a uid finds an object without one, and creates nothing", async () => {
  start(() => ({ decision: "allow", reason: "" }));
  const body = { metadata: { name: "a", uid: "u" }, spec: {} };
  const of = async (query: string): Promise<unknown[]> => {
    const reply = await fixture.send("PUT", `${leases}/a${query}`, { contentType: "application/json", body });
    return [reply.status, reply.body.message];
  };
  const why = "Precondition failed: UID in precondition: u, UID in object meta: ";
  const refusal = (key: string) => [
    409,
    `Operation cannot be fulfilled on leases.coordination.k8s.io "a": StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${why}`,
  ];
  expect(await of("")).toEqual(refusal("/registry/leases/ns/a"));
  expect(await of("?dryRun=All")).toEqual(refusal("/leases/ns/a"));
});
