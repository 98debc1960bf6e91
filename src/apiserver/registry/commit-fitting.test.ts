import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMemoryStore } from "../../storage/memory.ts";
import { type Store, type Transaction, WriteTooLargeError } from "../../storage/store.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";

const maxBytes = 4000;

/** A store that takes no more than so many bytes in a write. */
function limited(store: Store): Store {
  const transact = (transaction: Transaction): ReturnType<Store["transact"]> => {
    const bytes = transaction.operations.reduce((sum, operation) => sum + (operation.type === "put" ? operation.value.length : 0), 0);
    return bytes > maxBytes ? Promise.reject(new WriteTooLargeError("etcdserver: request is too large")) : store.transact(transaction);
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "transact") return transact;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

let fixture: Fixture;
beforeEach(() => {
  fixture = createFixture({ store: limited(createMemoryStore()) });
});
afterEach(() => fixture.stop());

const maps = "/api/v1/namespaces/default/configmaps";
const dataOf = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`a-key-that-takes-some-room-in-a-set-of-fields-${i}`, "v"]));
/** Too large for the store with the owners of its fields, and not without. */
const large = dataOf(50);
const map = (data: object): object => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "m" }, data });
const merge = "application/merge-patch+json";

describe("an object that is too large for the store with the owners of its fields", () => {
  it("is created without them", async () => {
    const { status, body } = await fixture.send("POST", maps, { body: map(large) });
    expect([status, body["data"]]).toEqual([201, large]);
    expect(body.metadata).not.toHaveProperty("managedFields");
  });

  it.each([
    ["updated", "PUT", map(large), "application/json"],
    ["patched", "PATCH", { data: large }, merge],
  ])("is %s without them", async (_, method, body, contentType) => {
    await fixture.send("POST", maps, { body: map({}) });
    const answer = await fixture.send(method, `${maps}/m`, { body, contentType });
    expect([answer.status, answer.body["data"]]).toEqual([200, large]);
    expect(answer.body.metadata).not.toHaveProperty("managedFields");
  });

  it("is not applied", async () => {
    await fixture.send("POST", maps, { body: map(large) });
    const apply = { body: map(large), contentType: "application/apply-patch+yaml" };
    const { status, body } = await fixture.send("PATCH", `${maps}/m?fieldManager=m`, apply);
    expect([status, body.message, body.reason]).toEqual([500, "etcdserver: request is too large", undefined]);
  });
});

it("an object that is too large without the owners of its fields is refused", async () => {
  const { status, body } = await fixture.send("POST", maps, { body: map(dataOf(100)) });
  expect([status, body.message]).toEqual([500, "etcdserver: request is too large"]);
});
