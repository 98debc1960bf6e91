// The certificates of the API server's port and the authorities it believes, from the flags' files or the cluster's own
// PKI, followed as the files change. Whatever is wrong with a file at start is one line that names the flag; later it is
// logged and the old material stays in use.
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { AuthorityBundle, type ClientAuthorities } from "../../apiserver/authn/client-authorities.ts";
import type { RequestHeaderOptions } from "../../apiserver/authn/request-header.ts";
import type { ServingCertificate, TlsMaterial } from "../../apiserver/http/tls-material.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { CertificateFiles } from "../../apiserver/serving-options.ts";
import type { Clock } from "../../base/clock.ts";
import { type FollowedFile, followFiles } from "../../base/followed-files.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { CommandError } from "../command-error.ts";
import type { Pki } from "../credentials/pki.ts";

export interface ServingMaterial {
  /** At start. */
  readonly tls: TlsMaterial;
  /** At present. */
  readonly authorities: () => ClientAuthorities;
  /** Which headers the front proxy says in who asks. */
  readonly requestHeader: RequestHeaderOptions;
  /** Calls `use` with new material when files have changed, and `authoritiesChanged` where it was the authorities. */
  follow(use: (tls: TlsMaterial) => void, authoritiesChanged: () => void): Running;
}

export interface MaterialDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** kubeadm's flags: what the cluster's own front proxy may do. */
const ownFrontProxy: RequestHeaderOptions = {
  usernameHeaders: ["X-Remote-User"],
  uidHeaders: ["X-Remote-Uid"],
  groupHeaders: ["X-Remote-Group"],
  extraHeaderPrefixes: ["X-Remote-Extra-"],
  allowedNames: ["front-proxy-client"],
};

/** The files of one flag (or of two that belong together). */
interface FileGroup {
  /** As it stands in messages: "--tls-cert-file, --tls-private-key-file". */
  readonly flag: string;
  readonly paths: readonly string[];
}

interface FileGroups {
  readonly certificate: FileGroup | undefined;
  readonly sni: readonly { readonly group: FileGroup; readonly names: readonly string[] }[];
  readonly clientCa: FileGroup | undefined;
  readonly frontProxyCa: FileGroup | undefined;
}

type Contents = ReadonlyMap<FileGroup, readonly string[]>;

/** Reads the files of the flags. Throws CommandError. */
export async function loadServingMaterial(settings: ApiServerSettings, pki: Pki, deps: MaterialDeps): Promise<ServingMaterial> {
  const groups = fileGroups(settings);
  const all = [groups.certificate, ...groups.sni.map((s) => s.group), groups.clientCa, groups.frontProxyCa].filter((g) => g !== undefined);
  let contents: Contents = new Map(await Promise.all(all.map(async (group) => [group, await readGroup(group)] as const)));
  const { frontProxy } = settings.authentication;
  const build = (from: Contents): TlsMaterial => buildMaterial(groups, from, pki);
  let tls = build(contents);
  if (groups.clientCa && frontProxy?.allowedNames.length === 0) refuseOverlap(tls.authorities);
  return {
    tls,
    authorities: () => tls.authorities ?? {},
    requestHeader: frontProxy ?? ownFrontProxy,
    follow(use, authoritiesChanged) {
      const stack = new StopStack();
      for (const group of all) {
        const followed: FollowedFile[] = group.paths.map((path, i) => ({ path, contents: contents.get(group)?.[i] ?? "" }));
        const changed = (texts: readonly string[]): void => {
          const next = new Map(contents).set(group, texts);
          const built = build(next);
          use(built);
          [contents, tls] = [next, built];
          deps.logger.info("Certificates reloaded", { files: group.paths.join(", ") });
          if (group === groups.clientCa || group === groups.frontProxyCa) authoritiesChanged();
        };
        const failed = (error: unknown): void =>
          deps.logger.error("Certificates not reloaded, the old ones stay", { files: group.paths.join(", "), error });
        stack.add(followFiles(followed, { clock: deps.clock, changed, failed }));
      }
      return stack;
    },
  };
}

function fileGroups({ serving, authentication }: ApiServerSettings): FileGroups {
  const pair = (flag: string, { certFile, keyFile }: CertificateFiles): FileGroup => ({ flag, paths: [certFile, keyFile] });
  const { clientCaFile, frontProxy } = authentication;
  return {
    certificate: serving.certificate && pair("--tls-cert-file, --tls-private-key-file", serving.certificate),
    sni: serving.sni.map((files) => ({ group: pair("--tls-sni-cert-key", files), names: files.names })),
    clientCa: clientCaFile === undefined ? undefined : { flag: "--client-ca-file", paths: [clientCaFile] },
    frontProxyCa: frontProxy && { flag: "--requestheader-client-ca-file", paths: [frontProxy.caFile] },
  };
}

/** By which parts of the cluster itself ask for the certificate of the cluster's authority. */
export const ownName = "kubernetes";

async function readGroup({ flag, paths }: FileGroup): Promise<readonly string[]> {
  try {
    return await Promise.all(paths.map((path) => readFile(path, "utf8")));
  } catch (error) {
    throw new CommandError(`${flag}: ${errorText(error)}`);
  }
}

/** Client certificates of the cluster's own authority are always believed, besides those of --client-ca-file. */
function buildMaterial(groups: FileGroups, contents: Contents, pki: Pki): TlsMaterial {
  const pairOf = (group: FileGroup): ServingCertificate => {
    const [certPem = "", keyPem = ""] = contents.get(group) ?? [];
    forFlag(group.flag, () => createSecureContext({ cert: certPem, key: keyPem }));
    return { certPem, keyPem };
  };
  const bundleOf = (group: FileGroup | undefined, own: string, also: boolean): AuthorityBundle => {
    const [pem] = (group && contents.get(group)) ?? [];
    if (!group || pem === undefined) return new AuthorityBundle(own);
    const bundle = forFlag(group.flag, () => new AuthorityBundle(pem));
    return also ? new AuthorityBundle(`${bundle.pem.trimEnd()}\n${own}`) : bundle;
  };
  const own = { certPem: pki.apiserver.certificate, keyPem: pki.apiserver.key };
  const sni = groups.sni.map(({ group, names }) => ({ ...pairOf(group), names }));
  return {
    certificate: groups.certificate ? pairOf(groups.certificate) : own,
    // Parts of this cluster that are clients (nodes, the ingress's thread) believe the cluster's authority alone.
    sni: groups.certificate ? [...sni, { ...own, names: [ownName] }] : sni,
    authorities: {
      client: bundleOf(groups.clientCa, pki.ca.pem.certificate, true),
      frontProxy: bundleOf(groups.frontProxyCa, pki.frontProxyCa.pem.certificate, false),
    },
  };
}

function forFlag<T>(flag: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new CommandError(`${flag}: ${errorText(error)}`);
  }
}

/** Whoever has a client certificate of a shared authority could otherwise say in headers that he is anybody. */
function refuseOverlap({ client, frontProxy }: ClientAuthorities = {}): void {
  const fingerprints = new Set(client?.certificates.map((c) => c.fingerprint256));
  if (frontProxy?.certificates.some((c) => fingerprints.has(c.fingerprint256)))
    throw new CommandError(
      "--requestheader-client-ca-file and --client-ca-file contain overlapping certificates; --requestheader-allowed-names must be specified to ensure regular client certificates cannot set authenticating proxy headers for arbitrary users",
    );
}
