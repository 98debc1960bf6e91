// The words of upstream's converter for values of a wrong type.
import { describe, expect, it } from "vitest";
import { builtInSchemas } from "../schema/schema.ts";
import { conversionProblem, decodeConverted } from "./conversion-problem.ts";

describe("conversionProblem()", () => {
  const podProblem = (spec: unknown): string | undefined => conversionProblem(builtInSchemas.get("core-v1.Pod"), { spec });

  it("says what cannot become what", () => {
    expect(conversionProblem(builtInSchemas.get("core-v1.ConfigMap"), { data: { k: 5 } })).toBe("cannot convert int64 to string");
    expect(podProblem({ activeDeadlineSeconds: 1.5 })).toBe("cannot convert float64 to int64");
    expect(podProblem({ activeDeadlineSeconds: "x" })).toBe("unrecognized type: int64");
    expect(podProblem({ hostNetwork: 1 })).toBe("unrecognized type: bool");
    expect(podProblem({ containers: {} })).toBe("cannot restore slice from map");
    expect(podProblem({ nodeSelector: "x" })).toBe("cannot restore map from string");
    expect(podProblem({ securityContext: [] })).toBe("cannot restore struct from: slice");
  });

  it("leaves values that read themselves to the decoder", () => {
    expect(podProblem({ overhead: { cpu: true } })).toBeUndefined();
    expect(podProblem({ containers: [{ name: "c" }] })).toBeUndefined();
  });
});

describe("decodeConverted()", () => {
  const deployment = (value: object): unknown => decodeConverted(builtInSchemas.get("apps-v1.Deployment"), value).object;

  it("keeps the lower bits of numbers that are too large", () => {
    const status = { readyReplicas: 3_000_000_000 };
    expect(deployment({ status })).toMatchObject({ status: { readyReplicas: -1_294_967_296 } });
  });

  it("tells of values that read themselves without naming the field", () => {
    expect(() => deployment({ metadata: { creationTimestamp: 5 } })).toThrow(
      /^json: cannot unmarshal number into Go value of type string$/,
    );
    const secret = builtInSchemas.get("core-v1.Secret");
    expect(() => decodeConverted(secret, { data: { a: "!!" } })).toThrow(/^error decoding from json: illegal base64 data at input byte 0$/);
  });
});
