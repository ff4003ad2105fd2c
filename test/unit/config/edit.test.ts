import { describe, expect, it } from 'vitest';
import { setGatewayNumbers } from '../../../src/config/edit.js';

const text = `# ours
[gateway]
lan = ["lan0"]
workers = "auto"  # as many as there are
wan = ["wan0"]

[connection.office]
frames = 1
`;

describe('settings of [gateway]', () => {
  it('are changed where they stand, else added, all else untouched', () => {
    const edited = setGatewayNumbers(text, { workers: 2, frames: 5120 })!;
    expect(edited.text).toBe(
      text
        .replace('workers = "auto"  #', 'workers = 2  #')
        .replace('[gateway]\n', '[gateway]\nframes = 5120\n'),
    );
    expect(edited.lines).toEqual([
      {
        line: 4,
        before: 'workers = "auto"  # as many as there are',
        after: 'workers = 2  # as many as there are',
      },
      { line: 3, after: 'frames = 5120' },
    ]);
  });

  it('that are so already are left alone', () => {
    const done = setGatewayNumbers(text, { workers: 2 })!.text;
    expect(setGatewayNumbers(done, { workers: 2 })).toEqual({ text: done, lines: [] });
  });

  it('are not edited in an inline table, nor values of another form', () => {
    expect(setGatewayNumbers('gateway = { workers = 1 }\n', { workers: 2 })).toBeUndefined();
    expect(setGatewayNumbers('[gateway]\nworkers = 0x2\n', { workers: 2 })).toBeUndefined();
  });
});
