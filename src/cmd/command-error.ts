/** Something the user has to mend (a flag, a file, a port, the machine): printed as one line, exit code 1. */
export class CommandError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CommandError";
  }
}
