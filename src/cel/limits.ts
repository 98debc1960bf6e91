// The limits of expressions, upstream's defaults.

/** Characters of an expression. */
export const maxExpressionSize = 100_000;
/** How deep expressions may be nested in each other; and operators, selections and calls, of which a chain is a nest too. */
export const maxRecursion = 250;
/** How often the explanation of a syntax error goes on after one. */
export const maxRecoveries = 30;
/** The most that an evaluation may cost, where the caller sets no limit: upstream's per call. */
export const defaultCostLimit = 1_000_000;
/** Characters of a text, and items of a list, that an evaluation makes: more would cost more than any budget, or nothing at all. */
export const maxTextSize = 100_000_000;
export const maxListSize = 10_000_000;
/**
 * Where costs and sizes saturate, standing for upstream's largest unsigned integer: a quantity that reaches it is unbounded.
 * Costs below 2^53 are exact.
 */
export const maxCelCost = 2 ** 64;
