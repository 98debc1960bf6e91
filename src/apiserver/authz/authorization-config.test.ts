// What is wrong with an AuthorizationConfiguration.
import { expect, it } from "vitest";
import { celExpressions } from "../configuration/cel-expressions.ts";
import { parseAuthorizationConfig } from "./authorization-config.ts";

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
