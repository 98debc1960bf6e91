import { describe, expect, it } from "vitest";
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
});
