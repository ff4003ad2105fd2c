/** What is going on, told on a terminal once it takes longer than a second. */

const PATIENCE_MS = 1_000;
const REFRESH_MS = 250;
const CLEAR_LINE = '\r\u001b[K';

/** @param doing  such as `waiting for office` */
export async function withProgress<T>(
  doing: string,
  work: Promise<T>,
  terminal: Pick<NodeJS.WriteStream, 'isTTY' | 'write'> = process.stderr,
): Promise<T> {
  if (!terminal.isTTY) return work;
  const began = performance.now();
  let shown = false;
  const timer = setInterval(() => {
    const elapsed = performance.now() - began;
    if (elapsed < PATIENCE_MS) return;
    shown = true;
    terminal.write(`${CLEAR_LINE}${doing} … ${Math.floor(elapsed / 1000)} s`);
  }, REFRESH_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (shown) terminal.write(CLEAR_LINE);
  }
}

/** Steps that block the process, each told before it begins, on a terminal and after a second. */
export class StepProgress {
  readonly #terminal: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>;
  readonly #began = performance.now();
  #shown = false;

  constructor(terminal: Pick<NodeJS.WriteStream, 'isTTY' | 'write'> = process.stderr) {
    this.#terminal = terminal;
  }

  /** @param total  of steps, where it is known */
  show(doing: string, step: number, total?: number): void {
    if (!this.#terminal.isTTY || performance.now() - this.#began < PATIENCE_MS) return;
    this.#shown = true;
    this.#terminal.write(
      `${CLEAR_LINE}${step}${total === undefined ? '' : `/${total}`}  ${doing} …`,
    );
  }

  clear(): void {
    if (this.#shown) this.#terminal.write(CLEAR_LINE);
    this.#shown = false;
  }
}
