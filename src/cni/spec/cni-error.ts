// What a CNI plugin answers where it fails (specification 1.1.0, section 5): a code, a short message, and details. Codes from 100
// are the plugins' own.

export const cniErrorCodes = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  limitedConnectivity: 51,
  /** Of a plugin that gives no other. */
  internal: 999,
} as const;

export class CniError extends Error {
  override name = "CniError";
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, { details = "", cause }: { readonly details?: string; readonly cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}

export const invalidConfig = (message: string): CniError => new CniError(cniErrorCodes.invalidConfig, message);
export const failed = (message: string, cause?: unknown): CniError =>
  new CniError(cniErrorCodes.internal, message, cause === undefined ? {} : { cause });

/** Any error, as a plugin answers it. */
export function toCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  return new CniError(cniErrorCodes.internal, error instanceof Error ? error.message : String(error), { cause: error });
}

/** The object on standard output. */
export function renderCniError(error: unknown, cniVersion: string): object {
  const { code, message, details } = toCniError(error);
  return { cniVersion, code, msg: message, ...(details === "" ? {} : { details }) };
}
