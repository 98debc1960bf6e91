import { describe, expect, it } from "vitest";
import { resourceslices } from "../../api/resources.generated.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import type { AuthorizationAttributes } from "./authorizer.ts";
import { createNodeAuthorizer } from "./node-authorizer.ts";

const creating: AuthorizationAttributes = {
  user: { name: "system:node:n1", groups: ["system:nodes"] },
  verb: "create",
  isResourceRequest: true,
  apiGroup: "certificates.k8s.io",
  apiVersion: "v1beta1",
  resource: "podcertificaterequests",
  subresource: "",
  namespace: "ns",
  name: "",
  path: "",
};

describe("createNodeAuthorizer()", () => {
  it("lets nodes ask for certificates of pods where the feature gives them the rules, and nowhere else", async () => {
    const rule = "create get list watch | podcertificaterequests | certificates.k8s.io";
    expect((await createNodeAuthorizer(new MemoryReader(), [rule]).authorize(creating)).decision).toBe("allow");
    expect((await createNodeAuthorizer(new MemoryReader()).authorize(creating)).decision).not.toBe("allow");
  });

  it("waits for what relates objects to nodes to be read, once", async () => {
    const reader = new MemoryReader();
    let finish = (): void => undefined;
    const loading = new Promise<void>((resolve) => (finish = resolve));
    let loaded = false;
    Object.defineProperties(reader.informer(resourceslices), { hasSynced: { get: () => loaded }, synced: { value: () => loading } });
    const authorizer = createNodeAuthorizer(reader);
    const reading = { ...creating, verb: "get", apiGroup: "resource.k8s.io", resource: "resourceslices", namespace: "", name: "s" };
    const answer = authorizer.authorize(reading);
    reader.put(resourceslices, {
      metadata: { name: "s" },
      spec: { nodeName: "n1", driver: "d", pool: { name: "p", generation: 1, resourceSliceCount: 1 } },
    });
    loaded = true;
    finish();
    expect((await answer).decision).toBe("allow");
    expect(authorizer.authorize(reading)).toEqual({ decision: "allow", reason: "" });
    expect(authorizer.authorize({ ...reading, name: "other" })).toEqual({
      decision: "no-opinion",
      reason: "no relationship found between node 'n1' and this object",
    });
  });
});
