// Device classes, and which of them stands behind an extended resource: a class may name one, and each has
// "deviceclass.resource.kubernetes.io/NAME". Where two name the same resource, the newer class has it, then the one whose
// name comes first.
import type { DeviceClass } from "../../api/types/resource-v1.ts";
import type { Informer } from "../../client/informer.ts";

const byResource = "extendedResourceName";
const implicitPrefix = "deviceclass.resource.kubernetes.io/";

const resourceOf = ({ spec }: DeviceClass): readonly string[] => (spec.extendedResourceName ? [spec.extendedResourceName] : []);

export class DeviceClasses {
  readonly #informer: Informer<DeviceClass>;

  constructor(informer: Informer<DeviceClass>) {
    this.#informer = informer;
    informer.addIndex(byResource, resourceOf);
  }

  get(name: string): DeviceClass | undefined {
    return this.#informer.get(name);
  }

  /** Without classes no resource is backed by devices. */
  get isEmpty(): boolean {
    return this.#informer.size === 0;
  }

  /** The class whose devices an extended resource stands for. */
  forResource(name: string): DeviceClass | undefined {
    if (this.isEmpty) return undefined;
    if (name.startsWith(implicitPrefix)) return this.get(name.slice(implicitPrefix.length));
    const classes = this.#informer.byIndex(byResource, name);
    return classes.length < 2 ? classes[0] : [...classes].sort(preferredFirst)[0];
  }
}

function preferredFirst(a: DeviceClass, b: DeviceClass): number {
  const age = Date.parse(b.metadata.creationTimestamp) - Date.parse(a.metadata.creationTimestamp);
  return age || (a.metadata.name < b.metadata.name ? -1 : 1);
}

/** Whether a class has, or has newly got, one of these resources. */
export function bringsResource(requests: Readonly<Record<string, number>>, before: DeviceClass | undefined, after: DeviceClass): boolean {
  const named = after.spec.extendedResourceName;
  if (before) return named !== undefined && named !== before.spec.extendedResourceName && requests[named] !== undefined;
  return requests[implicitPrefix + after.metadata.name] !== undefined || (named !== undefined && requests[named] !== undefined);
}
