// The config map kube-system/extension-apiserver-authentication, by which aggregated API servers learn whom this one believes:
// the client CA, the front proxy's CA and its headers. Several API servers add to the same one, so what is there already is
// kept (but for certificates that have expired) and what is missing is added: at start, when it changes, and every minute.
import { isStatus } from "../../api/meta/status-error.ts";
import { configmaps } from "../../api/resources.generated.ts";
import type { ConfigMap } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { parseCertificate } from "../../base/x509/certificate.ts";
import { encodePem } from "../../base/x509/pem.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import { AuthorityBundle, type ClientAuthorities } from "./client-authorities.ts";
import type { RequestHeaderOptions } from "./request-header.ts";

const target = { namespace: "kube-system", name: "extension-apiserver-authentication" };
const periodMs = 60_000;
const retryMs = 1000;
/** Certificates that have expired longer ago than this are left out. */
const slackMs = 5 * 60_000;

export interface AuthenticationConfigMapDeps {
  readonly client: Client;
  readonly reader: AdmissionReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly authorities: () => ClientAuthorities;
  readonly requestHeader: RequestHeaderOptions;
}

export interface AuthenticationConfigMap extends Running {
  /** Resolves when the config map says what it should for the first time, or that has failed and will be tried again. */
  start(): Promise<void>;
  /** The authorities have changed. */
  changed(): void;
}

export function createAuthenticationConfigMap(deps: AuthenticationConfigMapDeps): AuthenticationConfigMap {
  return new KeptConfigMap(deps);
}

class KeptConfigMap implements AuthenticationConfigMap {
  readonly #deps: AuthenticationConfigMapDeps;
  readonly #stops: (() => void)[] = [];
  #retry: Timer | undefined;
  #syncing: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(deps: AuthenticationConfigMapDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    const informer = this.#deps.reader.informer(configmaps);
    await informer.synced();
    const onChange = ({ metadata }: ConfigMap): void => {
      if (metadata.name === target.name && metadata.namespace === target.namespace) this.changed();
    };
    const handler = informer.addHandler({ onAdd: onChange, onUpdate: onChange, onDelete: onChange });
    const timer = this.#deps.clock.every(periodMs, () => this.changed());
    this.#stops.push(
      () => handler.remove(),
      () => timer.cancel(),
    );
    this.changed();
    await this.#syncing;
  }

  /** One write at a time; what changes during one is looked at after it. */
  changed(): void {
    if (this.#stopped) return;
    if (this.#syncing) {
      this.#again = true;
      return;
    }
    this.#syncing = this.#sync().finally(() => {
      this.#syncing = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.changed();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retry?.cancel();
    for (const stop of this.#stops.splice(0)) stop();
    await this.#syncing;
  }

  async #sync(): Promise<void> {
    try {
      await writeConfigMap(this.#deps);
    } catch (error) {
      if (!isStatus(error, "Conflict", "AlreadyExists"))
        this.#deps.logger.warn("Config map not written", { object: `${target.namespace}/${target.name}`, error });
      this.#retry?.cancel();
      this.#retry = this.#deps.clock.after(retryMs, () => this.changed());
    }
  }
}

async function writeConfigMap({ client, reader, clock, authorities, requestHeader }: AuthenticationConfigMapDeps): Promise<void> {
  const existing = reader.informer(configmaps).get(`${target.namespace}/${target.name}`);
  const data = combinedData(existing?.data ?? {}, { authorities: authorities(), requestHeader, nowMs: clock.now() });
  if (!existing) {
    await client.create(configmaps, { metadata: target, data });
    return;
  }
  if (sameData(existing.data ?? {}, data)) return;
  await client.update(configmaps, { ...existing, data });
}

const sameData = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([key, value]) => b[key] === value);

interface Required {
  readonly authorities: ClientAuthorities;
  readonly requestHeader: RequestHeaderOptions;
  readonly nowMs: number;
}

/** The data with what is required added. Throws where what is there cannot be read. */
function combinedData(existing: Readonly<Record<string, string>>, required: Required): Record<string, string> {
  const { authorities, requestHeader, nowMs } = required;
  const bundle = (key: string, own: AuthorityBundle | undefined): string => combinedPem(existing[key], own, nowMs);
  const names = (key: string, own: readonly string[]): readonly string[] => [...new Set([...listIn(existing, key), ...own])];
  const data: Record<string, string> = {};
  const clientCa = bundle("client-ca-file", authorities.client);
  if (clientCa !== "") data["client-ca-file"] = clientCa;
  const frontProxyCa = bundle("requestheader-client-ca-file", authorities.frontProxy);
  if (frontProxyCa === "") return data;
  data["requestheader-client-ca-file"] = frontProxyCa;
  const lists: Readonly<Record<string, readonly string[]>> = {
    "requestheader-username-headers": requestHeader.usernameHeaders,
    "requestheader-group-headers": requestHeader.groupHeaders,
    "requestheader-extra-headers-prefix": requestHeader.extraHeaderPrefixes,
    "requestheader-allowed-names": requestHeader.allowedNames,
  };
  for (const [key, own] of Object.entries(lists)) data[key] = JSON.stringify(names(key, own));
  const uidHeaders = names("requestheader-uid-headers", requestHeader.uidHeaders);
  if (uidHeaders.length > 0) data["requestheader-uid-headers"] = JSON.stringify(uidHeaders);
  return data;
}

function listIn(data: Readonly<Record<string, string>>, key: string): readonly string[] {
  const text = data[key] ?? "";
  if (text === "") return [];
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value) || value.some((member) => typeof member !== "string")) throw new Error(`${key}: expected a list of strings`);
  return value as string[];
}

function combinedPem(existing: string | undefined, own: AuthorityBundle | undefined, nowMs: number): string {
  const before = existing ? new AuthorityBundle(existing).certificates : [];
  const all = new Map([...before, ...(own?.certificates ?? [])].map((certificate) => [certificate.fingerprint256, certificate.raw]));
  return [...all.values()]
    .filter((der) => parseCertificate(der).notAfterMs > nowMs - slackMs)
    .map((der) => encodePem("CERTIFICATE", der))
    .join("");
}
