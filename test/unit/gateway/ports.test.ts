/** Ports of a running gateway over a dataplane that records what is asked of it. */
import { describe, expect, it } from 'vitest';
import type { PortOptions, PortStatus } from '../../../src/dataplane/dataplane.js';
import { Ports } from '../../../src/gateway/ports.js';
import type { Log } from '../../../src/log.js';

const lan: PortOptions = { name: 'lan0', role: 'lan', kind: 'auto', device: 'lan0', queues: 0 };
const wan: PortOptions = { ...lan, name: 'wan0', role: 'wan', device: 'wan0' };

/** @param refused  what cannot be had, as `role name` */
function gateway(...refused: readonly string[]) {
  const done: string[] = [];
  const errors: string[] = [];
  const ports = new Ports({
    dataplane: {
      addPort(port) {
        const what = `${port.role} ${port.name}`;
        if (refused.includes(what)) throw new Error(`no ${what}`);
        done.push(`+ ${what}`);
        const none = { rxPackets: 0n, txPackets: 0n, rxDropped: 0n, txFull: 0n };
        return { ...port, number: 0, mode: 'memory', note: '', ...none } as PortStatus;
      },
      removePort: (name) => void done.push(`- ${name}`),
    },
    log: { info() {}, error: (text: string) => errors.push(text) } as unknown as Log,
  });
  return { ports, done, errors };
}

describe('the ports of a gateway', () => {
  it('are opened before others are taken away, and those that stay are left alone', () => {
    const { ports, done } = gateway();
    ports.provide([lan, wan]);
    const after = [lan, { ...wan, name: 'wan1', device: 'wan1' }];
    ports.provide(after);
    expect(done.splice(0)).toEqual(['+ lan lan0', '+ wan wan0', '+ wan wan1']);
    ports.retain(after);
    ports.retain(after);
    expect(done).toEqual(['- wan0']);
  });

  it('of the same device are closed before they are opened otherwise', () => {
    const { ports, done } = gateway();
    ports.provide([lan, wan]);
    ports.provide([lan, { ...wan, role: 'lan' }]);
    expect(done.slice(2)).toEqual(['- wan0', '+ lan wan0']);
  });

  it('are as before where one cannot be had otherwise', () => {
    const { ports, done, errors } = gateway('lan wan0');
    ports.provide([lan, wan]);
    expect(() => ports.provide([lan, { ...wan, role: 'lan' }])).toThrow('no lan wan0');
    expect(done.slice(2)).toEqual(['- wan0', '+ wan wan0']);
    expect(errors).toEqual([]);
    ports.provide([lan, wan]);
    expect(done.length).toBe(4);
  });
});
