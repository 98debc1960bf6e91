// Why an evaluation has no value.

/** "no such key: x", "division by zero", "operation cancelled: actual cost limit exceeded". */
export class CelError extends Error {
  /** The budget ended it. */
  readonly exceededBudget: boolean;
  /** What was spent until then; set once the error leaves evaluate(). */
  cost = 0;

  constructor(message: string, options: { readonly exceededBudget?: boolean; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CelError";
    this.exceededBudget = options.exceededBudget ?? false;
  }
}
