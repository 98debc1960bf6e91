// What the names of the protocol may look like (specification 1.1.0, sections 1 and 2). Each function says what is wrong, or
// nothing.
import { CniError, cniErrorCodes } from "./cni-error.ts";

const identifier = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** Of the kernel, without the final zero. */
const longestInterfaceName = 15;

export function requireContainerId(id: string): void {
  if (id === "") throw new CniError(cniErrorCodes.unknownContainer, "missing containerID");
  if (!identifier.test(id)) throw new CniError(cniErrorCodes.invalidEnvironment, "invalid characters in containerID", { details: id });
}

export function requireNetworkName(name: string): void {
  if (name === "") throw new CniError(cniErrorCodes.invalidConfig, "missing network name");
  if (!identifier.test(name))
    throw new CniError(cniErrorCodes.invalidConfig, "invalid characters found in network name", { details: name });
}

export function requireInterfaceName(name: string): void {
  const invalid = (message: string, details = ""): never => {
    throw new CniError(cniErrorCodes.invalidEnvironment, message, { details });
  };
  if (name === "") invalid("interface name is empty");
  if (Buffer.byteLength(name) > longestInterfaceName)
    invalid("interface name is too long", `interface name should be less than ${longestInterfaceName + 1} characters`);
  if (name === "." || name === "..") invalid("interface name is . or ..");
  if (/[/:]|\s/.test(name)) invalid("interface name contains / or : or whitespace characters");
}

/** No path: the name of an executable in a directory of plugins. */
export function requirePluginType(type: string): void {
  if (type === "" || type === "." || type === ".." || type.includes("/") || type.includes("\0"))
    throw new CniError(cniErrorCodes.invalidConfig, `invalid plugin type ${JSON.stringify(type)}`);
}
