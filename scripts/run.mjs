// Runs commands for the other scripts: timed, in a process group of their own, and none of them
// outlives us. A failure shows the command, its last lines and a hint.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

const kept = 400; // lines of output kept of a quiet command
const shown = 30; // lines of them shown when it fails
const graceMilliseconds = 10_000;
const groups = new Set();

export class CommandError extends Error {
  name = 'CommandError';

  constructor(command, reason, lines, hint) {
    const tail = lines.slice(-shown).map((line) => `    ${line}`);
    super([`${command}: ${reason}`, ...tail, ...(hint ? [`  hint: ${hint}`] : [])].join('\n'));
    this.reason = reason;
    this.lines = lines;
  }
}

/**
 * Runs a command and resolves to its exit code and output lines.
 * @param {string[]} command
 * @param {object} options
 * @param {boolean} [options.show] pass the output through (it is kept as well)
 * @param {number} [options.timeoutSeconds] ends the whole process group
 * @param {boolean} [options.check] throw a CommandError unless it exits with 0 (default)
 * @param {string} [options.hint] what to do when it fails
 */
export async function run(command, options = {}) {
  const { show = false, timeoutSeconds = 1800, check = true, hint, env = {} } = options;
  const [file, ...args] = command;
  const title = command.map((word) => word.replace(root, '')).join(' ');
  const lines = [];
  const child = spawn(file, args, {
    cwd: root,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (child.pid !== undefined) groups.add(child.pid);
  const keep = collector(lines);
  child.stdout.on('data', (data) => keep(data, show && process.stdout));
  child.stderr.on('data', (data) => keep(data, show && process.stderr));
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    endGroup(child.pid);
  }, timeoutSeconds * 1000);

  const { code, signal, error } = await new Promise((resolve) => {
    child.on('error', (error) => resolve({ error }));
    // `close` waits for whoever still holds the pipe: a stray grandchild must not hang us.
    child.on('exit', (code, signal) => {
      child.on('close', () => resolve({ code, signal }));
      setTimeout(() => resolve({ code, signal }), 2000).unref();
    });
  });
  clearTimeout(timer);
  endGroup(child.pid, 'SIGKILL');
  groups.delete(child.pid);
  if (check && code !== 0) {
    let reason = `exit code ${code}`;
    if (signal) reason = `ended by ${signal}`;
    if (timedOut) reason = `did not end within ${timeoutSeconds} s`;
    if (error) reason = error.message;
    throw new CommandError(title, reason, lines, hint);
  }
  return { code: timedOut || error ? 124 : (code ?? 128), lines, timedOut };
}

/** A writer that splits what it gets into lines and keeps the last of them. */
function collector(lines) {
  let rest = '';
  return (data, through) => {
    if (through) through.write(data);
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop();
    lines.push(...parts);
    if (lines.length > kept) lines.splice(0, lines.length - kept);
  };
}

function endGroup(pid, signal = 'SIGTERM') {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    return; // already gone
  }
  if (signal === 'SIGTERM') setTimeout(() => endGroup(pid, 'SIGKILL'), graceMilliseconds).unref();
}

/** On Ctrl-C or a kill, the commands get SIGTERM and some seconds, then SIGKILL. */
export function endCommandsOnSignals() {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]) {
    process.once(signal, () => {
      for (const pid of groups) endGroup(pid);
      const started = Date.now();
      setInterval(() => {
        if (groups.size === 0 || Date.now() - started > graceMilliseconds) process.exit(code);
      }, 50);
    });
  }
  process.on('exit', () => {
    for (const pid of groups) endGroup(pid, 'SIGKILL');
  });
}

/** Runs one step, and says its name and how long it took. */
export async function timed(name, step, out = process.stderr) {
  const started = performance.now();
  out.write(`${name} ... `);
  try {
    const result = await step();
    out.write(`${secondsSince(started)}\n`);
    return result;
  } catch (error) {
    out.write(`failed after ${secondsSince(started)}\n`);
    throw error;
  }
}

export function secondsSince(started) {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

/** Runs a script's main function; an error is printed without a stack where it explains itself. */
export async function main(body) {
  endCommandsOnSignals();
  try {
    await body();
  } catch (error) {
    console.error(error instanceof CommandError ? error.message : error);
    process.exitCode = 1;
  }
}

export const isMain = (url) => process.argv[1] === fileURLToPath(url);
