// Who may do what with claims for devices. Access as an administrator, to devices that are in use, is for namespaces with a
// label. Allocating and reserving, and reporting on a driver's devices, need permissions of their own on subresources that
// exist only for authorization. Upstream has this in the storage of claims; here it is a hook that is always on.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { type FieldError, forbiddenField } from "../../api/meta/field-error.ts";
import { invalid, isStatus } from "../../api/meta/status-error.ts";
import { namespaces, resourceclaims, resourceclaimtemplates } from "../../api/resources.generated.ts";
import type {
  AllocatedDeviceStatus,
  AllocationResult,
  DeviceClaim,
  DeviceRequest,
  ResourceClaim,
  ResourceClaimStatus,
  ResourceClaimTemplate,
} from "../../api/types/resource-v1.ts";
import type { Client } from "../../client/client.ts";
import type { UserInfo } from "../authn/user.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { isAbout } from "./refusal.ts";

export interface DeviceAccessDependencies {
  readonly reader: AdmissionReader;
  readonly authorizer: Authorizer;
  readonly client: Pick<Client, "get">;
}

export function deviceAccessCheck(deps: DeviceAccessDependencies): AdmissionPlugin {
  return {
    name: "DeviceAccess",
    handles: (request) =>
      request.resource.group === resourceclaims.group &&
      (request.operation === "CREATE"
        ? isAbout(request, resourceclaims) || isAbout(request, resourceclaimtemplates)
        : request.operation === "UPDATE" && isAbout(request, resourceclaims, "status")),
    problems: (request) => problemsOf(request, deps),
    async validate(request) {
      const errors = await problemsOf(request, deps);
      if (errors.length > 0) throw invalid(request.resource, request.object?.metadata.name ?? "", errors);
    },
  };
}

const problemsOf = (request: AdmissionRequest, deps: DeviceAccessDependencies): Promise<FieldError[]> =>
  request.subresource === "status" ? checkStatus(request, deps) : checkRequests(request, deps);

const adminLabel = "resource.kubernetes.io/admin-access";

/** Undefined where nothing asks for access as an administrator. */
async function adminProblem(field: string | undefined, request: AdmissionRequest, deps: DeviceAccessDependencies): Promise<FieldError[]> {
  if (field === undefined) return [];
  const labels = await namespaceLabels(request.namespace, deps);
  if (labels?.[adminLabel] === "true") return [];
  return [forbiddenField(field, `admin access to devices requires the \`${adminLabel}: true\` label on the containing namespace`)];
}

async function namespaceLabels(
  name: string,
  { reader, client }: DeviceAccessDependencies,
): Promise<Readonly<Record<string, string>> | undefined> {
  const known = reader.informer(namespaces).get(name);
  if (known?.metadata.labels?.[adminLabel] === "true") return known.metadata.labels;
  try {
    // The label may be newer than what is mirrored here.
    return (await client.get(namespaces, { name })).metadata.labels;
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

function checkRequests(request: AdmissionRequest, deps: DeviceAccessDependencies): Promise<FieldError[]> {
  const isTemplate = isAbout(request, resourceclaimtemplates);
  const devices: DeviceClaim | undefined = isTemplate
    ? (request.object as ResourceClaimTemplate).spec?.spec?.devices
    : (request.object as ResourceClaim).spec?.devices;
  // In v1beta1 it stands beside the request's name.
  const index = (devices?.requests ?? []).findIndex((asked: DeviceRequest & { readonly adminAccess?: boolean }) =>
    [asked.exactly?.adminAccess, asked.adminAccess].includes(true),
  );
  return adminProblem(index < 0 ? undefined : `spec.devices.requests[${index}].adminAccess`, request, deps);
}

function checkStatusAdmin(request: AdmissionRequest, deps: DeviceAccessDependencies): Promise<FieldError[]> {
  const [allocation, old] = [request.object, request.oldObject].map((claim) => (claim as ResourceClaim).status?.allocation);
  const index = adminResult(old) < 0 ? adminResult(allocation) : -1;
  return adminProblem(index < 0 ? undefined : `status.allocation.devices.results[${index}].adminAccess`, request, deps);
}

async function checkStatus(request: AdmissionRequest, deps: DeviceAccessDependencies): Promise<FieldError[]> {
  const status = (request.object as ResourceClaim).status ?? {};
  const old = (request.oldObject as ResourceClaim).status ?? {};
  return [
    ...(await checkStatusAdmin(request, deps)),
    ...(await checkAllocation(request, status, old, deps.authorizer)),
    ...(status.allocation ? await checkDevices(request, status, old, deps.authorizer) : []),
  ];
}

const adminResult = (allocation: AllocationResult | undefined): number =>
  (allocation?.devices?.results ?? []).findIndex(({ adminAccess }) => adminAccess === true);

/** Upstream asks for the verb of the request; admission knows of updates only. */
const verb = "update";

async function checkAllocation(
  request: AdmissionRequest,
  status: ResourceClaimStatus,
  old: ResourceClaimStatus,
  authorizer: Authorizer,
): Promise<FieldError[]> {
  if (semanticallyEqual(status.allocation, old.allocation) && semanticallyEqual(status.reservedFor, old.reservedFor)) return [];
  const why = await refusal(request.user, { verb, subresource: "binding", namespace: "", name: "" }, authorizer);
  if (why === undefined) return [];
  const needs = `changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="${verb}" permission`;
  return [forbiddenField("status.allocation", `${needs}: ${why}`)];
}

async function checkDevices(
  request: AdmissionRequest,
  status: ResourceClaimStatus,
  old: ResourceClaimStatus,
  authorizer: Authorizer,
): Promise<FieldError[]> {
  const onNode = isOnNode(request.user, nodeOf(status.allocation));
  const verbs = [...(onNode ? [`associated-node:${verb}`] : []), `arbitrary-node:${verb}`];
  const errors: FieldError[] = [];
  for (const driver of changedDrivers(status.devices ?? [], old.devices ?? [])) {
    const refusals: string[] = [];
    for (const each of verbs) {
      const why = await refusal(
        request.user,
        { verb: each, subresource: "driver", namespace: request.namespace, name: driver },
        authorizer,
      );
      if (why === undefined) break;
      refusals.push(why);
    }
    if (refusals.length === verbs.length)
      errors.push(
        forbiddenField(
          "status.devices",
          `changing status.devices requires resource="resourceclaims/driver", verb="[${verbs.join(" ")}]" permission: ${refusals[0]}`,
        ),
      );
  }
  return errors;
}

/** Drivers of devices whose status is new, changed or gone, in order. */
function changedDrivers(devices: readonly AllocatedDeviceStatus[], old: readonly AllocatedDeviceStatus[]): readonly string[] {
  const keyOf = ({ driver, pool, device, shareID = "" }: AllocatedDeviceStatus): string => [driver, pool, device, shareID].join("\0");
  const before = new Map(old.map((device) => [keyOf(device), device]));
  const drivers = new Set<string>();
  for (const device of devices) {
    if (!semanticallyEqual(before.get(keyOf(device)), device)) drivers.add(device.driver);
    before.delete(keyOf(device));
  }
  for (const { driver } of before.values()) drivers.add(driver);
  return [...drivers].sort();
}

/** The node of an allocation that is for one node by name. */
function nodeOf(allocation: AllocationResult | undefined): string | undefined {
  const terms = allocation?.nodeSelector?.nodeSelectorTerms ?? [];
  const { matchExpressions = [], matchFields = [] } = terms[0] ?? {};
  const [field] = matchFields;
  if (terms.length !== 1 || matchExpressions.length > 0 || matchFields.length !== 1 || !field) return undefined;
  const isName = field.key === "metadata.name" && field.operator === "In" && field.values?.length === 1;
  return isName ? field.values?.[0] : undefined;
}

/** A service account whose token says that it is used on this node. */
function isOnNode({ name, extra = {} }: UserInfo, node: string | undefined): boolean {
  const names = extra["authentication.kubernetes.io/node-name"] ?? [];
  return node !== undefined && /^system:serviceaccount:[^:]+:[^:]+$/.test(name) && names.length === 1 && names[0] === node;
}

/** Why the user may not, in the words of an answer to a request; undefined where he may. */
async function refusal(
  user: UserInfo,
  what: { readonly verb: string; readonly subresource: string; readonly namespace: string; readonly name: string },
  authorizer: Authorizer,
): Promise<string | undefined> {
  const { group: apiGroup, version: apiVersion, resource } = resourceclaims;
  const { decision, reason } = await authorizer.authorize({
    user,
    isResourceRequest: true,
    path: "",
    apiGroup,
    apiVersion,
    resource,
    ...what,
  });
  if (decision === "allow") return undefined;
  const named = what.name === "" ? "" : ` "${what.name}"`;
  const where = what.namespace === "" ? "at the cluster scope" : `in the namespace "${what.namespace}"`;
  const text = `User "${user.name}" cannot ${what.verb} resource "${resource}/${what.subresource}" in API group "${apiGroup}" ${where}`;
  return `${resource}.${apiGroup}${named} is forbidden: ${text}${reason === "" ? "" : `: ${reason}`}`;
}
