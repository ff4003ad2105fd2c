import { describe, expect, it } from 'vitest';
import { completion } from '../../../src/cli/completion.js';
import { manPages } from '../../../src/cli/man.js';
import { makeProgram } from '../../../src/cli/program.js';

const program = await makeProgram();
const commands = program.commands.filter((command) => !command.name().endsWith('-names'));

describe('what is made from the commands', () => {
  const pages = manPages(program);

  it('man pages name every command, option and key, in ASCII', () => {
    const [tool, file] = [pages['man1/esplane.1']!, pages['man5/esplane.toml.5']!];
    for (const command of commands) expect(tool).toContain(`esplane ${command.name()}`);
    expect(tool).toContain('.B "\\-\\-reauth"');
    for (const key of [
      'lan = ',
      'local.address = ',
      'psk_file = ',
      'replay_window = 0 to 131072',
    ]) {
      expect(file).toContain(`.B "${key}`);
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what troff takes
    expect(`${tool}${file}`).toMatch(/^[\x00-\x7f]*$/);
  });

  it('man pages have no line that troff would take for a command of its own', () => {
    const known = /^\.(TH|SH|SS|TP|B|BR|RI|nh|ad|nf|fi)\b/;
    for (const line of Object.values(pages).join('').split('\n')) {
      if (/^[.']/.test(line)) expect(line).toMatch(known);
    }
  });

  it('completions of every shell have every command', () => {
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const text = completion(program, shell);
      for (const command of commands) {
        if (command.name() !== 'help') expect(text).toContain(command.name());
      }
    }
  });
});
