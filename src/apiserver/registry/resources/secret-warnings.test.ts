import { expect, it } from "vitest";
import type { Secret } from "../../../api/types/core-v1.ts";
import { secretWarnings } from "./secret-warnings.ts";

it("a pair of certificate and key that never end is warned of in time that is proportional to its length", () => {
  const pem = Buffer.from("-----BEGIN \n".repeat(80_000)).toString("base64");
  const secret = { type: "kubernetes.io/tls", metadata: {}, data: { "tls.crt": pem, "tls.key": pem } } as unknown as Secret; // what is read
  expect(secretWarnings(secret)).toEqual(["tls: failed to find any PEM data in certificate input"]);
});
