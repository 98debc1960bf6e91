// The kubelet's side of registration: device plugins call Register on <root>/device-plugins/kubelet.sock and name the socket
// beside it on which they serve. When the kubelet starts it removes the sockets there, by which plugins notice that they have
// to register again.
import { chmod, lstat, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isExtendedResource } from "../../api/validation/resource-names.ts";
import type { Running } from "../../base/lifecycle.ts";
import { serveRpc } from "../../rpc/server.ts";
import { devicePluginV1beta1, type RegistrationHandlers } from "./generated/device-plugin-v1beta1.ts";

export const devicePluginVersion = "v1beta1";

export interface RegistrationOptions {
  /** <root>/device-plugins. */
  readonly directory: string;
  /** Someone asks to be registered. */
  readonly onRequest: (resource: string) => void;
  /** Connects to the plugin; the promise's failure is the plugin's answer. */
  readonly connect: (resource: string, socketPath: string) => Promise<void>;
}

/** Throws the Error that the plugin is answered with. */
export function checkDevicePlugin(resource: string, versions: readonly string[]): void {
  if (!versions.includes(devicePluginVersion))
    throw new Error(
      `requested API version ${JSON.stringify(versions.join())} is not supported by kubelet. Supported version is ["${devicePluginVersion}"]`,
    );
  if (!isExtendedResource(resource)) throw new Error(`the ResourceName ${JSON.stringify(resource)} is invalid`);
}

/** Resolves when plugins can register. */
export async function serveRegistration({ directory, onRequest, connect }: RegistrationOptions): Promise<Running> {
  await mkdir(directory, { recursive: true, mode: 0o750 });
  await removeSockets(directory);
  const handlers: RegistrationHandlers = {
    async register({ version, resourceName, endpoint }) {
      onRequest(resourceName);
      checkDevicePlugin(resourceName, [version]);
      await connect(resourceName, join(directory, endpoint));
      return {};
    },
  };
  const endpoint = join(directory, "kubelet.sock");
  const server = await serveRpc({ endpoint, services: [{ protocol: devicePluginV1beta1, service: "Registration", handlers }] });
  // Who may register a plugin is told what containers get.
  await chmod(endpoint, 0o600);
  return server;
}

async function removeSockets(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if ((await lstat(path)).isSocket()) await rm(path, { force: true });
  }
}
