/** The exit codes, which scripts may rely on. */
export const EXIT_CODES = {
  ok: 0,
  failed: 1,
  usage: 2,
  config: 3,
  unreachable: 4,
} as const;

/** Ends the command with a code; the message goes to standard error. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function exitCodeHelp(): string {
  return `
Exit codes:
  0  done
  1  failed (also: the connection did not come up, the daemon could not start)
  2  wrong usage
  3  the configuration has problems
  4  no daemon can be reached`;
}
