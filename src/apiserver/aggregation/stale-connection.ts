/** A kept connection turned out to be closed before anything was answered; the cause says how. */
export class StaleConnection extends Error {}
