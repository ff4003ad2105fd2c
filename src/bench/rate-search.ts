/** The highest rate without loss, by trials (RFC 2544 §26.1). */

/** What one trial showed. */
export interface Trial {
  /** Packets a second that were asked for. */
  readonly rate: number;
  readonly sent: number;
  readonly received: number;
}

export interface SearchOptions {
  /** Packets a second, at most; the first trial. */
  readonly most: number;
  /** Of packets sent, that may be lost; 0: none. */
  readonly loss: number;
  /** The search ends when two rates differ by no more than this part. */
  readonly resolution: number;
}

export interface SearchResult<T extends Trial> {
  /** That with the highest rate of those without loss; undefined: each lost some. */
  readonly best: T | undefined;
  readonly trials: readonly T[];
}

const MOST_TRIALS = 20;
const LEAST_RATE = 100;

/** @param run  sends at a rate for a while; what the generator cannot do is no loss */
export async function searchRate<T extends Trial>(
  { most, loss, resolution }: SearchOptions,
  run: (rate: number) => Promise<T>,
): Promise<SearchResult<T>> {
  const trials: T[] = [];
  let best: T | undefined;
  let [low, high] = [0, most];
  let rate = most;
  while (trials.length < MOST_TRIALS && rate >= LEAST_RATE) {
    const trial = await run(Math.round(rate));
    trials.push(trial);
    if (trial.sent > 0 && trial.sent - trial.received <= loss * trial.sent) {
      best = trial;
      low = rate;
    } else {
      high = rate;
    }
    if (high - low <= resolution * high) break;
    rate = (low + high) / 2;
  }
  return { best, trials };
}
