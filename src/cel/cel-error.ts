// Why an evaluation has no value.

/** What ends an evaluation that would take more than any budget allows. */
export const exceededBudget = (cause?: Error): CelError =>
  new CelError("operation cancelled: actual cost limit exceeded", { exceededBudget: true, cause });

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
