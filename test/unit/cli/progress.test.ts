import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { withProgress } from '../../../src/cli/progress.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function terminal(isTTY: boolean) {
  let written = '';
  const write = (text: string | Uint8Array) => {
    written += text;
    return true;
  };
  return { terminal: { isTTY, write }, text: () => written };
}

describe('progress', () => {
  it('is shown on a terminal after a second, and cleared at the end', async () => {
    const { terminal: shown, text } = terminal(true);
    const work = new Promise((resolve) => setTimeout(() => resolve('done'), 2_500));
    const watched = withProgress('bringing office up', work, shown);
    vi.advanceTimersByTime(900);
    expect(text()).toBe('');
    vi.advanceTimersByTime(1_200);
    expect(text()).toContain('bringing office up … 2 s');
    vi.advanceTimersByTime(1_000);
    expect(await watched).toBe('done');
    expect(text().endsWith('\r\u001b[K')).toBe(true);
  });

  it('is not written into a file', async () => {
    const { terminal: hidden, text } = terminal(false);
    const work = new Promise((resolve) => setTimeout(resolve, 2_500));
    const watched = withProgress('bringing office up', work, hidden);
    vi.advanceTimersByTime(3_000);
    await watched;
    expect(text()).toBe('');
  });
});
