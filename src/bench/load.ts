/** What else a machine does while it is measured. */

/** A machine that does other work shows less than it can. */
const BUSY_LOAD = 0.5;

/** @param load  runnable processes on average before it began (the first load average) */
export function isBusy(load: number): boolean {
  return load >= BUSY_LOAD;
}

/** For the head of a report. */
export function loadFact(load: number): readonly [string, string] {
  const consequence = isBusy(load) ? ', which takes from what is measured' : '';
  return ['load before', `${load.toFixed(1)}${consequence}`];
}
