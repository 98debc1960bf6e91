import { describe, expect, it } from "vitest";
import type { Secret } from "../../api/types/core-v1.ts";
import { generateToken, parseToken, tokenOf, tokenSecret } from "./bootstrap-token.ts";

describe("bootstrap tokens", () => {
  it("are written as six, a dot and sixteen characters, and never shown when they are not", () => {
    const token = generateToken();
    expect(parseToken(`${token.id}.${token.secret}`)).toEqual(token);
    for (const written of ["", "abcdef", "abcdef.short", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef0"])
      expect(() => parseToken(written)).toThrow(/^the token must look like "abcdef\.0123456789abcdef"/);
    expect(generateToken()).not.toEqual(token);
  });

  it("are secrets that say what the token is good for, and until when", () => {
    const token = { id: "abcdef", secret: "0123456789abcdef" };
    const settings = { ttlMs: 3_600_000, usages: ["signing", "authentication"], groups: ["system:bootstrappers:a"], description: "for b" };
    const secret = tokenSecret(token, settings, Date.UTC(2026, 0, 1));
    expect(secret.metadata).toEqual({ namespace: "kube-system", name: "bootstrap-token-abcdef" });
    expect(tokenOf(secret as unknown as Secret)).toEqual({
      token: "abcdef.0123456789abcdef",
      expiresMs: Date.UTC(2026, 0, 1, 1),
      usages: ["authentication", "signing"],
      description: "for b",
      groups: ["system:bootstrappers:a"],
    });
    const forever = tokenSecret(token, { ttlMs: 0, usages: [], groups: [] }, 0);
    expect(tokenOf(forever as unknown as Secret)?.expiresMs).toBeUndefined();
    expect(tokenOf({ ...forever, metadata: { ...forever.metadata, name: "other" } } as unknown as Secret)).toBeUndefined();
  });
});
