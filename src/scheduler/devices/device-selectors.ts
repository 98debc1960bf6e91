// Selectors of device classes and requests, compiled once and asked once for each device: devices are immutable, so what a
// selector says of one stays true as long as the driver does not publish it anew.
import { type CompiledDeviceSelector, compileDeviceSelector } from "../../api/cel/device-selector.ts";
import type { Device } from "../../api/types/resource-v1.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { PoolDevice } from "./device-pools.ts";

interface Known {
  readonly compiled: CompiledDeviceSelector;
  readonly answers: WeakMap<Device, boolean>;
}

const maxCompiled = 200;

/** A selector that cannot be evaluated; the message says why. */
export class SelectorError extends Error {
  override name = "SelectorError";
}

export class DeviceSelectors {
  readonly #known = new LruMap<string, Known>(maxCompiled);

  /** Throws SelectorError. */
  matches(expression: string, { device, slice }: PoolDevice): boolean {
    const { compiled, answers } = this.#compiled(expression);
    const known = answers.get(device);
    if (known !== undefined) return known;
    if (!compiled.matches) throw new SelectorError(`CEL compile error: ${compiled.problem}`);
    try {
      const answer = compiled.matches({ ...device, driver: slice.spec.driver });
      answers.set(device, answer);
      return answer;
    } catch (error) {
      throw new SelectorError(`CEL runtime error: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  #compiled(expression: string): Known {
    let known = this.#known.get(expression);
    if (!known) {
      known = { compiled: compileDeviceSelector(expression), answers: new WeakMap() };
      this.#known.set(expression, known);
    }
    return known;
  }
}
