// The plugin `coracle`: a chain of plugins as one, so that a pod is attached by one call of the runtime. Its configuration lists
// theirs under `plugins`, as a network configuration does; each gets what it would get from the runtime.
import { invalidConfig } from "../spec/cni-error.ts";
import type { CniResult } from "../spec/result.ts";
import { asObject, listField, textField } from "./config-fields.ts";
import type { CniCall, CniEffects, CniPlugin, PluginConfig } from "./plugin.ts";

export const chain: CniPlugin = {
  async add(call, effects) {
    const links = linksOf(call);
    let result: CniResult | undefined = call.config.prevResult;
    for (const [index, link] of links.entries()) {
      try {
        result = await effects.delegate("ADD", link.type, linkCall(call, link, result));
      } catch (error) {
        // The one that failed has left nothing behind: it may be that the container is attached already.
        await undo(call, links.slice(0, index), result, effects);
        throw error;
      }
    }
    return result ?? {};
  },
  async del(call, effects) {
    for (const link of linksOf(call).toReversed()) await effects.delegate("DEL", link.type, linkCall(call, link, call.config.prevResult));
  },
  async check(call, effects) {
    for (const link of linksOf(call)) await effects.delegate("CHECK", link.type, linkCall(call, link, call.config.prevResult));
  },
  async status(call, effects) {
    for (const link of linksOf(call)) await effects.delegate("STATUS", link.type, linkCall(call, link, undefined));
  },
  async gc(call, effects) {
    const errors: unknown[] = [];
    for (const link of linksOf(call))
      await effects.delegate("GC", link.type, linkCall(call, link, undefined)).catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw new AggregateError(errors, errors.map((error) => (error as Error).message).join("; "));
  },
};

interface Link {
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function linksOf({ config }: CniCall): readonly Link[] {
  return listField(config, "plugins").map((entry) => {
    const fields = asObject(entry, "plugins");
    const type = textField(fields, "type");
    if (type === undefined || type === config.type) throw invalidConfig(`plugins: type of a plugin is ${JSON.stringify(fields.type)}`);
    return { type, fields };
  });
}

function linkCall(call: CniCall, { type, fields }: Link, prevResult: CniResult | undefined): CniCall {
  const { cniVersion, name, args, runtimeConfig = {} } = call.config;
  const { capabilities, ...own } = fields;
  const wanted = Object.entries(asObject(capabilities ?? {}, "capabilities")).filter(([, is]) => is === true);
  const given = wanted.flatMap(([capability]) => (capability in runtimeConfig ? [[capability, runtimeConfig[capability]]] : []));
  const valid = call.config["cni.dev/valid-attachments"];
  const config: PluginConfig = {
    ...own,
    ...{ cniVersion, name, type },
    ...(args === undefined ? {} : { args }),
    ...(given.length > 0 ? { runtimeConfig: Object.fromEntries(given) } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
    ...(valid === undefined ? {} : { "cni.dev/valid-attachments": valid }),
  };
  return { ...call, config };
}

async function undo(call: CniCall, links: readonly Link[], result: CniResult | undefined, effects: CniEffects): Promise<void> {
  for (const link of links.toReversed())
    await effects.delegate("DEL", link.type, linkCall(call, link, result)).catch((error: unknown) => {
      effects.warn("A plugin does not take back what it did for a container", { plugin: link.type, container: call.containerId, error });
    });
}
