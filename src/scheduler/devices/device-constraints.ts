// Constraints of a claim over the devices that it gets: all of them have the same value of an attribute, or all have
// different ones. Both are monotonic: what one device breaks, no further device mends.
import type { Device, DeviceAttribute, DeviceConstraint } from "../../api/types/resource-v1.ts";

/** Undefined for a constraint of a kind that is not known. */
export function constraintOf({ requests = [], matchAttribute, distinctAttribute }: DeviceConstraint): AttributeConstraint | undefined {
  const attribute = matchAttribute ?? distinctAttribute;
  return attribute === undefined ? undefined : new AttributeConstraint(attribute, requests, matchAttribute === undefined);
}

export class AttributeConstraint {
  readonly #domain: string;
  readonly #name: string;
  readonly #requests: ReadonlySet<string>;
  readonly #distinct: boolean;
  /** How many devices have a value. */
  readonly #values = new Map<string, number>();

  constructor(attribute: string, requests: readonly string[], distinct: boolean) {
    const slash = attribute.indexOf("/");
    this.#domain = attribute.slice(0, Math.max(0, slash));
    this.#name = attribute.slice(slash + 1);
    this.#requests = new Set(requests);
    this.#distinct = distinct;
  }

  /** Whether a device may be added for a request; then it counts until it is removed again. */
  add(ref: RequestRef, driver: string, device: Device): boolean {
    if (!this.#concerns(ref)) return true;
    const value = this.#valueOf(driver, device);
    if (value === undefined) return false;
    const fits = this.#distinct ? !this.#values.has(value) : this.#values.size === 0 || this.#values.has(value);
    if (fits) this.#values.set(value, (this.#values.get(value) ?? 0) + 1);
    return fits;
  }

  /** Of a device that was added. */
  remove(ref: RequestRef, driver: string, device: Device): void {
    const value = this.#concerns(ref) ? this.#valueOf(driver, device) : undefined;
    if (value === undefined) return;
    const left = (this.#values.get(value) ?? 0) - 1;
    if (left > 0) this.#values.set(value, left);
    else this.#values.delete(value);
  }

  #concerns({ request, ref }: RequestRef): boolean {
    return this.#requests.size === 0 || this.#requests.has(request) || this.#requests.has(ref);
  }

  #valueOf(driver: string, { attributes = {} }: Device): string | undefined {
    const full = this.#domain === "" ? undefined : attributes[`${this.#domain}/${this.#name}`];
    return textOf(full ?? (this.#domain === driver ? attributes[this.#name] : undefined));
  }
}

/** "gpu", and "gpu/small" for one of its alternatives; both the same without alternatives. */
export interface RequestRef {
  readonly request: string;
  readonly ref: string;
}

/** Values of different types are different. Lists are for a gate that is off. */
function textOf(attribute: DeviceAttribute | undefined): string | undefined {
  if (attribute?.string !== undefined) return `string ${attribute.string}`;
  if (attribute?.int !== undefined) return `int ${attribute.int}`;
  if (attribute?.bool !== undefined) return `bool ${attribute.bool}`;
  return attribute?.version === undefined ? undefined : `version ${attribute.version}`;
}
