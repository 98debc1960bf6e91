// kubelet-serving-approver-controller: approves nodes' requests for serving certificates where the certificate says nothing
// but what the node is: its own name, and addresses that it reports and that nobody else has. Upstream leaves this to the
// administrator, because a node that may name any address could pass for somebody else; so nothing is approved here that
// could: no address of the API server, of a service, of another node or of one machine alone, no name of a service, and no
// name with a domain, which may be anybody's in the DNS.
// Runs only where --controllers names it; `coracle up` does.
import { cidrContains, parseCIDR, parseIP } from "../../api/meta/ip.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { certificatesigningrequests, configmaps, endpointslices, nodes, servicecidrs } from "../../api/resources.generated.ts";
import type { CertificateSigningRequest } from "../../api/types/certificates-v1.ts";
import type { Node } from "../../api/types/core-v1.ts";
import { ipBytes, ipText } from "../../base/x509/names.ts";
import type { Client } from "../../client/client.ts";
import type { Controller } from "../controller.ts";
import { type Asked, flawOf } from "./signers.ts";
import { readRequest, requestController, withCondition } from "./signing-requests.ts";

const signer = "kubernetes.io/kubelet-serving";
const nodePrefix = "system:node:";
const message = "Auto approving the serving certificate of a node for its own name and addresses.";
const maxWaitMs = 1_000_000;

export const servingRequestApprover: Controller = {
  ...requestController("kubelet-serving-approver-controller", async ({ client, clock, logger }, request, signal) => {
    const { conditions = [], certificate } = request.status ?? {};
    if (request.spec.signerName !== signer || certificate || conditions.length > 0) return undefined;
    const asked = readRequest(request);
    if (flawOf(signer, asked) !== undefined || !isFromNode(request, asked)) return undefined;
    const nodeName = asked.request.subject.commonName.slice(nodePrefix.length);
    const problem = await problemWith(client, nodeName, asked, signal);
    if (problem !== undefined) {
      logger.info(
        "A node's request for a serving certificate is left to an administrator",
        { request: request.metadata.name, node: nodeName, problem },
        1,
      );
      // The node may yet report its addresses: asked again after as long as the request has been there.
      const ageMs = clock.now() - (parseTime(request.metadata.creationTimestamp) ?? 0);
      return { requeueAfterMs: Math.min(maxWaitMs, Math.max(500, ageMs)) };
    }
    const approved = withCondition(request, { type: "Approved", status: "True", reason: "AutoApproved", message }, clock.now());
    await client.update(certificatesigningrequests, approved, { subresource: "approval", signal });
    return undefined;
  }),
  serviceAccount: "kubelet-serving-approver",
  isOffByDefault: true,
};

function isFromNode({ spec }: CertificateSigningRequest, { request }: Asked): boolean {
  return spec.username === request.subject.commonName && (spec.groups ?? []).includes("system:nodes");
}

async function problemWith(client: Client, nodeName: string, { request }: Asked, signal: AbortSignal): Promise<string | undefined> {
  const node = await findNode(client, nodeName, signal);
  if (!node) return "the node is not registered";
  const { dnsNames, ipAddresses } = request.names;
  const name = dnsNames.find((dns) => dns !== nodeName || mayBeOthers(dns));
  if (name !== undefined) return `${name} is not the node's name, or may be more than that`;
  const own = addressesOf(node);
  const strange = ipAddresses.find((ip) => !own.has(canonical(ip)) || isLocal(ip));
  if (strange !== undefined) return `${strange} is not an address of the node`;
  const taken = await takenAddresses(client, nodeName, signal);
  if (dnsNames.some((dns) => dns === taken.server)) return `${taken.server} is the API server's name`;
  const claimed = ipAddresses.find((ip) => taken.addresses.has(canonical(ip)) || taken.ranges.some((range) => isInCIDR(ip, range)));
  return claimed === undefined ? undefined : `${claimed} is somebody else's address`;
}

async function findNode(client: Client, name: string, signal: AbortSignal): Promise<Node | undefined> {
  try {
    return await client.get(nodes, { name }, { signal });
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

const canonical = (ip: string): string => ipText(ipBytes(ip));

function addressesOf({ status }: Node): ReadonlySet<string> {
  const own = (status?.addresses ?? []).filter(({ type }) => type === "InternalIP" || type === "ExternalIP");
  return new Set(own.flatMap(({ address }) => (isIp(address) ? [canonical(address)] : [])));
}

const isIp = (text: string): boolean => /^[0-9.]+$/.test(text) || text.includes(":");

/** Names by which pods, or the DNS, may know something else. */
const mayBeOthers = (name: string): boolean => name.includes(".") || ["localhost", "kubernetes"].includes(name);

const localRanges = ["127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128", "169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8"];

function isInCIDR(ip: string, range: string): boolean {
  const [address, cidr] = [parseIP(ip), parseCIDR(range)];
  return address !== undefined && cidr !== undefined && cidrContains(cidr, address);
}

const isLocal = (ip: string): boolean => localRanges.some((range) => isInCIDR(ip, range));

interface Taken {
  readonly addresses: ReadonlySet<string>;
  /** Of services. */
  readonly ranges: readonly string[];
  /** The host under which the API server is published; "" where it is not. */
  readonly server: string;
}

/** What belongs to the API server, to services and to other nodes. */
async function takenAddresses(client: Client, nodeName: string, signal: AbortSignal): Promise<Taken> {
  const [slices, cidrs, others, server] = await Promise.all([
    client.list(endpointslices, { namespace: "default", labelSelector: "kubernetes.io/service-name=kubernetes", signal }),
    client.list(servicecidrs, { signal }),
    client.list(nodes, { signal }),
    publishedServer(client, signal),
  ]);
  const servers = slices.items.flatMap(({ endpoints }) => (endpoints ?? []).flatMap(({ addresses }) => addresses.map(canonical)));
  const nodesOwn = others.items.filter((n) => n.metadata.name !== nodeName).flatMap((n) => [...addressesOf(n)]);
  const published = isIp(server) ? [canonical(server)] : [];
  return {
    addresses: new Set([...servers, ...published, ...nodesOwn]),
    ranges: cidrs.items.flatMap(({ spec }) => spec?.cidrs ?? []),
    server,
  };
}

/** The host of the address in kube-public/cluster-info: a load balancer's, perhaps. */
async function publishedServer(client: Client, signal: AbortSignal): Promise<string> {
  try {
    const { data } = await client.get(configmaps, { namespace: "kube-public", name: "cluster-info" }, { signal });
    const server = /^\s*server: "?(https:\/\/[^"\s]+)"?$/m.exec(data?.kubeconfig ?? "")?.[1];
    return server === undefined ? "" : new URL(server).hostname.replace(/^\[|\]$/g, "");
  } catch (error) {
    if (isStatus(error, "NotFound")) return "";
    throw error;
  }
}
