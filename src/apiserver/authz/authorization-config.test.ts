// What is wrong with an AuthorizationConfiguration.
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { celExpressions } from "../configuration/cel-expressions.ts";
import { isSameChain, parseAuthorizationConfig } from "./authorization-config.ts";

it("shows the whole connection whose type is unknown, and conditions without a value as internal errors", async () => {
  const webhook = {
    timeout: "1s",
    subjectAccessReviewVersion: "v1",
    matchConditionSubjectAccessReviewVersion: "v1",
    failurePolicy: "Deny",
    connectionInfo: { type: "Foo" },
    matchConditions: [{ expression: "'a'.find('(') == ''" }],
  };
  const authorizers = [{ type: "Webhook", name: "w", webhook }];
  const text = JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthorizationConfiguration", authorizers });
  await expect(parseAuthorizationConfig(text, { expressions: celExpressions })).rejects.toThrow(
    '[authorizers[0].connectionInfo.type: Unsupported value: {"Type":"Foo","KubeConfigFile":null}: supported values: "InClusterConfig", "KubeConfigFile", authorizers[0].matchConditions[0].expression: Internal error: program instantiation failed: error parsing regexp: missing closing ): `(`]',
  );
});

it("is the same in other words, and another with another expression", async () => {
  const parse = (expression: string, more: object = {}, before = "") => {
    const connectionInfo = { type: "KubeConfigFile", kubeConfigFile: fileURLToPath(import.meta.url) };
    const conditions = { matchConditionSubjectAccessReviewVersion: "v1", matchConditions: [{ expression }] };
    const webhook = { timeout: "1s", subjectAccessReviewVersion: "v1", failurePolicy: "Deny", connectionInfo, ...conditions, ...more };
    const document = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthorizationConfiguration" };
    const authorizers = [{ type: "Webhook", name: "w", webhook }];
    return parseAuthorizationConfig(`${before}${JSON.stringify({ ...document, authorizers })}`, { expressions: celExpressions });
  };
  const one = await parse("request.user == 'a'");
  // As it is without a word, said.
  expect(isSameChain(one, await parse("request.user == 'a'", { authorizedTTL: "300s", cacheAuthorizedRequests: true }, "# a\n"))).toBe(
    true,
  );
  expect(isSameChain(one, await parse("request.user == 'b'"))).toBe(false);
  expect(isSameChain(one, await parse("request.user == 'a'", { timeout: "2s" }))).toBe(false);
});
