// An API server whose service-account tokens are signed by another program.
import { join } from "node:path";
import { expect, test } from "vitest";
import { SignerFixture } from "../../apiserver/authn/external-signer/external-signer-fixture.ts";
import { decodeJwt, decodeJwtHeader } from "../../apiserver/authn/jwt.ts";
import { apiServerFlags, apiServerOptions } from "../../apiserver/options.ts";
import { realClock } from "../../base/clock.ts";
import { parseFlags } from "../../base/flags.ts";
import { createLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { ApiServerFixture, call, whoIs } from "./apiserver-fixture.ts";
import { openAuthenticationSources } from "./authentication-sources.ts";

const account = "/api/v1/namespaces/default/serviceaccounts/default";
const tokenRequest = (spec: object): object => ({ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec });

test("tokens are signed by the external signer, believed by its keys, and live no longer than it lets them", async () => {
  await using f = await ApiServerFixture.create();
  const signer = new SignerFixture();
  try {
    const socket = join(f.directory, "signer.sock");
    await signer.serve(socket);
    const users = await f.file("users.csv", 'T,admin,1,"system:masters"\n');
    const flags = ["--token-auth-file", users, "--service-account-signing-endpoint", socket];
    const server = await f.start(...flags);
    const post = async (path: string, body: unknown) => call(server, path, { method: "POST", body, token: "T" });
    await post("/api/v1/namespaces/default/serviceaccounts", { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } });
    const granted = await post(`${account}/token`, tokenRequest({ expirationSeconds: 90_000 }));
    expect(granted.status).toBe(201);
    expect(granted.headers.warning).toContain("requested expiration of 90000 seconds shortened to 7200 seconds");
    const { token } = JSON.parse(granted.text).status;
    expect(decodeJwtHeader(token)).toEqual({ alg: "ES256", kid: "first", typ: "JWT" });
    const { iat, exp } = decodeJwt(token) as { readonly iat: number; readonly exp: number };
    expect(exp - iat).toBe(7200);
    expect(await whoIs(server, token)).toMatchObject({ username: "system:serviceaccount:default:default" });
    const keys = await call(server, "/openid/v1/jwks", { token: "T" });
    expect(JSON.parse(keys.text).keys).toEqual([expect.objectContaining({ kid: "first", alg: "ES256", use: "sig" })]);
    expect(keys.headers["cache-control"]).toMatch(/^public, max-age=(5\d|60)$/);
    // A key that the signer has since: the next token of it is believed, and others are told.
    signer.newKey("second");
    const later = await post(`${account}/token`, tokenRequest({}));
    expect(await whoIs(server, JSON.parse(later.text).status.token)).toMatchObject({ username: "system:serviceaccount:default:default" });
    const now = await call(server, "/openid/v1/jwks", { token: "T" });
    expect(JSON.parse(now.text).keys.map(({ kid }: { readonly kid: string }) => kid)).toEqual(["second", "first"]);
    signer.failure = new RpcError("PERMISSION_DENIED", "not today");
    const refused = await post(`${account}/token`, tokenRequest({}));
    expect(refused.status).toBe(500);
    expect(JSON.parse(refused.text).message).toBe(
      "Internal error occurred: failed to generate token: while signing jwt: rpc error: code = PermissionDenied desc = not today",
    );
    signer.failure = undefined;
    expect(await f.problem(...flags, "--service-account-max-token-expiration=3h")).toBe(
      "--service-account-max-token-expiration: expected at most what --service-account-signing-endpoint supports, 2h0m0s",
    );
  } finally {
    await signer.stop();
  }
});

test("what does not go with an external signer is refused", async () => {
  await using f = await ApiServerFixture.create();
  expect(await f.problem("--service-account-signing-endpoint=/s", "--service-account-key-file=/k")).toContain(
    "--service-account-signing-endpoint: expected neither --service-account-signing-key-file nor --service-account-key-file beside it",
  );
  expect(await f.problem("--service-account-signing-endpoint=@a..b")).toContain("expected the name of an abstract socket");
});

test("what the limit of tokens' lives leaves of the year that pods' tokens get is said at the start", async () => {
  const linesOf = async (...flags: string[]): Promise<readonly string[]> => {
    const lines: string[] = [];
    const logger = createLogger("authentication", { write: (line) => void lines.push(line.replace(/^[^\]]*\] /, "").trim()) });
    const settings = apiServerOptions(parseFlags(apiServerFlags, flags).values);
    const sources = await openAuthenticationSources(settings, { clock: realClock, logger, metrics: new MetricsRegistry() });
    await sources.stop();
    return lines;
  };
  const extended = "service-account-extend-token-expiration is true, enabling tokens valid up to 31536000 seconds";
  expect(await linesOf()).toEqual([]);
  expect(await linesOf("--service-account-max-token-expiration=8760h")).toEqual([]);
  expect(await linesOf("--service-account-max-token-expiration=2h", "--service-account-extend-token-expiration=false")).toEqual([]);
  expect(await linesOf("--service-account-max-token-expiration=2h")).toEqual([
    `${extended}, which is longer than service-account-max-token-expiration set to 2h0m0s`,
  ]);
  expect(await linesOf("--service-account-max-token-expiration=1h")).toEqual([
    "service-account-extend-token-expiration is true, in order to correctly trigger safe transition logic, service-account-max-token-expiration must be set longer than 3607 seconds (currently 1h0m0s)",
    `${extended}, which is longer than service-account-max-token-expiration set to 1h0m0s`,
  ]);
});
