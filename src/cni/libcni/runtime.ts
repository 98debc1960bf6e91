// The runtime's side of CNI (specification 1.1.0, section 3): runs the plugins of a network for a container, in order for ADD and
// CHECK, in reverse for DEL, each with what the one before has made, and keeps the result. Any vendor's plugins will do.
import type { Clock } from "../../base/clock.ts";
import type { CniCommand, ValidAttachment } from "../plugins/plugin.ts";
import { CniError, cniErrorCodes, toCniError } from "../spec/cni-error.ts";
import { parseResult, renderResult } from "../spec/convert-result.ts";
import { requireContainerId, requireInterfaceName } from "../spec/names.ts";
import type { CniResult } from "../spec/result.ts";
import { versionHas } from "../spec/versions.ts";
import { AttachmentLocks } from "./attachment-locks.ts";
import { executePlugin } from "./execute.ts";
import { defaultPluginPath, type Network, type NetworkPlugin } from "./network-file.ts";
import { type CachedAttachment, ResultCache } from "./result-cache.ts";

export interface CniRuntimeOptions {
  readonly clock: Clock;
  /** Directories of executables. Default /opt/cni/bin. */
  readonly path?: readonly string[];
  /** Of results. Default /var/lib/cni. */
  readonly cacheDirectory?: string;
  /** How long one plugin may take. Default 60 s. */
  readonly pluginTimeoutMs?: number;
}

/** A container's place in a network. */
export interface Attachment {
  readonly containerId: string;
  /** Path of its network namespace; in DEL it may be gone. */
  readonly netns: string;
  /** "eth0". */
  readonly ifName: string;
  /** CNI_ARGS. */
  readonly args?: Readonly<Record<string, string>>;
  /** Values of capabilities; a plugin gets those it says it has. */
  readonly capabilities?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

export interface CniRuntime {
  /** Rejects where the container has this interface of the network already. What fails half way is taken back. */
  add(network: Network, attachment: Attachment): Promise<CniResult>;
  /** Any number of times. */
  del(network: Network, attachment: Attachment): Promise<void>;
  check(network: Network, attachment: Attachment): Promise<void>;
  /** Rejects where an ADD would fail now, as far as the plugins know. */
  status(network: Network): Promise<void>;
  /** Takes away what belongs to attachments that are not valid any more. */
  gc(network: Network, valid: readonly ValidAttachment[]): Promise<void>;
  /** Versions of the specification a plugin knows. */
  versions(type: string): Promise<readonly string[]>;
  /** Rejects where one of the network's plugins is missing or does not know the network's version. */
  validate(network: Network): Promise<void>;
}

export function createCniRuntime(options: CniRuntimeOptions): CniRuntime {
  const { cacheDirectory } = options;
  const cache = new ResultCache(cacheDirectory);
  const locks = new AttachmentLocks();
  const calls = new PluginCalls(options);
  const key = (network: Network, { containerId, ifName }: Attachment) => ({ network: network.name, containerId, ifName });
  const del = async (network: Network, attachment: Attachment): Promise<void> => {
    const cached = versionHas(network.cniVersion, "previous result in DEL") ? await cache.get(key(network, attachment)) : undefined;
    for (const plugin of network.plugins.toReversed()) await calls.run("DEL", network, plugin, attachment, cached?.result);
    await cache.remove(key(network, attachment));
  };
  return {
    async add(network, attachment) {
      requireAttachment(attachment);
      return locks.forContainer(attachment.containerId, async () => {
        if (await cache.get(key(network, attachment)))
          throw new CniError(
            cniErrorCodes.invalidEnvironment,
            `container ${attachment.containerId} has been added to network ${network.name} with interface ${attachment.ifName} already`,
          );
        const result = await addAll(network, attachment, calls);
        await cache.put(toCached(network, attachment, result), network);
        return result;
      });
    },
    async del(network, attachment) {
      requireAttachment(attachment);
      await locks.forContainer(attachment.containerId, () => del(network, attachment));
    },
    async check(network, attachment) {
      requireAttachment(attachment);
      if (!versionHas(network.cniVersion, "check"))
        throw new CniError(
          cniErrorCodes.incompatibleVersion,
          `configuration version "${network.cniVersion}" does not support CHECK command`,
        );
      if (network.disableCheck) return;
      await locks.forContainer(attachment.containerId, async () => {
        const cached = await cache.get(key(network, attachment));
        for (const plugin of network.plugins) await calls.run("CHECK", network, plugin, attachment, cached?.result);
      });
    },
    async status(network) {
      if (!versionHas(network.cniVersion, "status")) return;
      for (const plugin of network.plugins) await calls.run("STATUS", network, plugin);
    },
    async gc(network, valid) {
      if (network.disableGc) return;
      await locks.alone(() => collect(network, valid, { cache, calls, del }));
    },
    versions: (type) => calls.versions(type),
    validate: (network) => validate(network, calls),
  };
}

/** A plugin that fails has those before it undone, itself too, as it may have done a part. */
async function addAll(network: Network, attachment: Attachment, calls: PluginCalls): Promise<CniResult> {
  let result: CniResult | undefined;
  for (const [index, plugin] of network.plugins.entries()) {
    try {
      result = (await calls.run("ADD", network, plugin, attachment, result)) ?? result;
    } catch (error) {
      for (const begun of network.plugins.slice(0, index + 1).toReversed())
        await calls.run("DEL", network, begun, attachment, result).catch(() => undefined); // the error that counts is the first
      throw error;
    }
  }
  return result ?? {};
}

function toCached(network: Network, attachment: Attachment, result: CniResult): CachedAttachment {
  const { containerId, ifName, netns, args = {}, capabilities = {} } = attachment;
  return { network: network.name, containerId, ifName, netns, args, capabilities, result };
}

interface Collection {
  readonly cache: ResultCache;
  readonly calls: PluginCalls;
  readonly del: (network: Network, attachment: Attachment) => Promise<void>;
}

/** Each attachment that is remembered and not valid is deleted as it was made; then the plugins look for what nobody remembers. */
async function collect(network: Network, valid: readonly ValidAttachment[], { cache, calls, del }: Collection): Promise<void> {
  const errors: CniError[] = [];
  const note = (error: unknown): void => void errors.push(toCniError(error));
  const isValid = ({ containerId, ifName }: CachedAttachment): boolean =>
    valid.some((attachment) => attachment.containerID === containerId && attachment.ifname === ifName);
  for (const cached of await cache.list(network.name)) if (!isValid(cached)) await del(network, cached).catch(note);
  if (versionHas(network.cniVersion, "garbage collection"))
    for (const plugin of network.plugins) await calls.collect(network, plugin, valid).catch(note);
  const [first] = errors;
  if (first) throw new CniError(first.code, errors.map(({ message }) => message).join("; "), { details: first.details, cause: first });
}

async function validate(network: Network, calls: PluginCalls): Promise<void> {
  for (const { type } of network.plugins) {
    if (!(await calls.versions(type)).includes(network.cniVersion))
      throw new CniError(cniErrorCodes.incompatibleVersion, `plugin ${type} does not support config version "${network.cniVersion}"`);
  }
}

function requireAttachment({ containerId, ifName }: Attachment): void {
  requireContainerId(containerId);
  requireInterfaceName(ifName);
}

/** What the executables get, and what they answer. */
class PluginCalls {
  readonly #options: CniRuntimeOptions;

  constructor(options: CniRuntimeOptions) {
    this.#options = options;
  }

  /** `previous`: of the plugin before, or of the whole chain. */
  async run(
    command: CniCommand,
    network: Network,
    plugin: NetworkPlugin,
    attachment?: Attachment,
    previous?: CniResult,
  ): Promise<CniResult | undefined> {
    const { args = {}, capabilities = {}, ...place } = attachment ?? {};
    const wanted = Object.entries(plugin.capabilities).filter(([name, is]) => is && name in capabilities);
    const config = {
      ...withoutCapabilities(plugin.fields),
      name: network.name,
      cniVersion: network.cniVersion,
      ...(wanted.length > 0 ? { runtimeConfig: Object.fromEntries(wanted.map(([name]) => [name, capabilities[name]])) } : {}),
      ...(previous !== undefined && versionHas(network.cniVersion, "previous result")
        ? { prevResult: renderResult(previous, network.cniVersion) }
        : {}),
    };
    const printed = await this.#execute(command, plugin.type, config, {
      ...place,
      args: Object.entries(args)
        .map(([name, value]) => `${name}=${value}`)
        .join(";"),
    });
    if (command !== "ADD") return undefined;
    if (printed === undefined) throw new CniError(cniErrorCodes.decodingFailure, `plugin ${plugin.type} printed no result`);
    return parseResult(printed, network.cniVersion);
  }

  async collect(network: Network, plugin: NetworkPlugin, valid: readonly ValidAttachment[]): Promise<void> {
    const config = {
      ...withoutCapabilities(plugin.fields),
      name: network.name,
      cniVersion: network.cniVersion,
      "cni.dev/valid-attachments": valid,
      // The specification's first name for it.
      "cni.dev/attachments": valid,
    };
    await this.#execute("GC", plugin.type, config);
  }

  async versions(type: string): Promise<readonly string[]> {
    const printed = await this.#execute("VERSION", type, { cniVersion: "1.1.0" });
    const { supportedVersions } = (printed ?? {}) as { readonly supportedVersions?: unknown };
    if (!Array.isArray(supportedVersions) || !supportedVersions.every((version) => typeof version === "string"))
      throw new CniError(cniErrorCodes.decodingFailure, `plugin ${type} does not say which versions it supports`);
    return supportedVersions;
  }

  async #execute(
    command: CniCommand | "VERSION",
    type: string,
    config: object,
    place: Partial<Pick<Attachment, "containerId" | "netns" | "ifName" | "signal">> & { readonly args?: string } = {},
  ): Promise<unknown> {
    const { clock, path = defaultPluginPath, pluginTimeoutMs: timeoutMs } = this.#options;
    const timeout = timeoutMs === undefined ? {} : { timeoutMs };
    try {
      return await executePlugin({ ...place, command, type, config, path, clock, ...timeout });
    } catch (error) {
      const { code, message, details } = toCniError(error);
      throw new CniError(code, `plugin type="${type}" failed (${command.toLowerCase()}): ${message}`, { details, cause: error });
    }
  }
}

function withoutCapabilities({ capabilities: _said, ...fields }: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return fields;
}
