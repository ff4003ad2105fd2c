/** What the doctor says of one thing that it looked at. */
export interface Finding {
  readonly about: string;
  /** ok; note: could be better; bad: the gateway does not work, or far below what it could. */
  readonly level: 'ok' | 'note' | 'bad';
  readonly found: string;
  /** What it costs, where it is not as it should be. */
  readonly cost?: string;
  /** A command, or what to do, that mends it. */
  readonly mend?: string;
}

export const ok = (about: string, found: string): Finding => ({ about, level: 'ok', found });

export const note = (about: string, found: string, cost: string, mend: string): Finding => ({
  ...{ about, level: 'note', found, cost, mend },
});

export const bad = (about: string, found: string, cost: string, mend: string): Finding => ({
  ...{ about, level: 'bad', found, cost, mend },
});
