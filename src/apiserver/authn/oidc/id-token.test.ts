import { describe, expect, it } from "vitest";
import { checkClaimTypes, claimSeconds } from "./id-token.ts";

const field = "oidc: failed to unmarshal claims: json: cannot unmarshal";

describe("checkClaimTypes()", () => {
  it("takes claims of the types that are registered, and others as they are", () => {
    const sources = { s: { endpoint: "https://x" } };
    checkClaimTypes({
      iss: "i",
      sub: null,
      aud: ["a", null],
      exp: 1.5,
      iat: "12",
      nbf: null,
      roles: [1],
      _claim_names: { g: "s" },
      _claim_sources: sources,
    });
  });

  it.each([
    [{ iss: 1 }, `${field} number into Go struct field idToken.iss of type string`],
    [{ nonce: {} }, `${field} object into Go struct field idToken.nonce of type string`],
    [{ aud: {} }, `${field} object into Go struct field idToken.aud of type []string`],
    [{ aud: ["a", 1] }, `${field} number into Go struct field idToken.aud of type string`],
    [{ exp: true }, `${field} bool into Go struct field idToken.exp of type json.Number`],
    [{ exp: null }, 'oidc: failed to unmarshal claims: strconv.ParseFloat: parsing "": invalid syntax'],
    [{ nbf: "x" }, 'oidc: failed to unmarshal claims: json: invalid number literal, trying to unmarshal "\\"x\\"" into Number'],
    [{ _claim_names: "x" }, `${field} string into Go struct field idToken._claim_names of type map[string]string`],
    [{ _claim_names: { g: 1 } }, `${field} number into Go struct field idToken._claim_names of type string`],
    [{ _claim_sources: [] }, `${field} array into Go struct field idToken._claim_sources of type map[string]oidc.claimSource`],
    [{ _claim_sources: { s: { endpoint: 1 } } }, `${field} number into Go struct field idToken._claim_sources.endpoint of type string`],
    [{ _claim_names: { g: "" } }, "oidc: failed to obtain source from claim name"],
    [{ _claim_names: { g: "constructor" }, _claim_sources: {} }, "oidc: source does not exist"],
  ])("refuses %j", (claims, problem) => {
    expect(() => checkClaimTypes(claims)).toThrow(new Error(problem));
  });
});

describe("claimSeconds()", () => {
  it("reads numbers, also as texts, in whole seconds", () => {
    expect([1.9, -1.9, "12", "1e3", "0x1", "", " 1", null].map(claimSeconds)).toEqual([
      1,
      -1,
      12,
      1000,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
