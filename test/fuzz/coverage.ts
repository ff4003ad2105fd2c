/** Which blocks of the modules under test have run, as V8 counts them for its own coverage. */
import { type Profiler, Session } from 'node:inspector';

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();
  readonly #isTested: (url: string) => boolean;

  constructor(isTested: (url: string) => boolean) {
    this.#isTested = isTested;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Blocks that have run up to now. */
  get size(): number {
    return this.#seen.size;
  }

  /** The blocks that have run since the last look, and never before that one. */
  look(): string[] {
    const fresh: string[] = [];
    for (const { url, functions } of this.#take()) {
      if (!this.#isTested(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          const block = `${url} ${startOffset} ${endOffset}`;
          if (count > 0 && !this.#seen.has(block)) fresh.push(block);
        }
      }
    }
    return fresh;
  }

  keep(blocks: readonly string[]): void {
    for (const block of blocks) this.#seen.add(block);
  }

  /** In the same process the answer comes before `post` returns. */
  #take(): readonly Profiler.ScriptCoverage[] {
    let taken: readonly Profiler.ScriptCoverage[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      taken = result;
    });
    return taken;
  }

  stop(): void {
    this.#session.disconnect();
  }
}
