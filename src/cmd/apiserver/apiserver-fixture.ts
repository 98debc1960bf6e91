// API servers as the command starts them, for tests: in a directory of their own, on any free port, with everything they ask
// others for (issuers, webhooks) made for the test.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apiServerFlags, apiServerOptions } from "../../apiserver/options.ts";
import { realClock } from "../../base/clock.ts";
import { parseFlags } from "../../base/flags.ts";
import { silentLogger } from "../../base/log.ts";
import { certificatePem, generateKey, issueCertificate, type KeyedCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { CommandError } from "../command-error.ts";
import { run } from "./apiserver.ts";
import { type RunningApiServer, startApiServer } from "./start-apiserver.ts";

export interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface CallOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
}

export class ApiServerFixture implements AsyncDisposable {
  readonly directory: string;
  readonly #running: RunningApiServer[] = [];

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<ApiServerFixture> {
    return new ApiServerFixture(await mkdtemp(join(tmpdir(), "coracle-apiserver-")));
  }

  /** Ready when it resolves. */
  async start(...args: string[]): Promise<RunningApiServer> {
    const { values } = parseFlags(apiServerFlags, [...this.#base(), ...args]);
    const server = await startApiServer(apiServerOptions(values), { clock: realClock, logger: silentLogger });
    this.#running.push(server);
    await server.ready;
    return server;
  }

  /** The line that the command ends with. */
  async problem(...args: string[]): Promise<string> {
    try {
      await run([...this.#base(), ...args]);
      return "started";
    } catch (error) {
      return error instanceof CommandError ? error.message : `unexpected ${String(error)}`;
    }
  }

  /** Writes a file and gives its path. */
  async file(name: string, text: string): Promise<string> {
    const path = join(this.directory, name);
    await writeFile(path, text);
    return path;
  }

  /** A kubeconfig for a webhook. */
  async kubeconfig(name: string, url: string, caPem: string): Promise<string> {
    const cluster = { server: url, "certificate-authority-data": Buffer.from(caPem).toString("base64") };
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster }],
      users: [{ name: "u", user: { token: "webhook-secret" } }],
    };
    return this.file(name, JSON.stringify(config));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#running) await server.stop();
    await rm(this.directory, { recursive: true });
  }

  #base(): string[] {
    return ["--data-dir", this.directory, "--storage=memory", "--bind-address=127.0.0.1", "--secure-port=0"];
  }
}

export function call(server: RunningApiServer, path: string, options: CallOptions = {}): Promise<Reply> {
  const { method = "GET", body, token } = options;
  const headers = {
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...options.headers,
  };
  return new Promise((resolve, reject) => {
    const request = https.request(`${server.url}${path}`, { ca: server.caPem, agent: false, method, headers }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    });
    request.on("error", reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** What the server answers to "who am I"; the status where it is no user's. */
export async function whoIs(server: RunningApiServer, token: string): Promise<unknown> {
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const { status, text } = await call(server, "/apis/authentication.k8s.io/v1/selfsubjectreviews", { method: "POST", body, token });
  return status === 201 ? JSON.parse(text).status.userInfo : status;
}

/** A certificate for the loopback address, signed by an authority of its own. */
export function selfMadeCertificate(): { readonly cert: string; readonly key: string; readonly caPem: string } {
  const authority = issue("test-ca");
  const leaf = issue("test-server", authority);
  return { cert: certificatePem(leaf.certificate), key: privateKeyPem(leaf.key), caPem: certificatePem(authority.certificate) };
}

function issue(commonName: string, issuer?: KeyedCertificate): KeyedCertificate {
  const { privateKey, publicKey } = generateKey();
  const nowMs = realClock.now();
  const certificate = issueCertificate(
    {
      subject: { commonName, organizations: [] },
      names: { ipAddresses: ["127.0.0.1"] },
      publicKey,
      notBeforeMs: nowMs - 3600_000,
      notAfterMs: nowMs + 3600_000,
      keyUsages: issuer ? ["digitalSignature"] : ["certSign"],
      extendedKeyUsages: issuer ? ["serverAuth"] : [],
      isAuthority: !issuer,
    },
    issuer ?? { key: privateKey },
  );
  return { certificate, key: privateKey };
}
