#!/usr/bin/env node
/** The command `esplane`. */
import { EXIT_CODES, ExitError } from './exit.js';
import { makeProgram } from './program.js';

// Who reads our output may leave before its end, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_CODES.ok);
  throw error;
});

try {
  const program = await makeProgram(process.argv.slice(2));
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`esplane: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ExitError ? error.exitCode : EXIT_CODES.failed;
}
