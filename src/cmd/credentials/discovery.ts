// How a machine that knows a token comes to trust a cluster (kubeadm's discovery): the public cluster-info is fetched from a
// server nobody vouches for yet, believed because it is signed with the token's secret and because its authority's key has
// the expected hash, and then fetched once more from a server that has to prove it belongs to that authority.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { isStatus } from "../../api/meta/status-error.ts";
import { configmaps } from "../../api/resources.generated.ts";
import type { ConfigMap } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { errorText } from "../../base/log.ts";
import { certificateFromPem } from "../../base/x509/certificate.ts";
import { createClient } from "../../client/create-client.ts";
import { createHttpsTransport, type HttpsTransportOptions } from "../../client/https-transport.ts";
import { CommandError } from "../command-error.ts";
import type { BootstrapToken } from "./bootstrap-token.ts";

export interface DiscoveryOptions {
  /** "https://10.0.0.1:6443". */
  readonly server: string;
  readonly token: BootstrapToken;
  /** "sha256:<hex>" of the authority's public key; one of them must fit. Empty: none is asked for. */
  readonly hashes: readonly string[];
  /** How long a signature is waited for: a token may have been made a moment ago. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const at = { namespace: "kube-public", name: "cluster-info" };
const callTimeoutMs = 10_000;
const pollMs = 250;

/** The authority of the cluster, in PEM. Throws CommandError with one line that says what is wrong. */
export async function discoverAuthority(options: DiscoveryOptions): Promise<string> {
  const { server, token, hashes } = options;
  const unverified = await untilSigned(options);
  const kubeconfig = verified(unverified, token, server);
  const caPem = await authorityOf(kubeconfig);
  const found = publicKeyHashes(caPem);
  if (hashes.length > 0 && !hashes.some((hash) => found.includes(hash.toLowerCase())))
    throw new CommandError(
      `--ca-cert-hash: the authority of ${server} has another public key (${found.join(", ")}); this is not the cluster that was meant`,
    );
  const secure = await fetchInfo(options, { caPem });
  if (verified(secure, token, server) !== kubeconfig) throw new CommandError(`${server} has told two different stories; try again`);
  return caPem;
}

/** cluster-info as soon as it is signed for the token. */
async function untilSigned(options: DiscoveryOptions): Promise<ConfigMap> {
  const { clock, timeoutMs, token } = options;
  const deadlineMs = clock.monotonic() + timeoutMs;
  for (;;) {
    const info = await fetchInfo(options, { insecureSkipVerify: true });
    if (info.data?.[signatureKey(token)] !== undefined || clock.monotonic() >= deadlineMs) return info;
    await clock.sleep(pollMs);
  }
}

const signatureKey = ({ id }: BootstrapToken): string => `jws-kubeconfig-${id}`;

async function fetchInfo({ server, clock }: DiscoveryOptions, tls: Partial<HttpsTransportOptions>): Promise<ConfigMap> {
  const transport = createHttpsTransport({ server, clock, ...tls });
  try {
    return await createClient(transport).get(configmaps, at, { timeoutMs: callTimeoutMs });
  } catch (error) {
    if (isStatus(error, "NotFound", "Forbidden", "Unauthorized"))
      throw new CommandError(`${server} does not publish kube-public/cluster-info: ${error.message}`);
    throw new CommandError(`${server} cannot be asked for kube-public/cluster-info: ${rootCause(error)}`);
  } finally {
    await transport.close();
  }
}

function rootCause(error: unknown): string {
  return error instanceof Error && error.cause !== undefined ? rootCause(error.cause) : errorText(error);
}

/** The kubeconfig of cluster-info, signed with the token's secret. */
function verified({ data }: ConfigMap, token: BootstrapToken, server: string): string {
  const { kubeconfig, [signatureKey(token)]: signature } = data ?? {};
  if (kubeconfig === undefined) throw new CommandError(`kube-public/cluster-info of ${server} has no kubeconfig`);
  if (signature === undefined)
    throw new CommandError(
      `--token: ${server} knows no token with the id ${token.id}; it is wrong, or it has expired (coracle token create makes another)`,
    );
  if (!isSignedWith(signature, kubeconfig, token.secret))
    throw new CommandError(`--token: the secret of token ${token.id} is wrong: the cluster's information is not signed with it`);
  return kubeconfig;
}

/** A JSON web signature (HS256) whose content is detached. */
function isSignedWith(signature: string, content: string, secret: string): boolean {
  const [header = "", between, mac] = signature.split(".");
  if (between !== "" || mac === undefined || !isHs256(header)) return false;
  const expected = createHmac("sha256", secret)
    .update(`${header}.${Buffer.from(content).toString("base64url")}`)
    .digest();
  const given = Buffer.from(mac, "base64url");
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function isHs256(header: string): boolean {
  try {
    return (JSON.parse(Buffer.from(header, "base64url").toString()) as { readonly alg?: unknown }).alg === "HS256";
  } catch {
    return false;
  }
}

async function authorityOf(kubeconfig: string): Promise<string> {
  const { parse } = await import("../../api/encode/yaml-text.ts");
  const config = parse(kubeconfig) as { readonly clusters?: readonly { readonly cluster?: Readonly<Record<string, unknown>> }[] } | null;
  const data = config?.clusters?.[0]?.cluster?.["certificate-authority-data"];
  if (typeof data !== "string") throw new CommandError("kube-public/cluster-info has no certificate-authority-data");
  return Buffer.from(data, "base64").toString();
}

const certificateBlock = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** "sha256:<hex>" of the public key of each certificate. */
export function publicKeyHashes(pem: string): readonly string[] {
  const blocks = pem.match(certificateBlock) ?? [];
  return blocks.map((block) => `sha256:${createHash("sha256").update(certificateFromPem(block).publicKeyInfo).digest("hex")}`);
}
