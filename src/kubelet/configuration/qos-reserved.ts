// qosReserved: how much of what pods request is kept from the classes of service below theirs, in percent. Memory alone.
import { ConfigError } from "../../api/encode/config-fields.ts";

/** Percent of memory; undefined where nothing is kept. Throws ConfigError in upstream's words. */
export function reservedMemoryPercent(qosReserved: Readonly<Record<string, string>>): number | undefined {
  let percent: number | undefined;
  for (const [name, amount] of Object.entries(qosReserved)) {
    if (name !== "memory") throw new ConfigError(`cannot reserve ${JSON.stringify(name)} resource`);
    percent = percentOf(amount);
  }
  return percent;
}

function percentOf(amount: string): number {
  const failed = (why: string): ConfigError =>
    new ConfigError(`failed to parse percentage ${JSON.stringify(amount)} for "memory" resource: ${why}`);
  if (!amount.endsWith("%")) throw failed(`percentage expected, got '${amount}'`);
  const written = amount.replace(/%+$/, "");
  if (!/^[+-]?\d+$/.test(written)) throw failed(`invalid number in percentage '${amount}'`);
  const percent = Number(written);
  if (percent < 0 || percent > 100) throw failed("percentage must be between 0 and 100");
  return percent;
}
