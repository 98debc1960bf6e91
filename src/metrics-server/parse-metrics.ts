// Reads a kubelet's /metrics/resource: what its node and the containers there had used at some moment. Lines of other families
// are passed over, and so is what does not parse. A pod of which not all containers are known completely is left out: less than
// all of it would look like all.

/** Of a node or container at one moment. */
export interface Point {
  /** Milliseconds since 1970, by the node's clock. */
  readonly timeMs: number;
  /** CPU time since the start. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  /** When the container was started; undefined for nodes. */
  readonly startMs?: number;
}

export interface NodePoints {
  readonly node?: Point;
  /** "namespace/name" of a pod → container → its point. */
  readonly pods: ReadonlyMap<string, ReadonlyMap<string, Point>>;
}

interface Partial {
  timeMs?: number;
  cpuSeconds?: number;
  memoryBytes?: number;
  startMs?: number;
}

type Field = "cpuSeconds" | "memoryBytes" | "startMs";

const containerFields: Readonly<Record<string, Field>> = {
  container_cpu_usage_seconds_total: "cpuSeconds",
  container_memory_working_set_bytes: "memoryBytes",
  container_start_time_seconds: "startMs",
};
const nodeFields: Readonly<Record<string, Field>> = {
  node_cpu_usage_seconds_total: "cpuSeconds",
  node_memory_working_set_bytes: "memoryBytes",
};

/** `receivedAtMs`: the time of values that have none. */
export function parseResourceMetrics(text: string, receivedAtMs: number): NodePoints {
  const node: Partial = {};
  const pods = new Map<string, Map<string, Partial>>();
  for (const line of text.split("\n")) {
    if (line.startsWith("node_")) readLine(line, nodeFields, receivedAtMs, () => node);
    else if (line.startsWith("container_"))
      readLine(line, containerFields, receivedAtMs, (labels) => {
        const { namespace = "", pod = "", container = "" } = labels;
        if (pod === "" || container === "") return undefined;
        return entryOf(pods, namespace, pod, container);
      });
  }
  const complete = pointOf(node);
  const whole = [...pods].flatMap(([key, containers]) => {
    const points = completePoints(containers);
    return points.size === containers.size ? [[key, points] as const] : [];
  });
  return { pods: new Map(whole), ...(complete ? { node: complete } : {}) };
}

function entryOf(pods: Map<string, Map<string, Partial>>, namespace: string, pod: string, container: string): Partial {
  const key = `${namespace}/${pod}`;
  let containers = pods.get(key);
  if (!containers) pods.set(key, (containers = new Map<string, Partial>()));
  let entry = containers.get(container);
  if (!entry) containers.set(container, (entry = {}));
  return entry;
}

function readLine(
  line: string,
  fields: Readonly<Record<string, Field>>,
  receivedAtMs: number,
  entryFor: (labels: Readonly<Record<string, string>>) => Partial | undefined,
): void {
  const name = /^[a-z_]+/.exec(line)?.[0] ?? "";
  const field = fields[name];
  if (field === undefined) return;
  const end = line.startsWith("{", name.length) ? line.lastIndexOf("}") + 1 : name.length;
  const [value = "", time] = line.slice(end).trim().split(/\s+/);
  const number = Number(value);
  if (value === "" || !Number.isFinite(number)) return;
  const entry = entryFor(labelsOf(line.slice(name.length, end)));
  if (!entry) return;
  if (field === "startMs") entry.startMs = number * 1000;
  else entry[field] = number;
  // Both readings of one thing are of about the same moment: the rate is that of the CPU's.
  if (field === "cpuSeconds") entry.timeMs = time === undefined ? receivedAtMs : Number(time);
}

/** Of `{container="a",pod="b"}`; Kubernetes' names need no escapes. */
function labelsOf(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  for (const [, name = "", value = ""] of text.matchAll(/([a-z_]+)="([^"]*)"/g)) labels[name] = value;
  return labels;
}

function completePoints(containers: ReadonlyMap<string, Partial>): ReadonlyMap<string, Point> {
  return new Map(
    [...containers].flatMap(([name, partial]) => {
      const point = pointOf(partial);
      return point ? [[name, point] as const] : [];
    }),
  );
}

function pointOf({ timeMs, cpuSeconds, memoryBytes, startMs }: Partial): Point | undefined {
  if (timeMs === undefined || cpuSeconds === undefined || memoryBytes === undefined) return undefined;
  return { timeMs, cpuSeconds, memoryBytes, ...(startMs === undefined ? {} : { startMs }) };
}
