// Certificates of pods for projected volumes (the gate PodCertificateRequest): for each projection the kubelet makes a key and a
// PodCertificateRequest in the pod's name, and whoever the signer is issues the certificate, or refuses it for good. What was
// issued is renewed, with a new key, from the time on that the signer says; until then, and while nobody answers, it stays.
import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { serviceaccounts } from "../../api/resources.generated.ts";
import type { PodCertificateRequest } from "../../api/types/certificates-v1beta1.ts";
import type { Pod, PodCertificateProjection } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { decodePem, encodePem, pemBlocks } from "../../base/x509/pem.ts";
import { createSigningRequest } from "../../base/x509/signing-request.ts";
import type { Client } from "../../client/client.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { Informer } from "../../client/informer.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { podReference } from "../references.ts";

export interface PodCertificatesDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly metrics: MetricsRegistry;
  readonly nodeName: string;
  /** Undefined until the node is registered. */
  readonly nodeUid: () => string | undefined;
  /** The files of this pod are to be written anew. */
  readonly onChange: (podUid: string) => void;
}

/** PEM: the key as PKCS#8, and the chain. */
export interface CredentialBundle {
  readonly key: string;
  readonly chain: string;
}

/** Which projection it is: the volume, and the place among its sources. */
export interface ProjectionPlace {
  readonly volume: string;
  readonly index: number;
}

interface Pending {
  readonly key: string;
  /** "namespace/name". */
  readonly request: string;
  /** A request that is not there by then was deleted: it is made again. */
  readonly abandonAtMs: number;
}

interface Issued extends CredentialBundle {
  readonly refreshAtMs: number;
  readonly notAfterMs: number;
}

interface Refusal {
  readonly how: "denied" | "failed";
  readonly reason: string;
  readonly message: string;
}

interface Projection {
  readonly pod: Pod;
  readonly wanted: PodCertificateProjection;
  pending?: Pending | undefined;
  issued?: Issued;
  refused?: Refusal;
  asking?: Promise<void> | undefined;
  toldOverdue: boolean;
  toldExpired: boolean;
}

const makeKeys = promisify(generateKeyPair) as unknown as (
  type: string,
  options: Readonly<Record<string, unknown>>,
) => Promise<{ readonly privateKey: KeyObject; readonly publicKey: KeyObject }>;

const keyTypes: Readonly<Record<string, readonly [type: string, options: Readonly<Record<string, unknown>>]>> = {
  RSA3072: ["rsa", { modulusLength: 3072 }],
  RSA4096: ["rsa", { modulusLength: 4096 }],
  ECDSAP256: ["ec", { namedCurve: "P-256" }],
  ECDSAP384: ["ec", { namedCurve: "P-384" }],
  ECDSAP521: ["ec", { namedCurve: "P-521" }],
  ED25519: ["ed25519", {}],
};

const lookMs = 60_000;
const goneAfterMs = 10 * 60_000;
const overdueAfterMs = 10 * 60_000;
const jitterMs = 5 * 60_000;
const callTimeoutMs = 10_000;

export class PodCertificates implements Running {
  readonly #deps: PodCertificatesDependencies;
  readonly #projections = new Map<string, Projection>();
  readonly #abort = new AbortController();
  #informer: Promise<Informer<PodCertificateRequest>> | undefined;
  #timer: Timer | undefined;

  constructor(deps: PodCertificatesDependencies) {
    this.#deps = deps;
    const states = deps.metrics.gauge(
      "kubelet_podcertificate_states",
      "Gauge vector reporting the number of pod certificate projected volume sources, faceted by signer_name and state.",
      ["signer_name", "state"],
    );
    deps.metrics.beforeScrape(() => {
      states.reset();
      for (const projection of this.#projections.values()) states.series(projection.wanted.signerName, this.#stateOf(projection)).add(1);
    });
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await Promise.allSettled([...this.#projections.values()].map((p) => p.asking));
    await (await this.#informer?.catch(() => undefined))?.stop();
  }

  /** Throws while there is none, with the text of the pod's event; `onChange` tells when there is. */
  bundle(pod: Pod, { volume, index }: ProjectionPlace, wanted: PodCertificateProjection): CredentialBundle {
    const key = `${pod.metadata.uid}/${volume}/${index}`;
    const projection = this.#projections.get(key) ?? { pod, wanted, toldOverdue: false, toldExpired: false };
    this.#projections.set(key, projection);
    const { issued, refused } = projection;
    if (refused) {
      const { how, reason, message } = refused;
      throw new Error(`PodCertificateRequest was permanently ${how}: reason=${JSON.stringify(reason)} message=${JSON.stringify(message)}`);
    }
    if (issued) return issued;
    this.#work(projection);
    throw new Error("credential bundle is not issued yet");
  }

  /** Of a pod that is gone. */
  forget(podUid: string): void {
    for (const [key, { pod }] of this.#projections) if (pod.metadata.uid === podUid) this.#projections.delete(key);
  }

  #stateOf({ issued, refused }: Projection): string {
    const now = this.#deps.clock.now();
    if (refused) return refused.how;
    if (!issued) return "not_yet_issued";
    if (now > issued.notAfterMs) return "expired";
    return now > issued.refreshAtMs + overdueAfterMs ? "overdue_for_refresh" : "fresh";
  }

  /** Asks for a certificate where one is due, and looks whether what was asked for is there. */
  #work(projection: Projection): void {
    const { issued, refused, pending } = projection;
    if (refused || projection.asking || this.#abort.signal.aborted) return;
    if (issued) this.#tellLate(projection, issued);
    if (!pending && issued && this.#deps.clock.now() < issued.refreshAtMs) return;
    const asking = this.#ask(projection)
      .catch((error: unknown) => {
        if (this.#abort.signal.aborted) return;
        const { namespace, name } = projection.pod.metadata;
        this.#deps.logger.error("Asking for a pod's certificate failed", { pod: `${namespace}/${name}`, error: errorText(error) });
      })
      .finally(() => {
        projection.asking = undefined;
      });
    projection.asking = asking;
  }

  async #ask(projection: Projection): Promise<void> {
    const informer = await this.#following();
    projection.pending ??= await this.#request(projection);
    const { pending } = projection;
    const found = informer.get(pending.request);
    if (found) this.#take(projection, pending, found);
    else if (this.#deps.clock.now() > pending.abandonAtMs) projection.pending = undefined;
  }

  #following(): Promise<Informer<PodCertificateRequest>> {
    this.#informer ??= this.#follow().catch((error: unknown) => {
      this.#informer = undefined;
      throw error;
    });
    return this.#informer;
  }

  async #follow(): Promise<Informer<PodCertificateRequest>> {
    const { client, clock, logger, nodeName } = this.#deps;
    const { podcertificaterequestsV1beta1 } = await import("../../api/optional-resources.generated.ts");
    const factory = createInformerFactory(client, { clock, logger });
    const informer = factory.informer(podcertificaterequestsV1beta1, { fieldSelector: `spec.nodeName=${nodeName}` });
    const changed = (request: PodCertificateRequest): void => this.#changed(request);
    informer.addHandler({ onAdd: changed, onUpdate: changed });
    this.#timer = clock.every(lookMs, () => {
      for (const projection of this.#projections.values()) this.#work(projection);
    });
    informer.start();
    return informer;
  }

  #changed(request: PodCertificateRequest): void {
    const key = `${request.metadata.namespace}/${request.metadata.name}`;
    for (const projection of this.#projections.values())
      if (projection.pending?.request === key) this.#take(projection, projection.pending, request);
  }

  async #request({ pod, wanted }: Projection): Promise<Pending> {
    const { client, clock, nodeName, nodeUid } = this.#deps;
    const { namespace, name, uid } = pod.metadata;
    const [type, options] = keyTypes[wanted.keyType] ?? [];
    if (type === undefined || !options) throw new Error(`unknown key type ${JSON.stringify(wanted.keyType)}`);
    const node = nodeUid();
    if (node === undefined) throw new Error(`node ${nodeName} is not registered yet`);
    const call = { signal: this.#abort.signal, timeoutMs: callTimeoutMs };
    const serviceAccountName = pod.spec.serviceAccountName || "default";
    const [keys, account] = await Promise.all([
      makeKeys(type, options),
      client.get(serviceaccounts, { namespace, name: serviceAccountName }, call),
    ]);
    const stub = decodePem("CERTIFICATE REQUEST", createSigningRequest({ commonName: "", organizations: [] }, keys));
    const { podcertificaterequestsV1beta1 } = await import("../../api/optional-resources.generated.ts");
    const ownerReferences = [{ apiVersion: "v1", kind: "Pod", name, uid }];
    const spec = {
      ...{ signerName: wanted.signerName, podName: name, podUID: uid, serviceAccountName, serviceAccountUID: account.metadata.uid },
      ...{ nodeName, nodeUID: node, stubPKCS10Request: Buffer.from(stub).toString("base64") },
      ...(wanted.maxExpirationSeconds === undefined ? {} : { maxExpirationSeconds: wanted.maxExpirationSeconds }),
      ...(wanted.userAnnotations ? { unverifiedUserAnnotations: wanted.userAnnotations } : {}),
    };
    // The server gives it its name.
    const metadata = { namespace, generateName: "req-", ownerReferences } as unknown as {
      readonly name: string;
      readonly namespace: string;
    };
    const made = await client.create(podcertificaterequestsV1beta1, { metadata, spec } as Parameters<typeof client.create>[1], call);
    return {
      key: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      request: `${namespace}/${made.metadata.name}`,
      abandonAtMs: clock.now() + goneAfterMs + clock.random() * jitterMs,
    };
  }

  /** What became of a request. */
  #take(projection: Projection, { key, request }: Pending, { status }: PodCertificateRequest): void {
    for (const { type, reason, message } of status?.conditions ?? []) {
      if (type === "Denied" || type === "Failed") {
        projection.refused = { how: type === "Denied" ? "denied" : "failed", reason, message };
        const how = type === "Denied" ? "was denied" : "failed";
        this.#warn(
          projection.pod,
          type,
          `PodCertificateRequest ${request} ${how}, reason=${JSON.stringify(reason)}, message=${JSON.stringify(message)}`,
        );
      } else if (type === "Issued") {
        const [refreshAtMs, notAfterMs] = [Date.parse(status?.beginRefreshAt ?? ""), Date.parse(status?.notAfter ?? "")];
        const chain = cleanChain(status?.certificateChain ?? "");
        projection.issued = { key, chain, refreshAtMs: refreshAtMs + this.#deps.clock.random() * jitterMs, notAfterMs };
        projection.toldOverdue = false;
        projection.toldExpired = false;
      } else continue;
      projection.pending = undefined;
      this.#deps.onChange(projection.pod.metadata.uid);
      return;
    }
  }

  #tellLate(projection: Projection, { refreshAtMs, notAfterMs }: Issued): void {
    const now = this.#deps.clock.now();
    if (now > refreshAtMs + overdueAfterMs && !projection.toldOverdue) {
      projection.toldOverdue = true;
      this.#warn(projection.pod, "CertificateOverdueForRefresh", "PodCertificate refresh overdue");
    }
    if (now > notAfterMs && !projection.toldExpired) {
      projection.toldExpired = true;
      this.#warn(projection.pod, "CertificateExpired", "PodCertificate expired");
    }
  }

  #warn(pod: Pod, reason: string, message: string): void {
    this.#deps.recorder.record(podReference(pod), { type: "Warning", reason, message });
  }
}

/** The blocks alone, as certificates: without headers and what stands between them. */
function cleanChain(pem: string): string {
  return pemBlocks(pem)
    .map(({ body }) => {
      const base64 = body
        .split("\n")
        .filter((line) => !line.includes(":"))
        .join("")
        .replace(/\s+/g, "");
      return encodePem("CERTIFICATE", Buffer.from(base64, "base64"));
    })
    .join("");
}
