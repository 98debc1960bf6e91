import { describe, expect, it } from "vitest";
import { configmaps, limitranges } from "../../api/resources.generated.ts";
import { createFixture } from "./request-fixture.ts";

describe("AdmissionChain", () => {
  it("asks no plugin before what it waits for has been read", async () => {
    const seen: boolean[] = [];
    const fixture = createFixture({
      admissionOf: ({ reader }) => [
        {
          name: "Waiting",
          waitsFor: [limitranges],
          handles: () => true,
          admit: ({ object }) => {
            seen.push(reader.informer(limitranges).hasSynced);
            return object;
          },
        },
      ],
    });
    const body = { apiVersion: "v1", kind: configmaps.kind, metadata: { name: "m" } };
    await fixture.send("POST", "/api/v1/namespaces/default/configmaps", { body, contentType: "application/json" });
    expect(seen).toEqual([true]);
    await fixture.stop();
  });
});
