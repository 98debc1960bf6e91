// The limits of expressions, upstream's defaults.

/** Characters of an expression. */
export const maxExpressionSize = 100_000;
/** How deep one rule of the grammar may be nested in itself; a chain of + or of selections counts too. */
export const maxRecursion = 250;
/** How often the explanation of a syntax error goes on after one. */
export const maxRecoveries = 30;
