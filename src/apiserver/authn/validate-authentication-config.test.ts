// What is wrong with an AuthenticationConfiguration.
import { expect, it } from "vitest";
import { celExpressions } from "../configuration/cel-expressions.ts";
import { parseAuthenticationConfig } from "./authentication-config.ts";
import { validateAuthenticationConfig } from "./validate-authentication-config.ts";

async function problems(claimMappings: object): Promise<readonly string[]> {
  const jwt = [{ issuer: { url: "https://a.example", audiences: ["a"] }, claimMappings }];
  const text = JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt });
  const { errors } = validateAuthenticationConfig(await parseAuthenticationConfig(text), {
    expressions: celExpressions,
    disallowedIssuers: [],
  });
  return errors.map(({ message }) => message);
}

it("an address as a name has to be verified; of a name that is wrong anyway this is not said", async () => {
  expect(await problems({ username: { expression: "claims.email" } })).toEqual([
    expect.stringContaining('claimMappings.username.expression: Invalid value: "claims.email": claims.email_verified must be used'),
  ]);
  expect(await problems({ username: { expression: "claims.email", prefix: "x" } })).toEqual([
    'jwt[0].claimMappings.username.prefix: Invalid value: "x": may not be specified when expression is set',
  ]);
});

it("an expression with a constant part that has no value is an internal error", async () => {
  const username = { claim: "sub", prefix: "" };
  expect(await problems({ username, uid: { expression: "'a'.find('(')" } })).toEqual([
    "jwt[0].claimMappings.uid.expression: Internal error: program instantiation failed: error parsing regexp: missing closing ): `(`",
  ]);
});
