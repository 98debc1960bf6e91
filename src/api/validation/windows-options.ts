// Options of Windows containers: credentials, user names in the forms Windows knows, and host process pods, in which all
// containers run on the host.
import { type FieldError, forbiddenField, invalidValue } from "../meta/field-error.ts";
import { byteLength, isDNS1123Subdomain } from "../meta/names.ts";
import { allowsPrivileged } from "../semantics/privileged-containers.ts";
import type { PodSpec, WindowsSecurityContextOptions } from "../types/core-v1.ts";
import { eachContainer } from "./pod-rules.ts";
import { addProblems } from "./rules.ts";

const maxCredentialBytes = 64 * 1024;
const maxDomainLength = 256;
const maxUserLength = 104;
const netBiosName = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/;
const dnsName = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/;

export function validateWindowsOptions(errors: FieldError[], field: string, options: WindowsSecurityContextOptions | undefined): void {
  if (!options) return;
  const { gmsaCredentialSpecName: name, gmsaCredentialSpec: credential, runAsUserName } = options;
  if (name !== undefined) addProblems(errors, `${field}.gmsaCredentialSpecName`, name, isDNS1123Subdomain(name));
  if (credential === "")
    errors.push(invalidValue(`${field}.gmsaCredentialSpec`, credential, "gmsaCredentialSpec cannot be an empty string"));
  else if (byteLength(credential ?? "") > maxCredentialBytes)
    errors.push(invalidValue(`${field}.gmsaCredentialSpec`, credential, "gmsaCredentialSpec size must be under 64 KiB"));
  if (runAsUserName !== undefined) addProblems(errors, `${field}.runAsUserName`, runAsUserName, userNameProblems(runAsUserName));
}

/** "user" or "DOMAIN\user". */
function userNameProblems(name: string): readonly string[] {
  const parts = name.split("\\");
  if (name === "") return ["runAsUserName cannot be an empty string"];
  if (/\p{Cc}/u.test(name)) return ["runAsUserName cannot contain control characters"];
  if (parts.length > 2) return ["runAsUserName cannot contain more than one backslash"];
  const user = parts.at(-1) ?? "";
  const domain = parts.length === 2 ? (parts[0] ?? "") : undefined;
  const problems: string[] = [];
  if (byteLength(domain ?? "") >= maxDomainLength)
    problems.push(`runAsUserName's Domain length must be under ${maxDomainLength} characters`);
  if (domain !== undefined && !netBiosName.test(domain) && !dnsName.test(domain))
    problems.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
  if (user === "") problems.push("runAsUserName's User cannot be empty");
  else if (byteLength(user) > maxUserLength)
    problems.push(`runAsUserName's User length must not be longer than ${maxUserLength} characters`);
  if (/^[. ]+$/.test(user)) problems.push("runAsUserName's User cannot contain only periods or spaces");
  if (/["/\\:;|=,+*?<>@[\]]/.test(user)) problems.push("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
  return problems;
}

/** In a host process pod all containers are host processes, in the host's network. */
export function validateHostProcesses(errors: FieldError[], field: string, spec: PodSpec): void {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess;
  let containers = 0;
  let hostProcesses = 0;
  eachContainer(spec, field, ({ securityContext }, path) => {
    const own = securityContext?.windowsOptions?.hostProcess;
    containers++;
    if (own ?? ofPod) hostProcesses++;
    if (ofPod !== undefined && own !== undefined && own !== ofPod)
      errors.push(
        invalidValue(
          `${path}.securityContext.windowsOptions.hostProcess`,
          own,
          `pod hostProcess value must be identical if both are specified, was ${ofPod}`,
        ),
      );
  });
  if (hostProcesses === 0) return;
  if (hostProcesses !== containers)
    errors.push(invalidValue(field, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"));
  if (!spec.hostNetwork)
    errors.push(invalidValue(`${field}.hostNetwork`, false, "hostNetwork must be true if pod contains any hostProcess containers"));
  if (!allowsPrivileged()) errors.push(forbiddenField(field, "hostProcess containers are disallowed by cluster policy"));
}
