/**
 * The programs that bench/ike/setups.ts runs in namespaces of its own:
 *
 *   responder FILE          a gateway from the configuration, over memory ports; says `ready`
 *   initiator FILE SECONDS  sets up each connection of the configuration, takes it down and sets it
 *                           up again, as fast as the peer lets it; says `warm`, then JSON
 *
 * The initiator is one IKE core with a SAD in memory, and the same for every responder.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../src/config/load.js';
import type { PortOptions } from '../src/dataplane/dataplane.js';
import { Ike } from '../src/ike/ike.js';
import { createLog } from '../src/log.js';
import { memoryParts, runGateway } from '../src/main.js';
import { monotonicNow } from '../src/net/clock.js';
import { UdpTransport } from '../src/net/udp.js';
import { FakeSad } from '../src/sad/fake-sad.js';
import { IkeShard } from '../src/workers/ike-shard.js';
import type { FromWorker } from '../src/workers/messages.js';
import { packConnection } from '../src/workers/portable.js';

/** Set-ups after which the compilers of both sides have done their work. */
const WARM_UP_SETUPS = 3_000;

function say(text: string): void {
  writeSync(1, `${text}\n`);
}

async function respond(file: string): Promise<void> {
  const config = loadConfig(file);
  const [connection] = config.connections;
  const parts = memoryParts({
    log: createLog({ level: 'info', format: 'text', write: () => {} }),
    transport: new UdpTransport(),
    localAddresses: [connection!.local.address],
    reinjectLink: 'setups-kernel',
  });
  const port = (role: 'lan' | 'wan'): PortOptions => {
    const link = `setups-${role}`;
    return { kind: 'memory', queues: 1, name: role, device: role, role, link };
  };
  await runGateway({ ...config, ports: [port('lan'), port('wan')] }, parts);
  say('ready');
}

class Initiator {
  readonly #transport = new UdpTransport();
  readonly #shard: IkeShard;
  #setups = 0;
  #failures = 0;

  constructor() {
    this.#shard = new IkeShard({
      shard: 0,
      shards: 1,
      makeCore: (environment) => new Ike(environment),
      sad: new FakeSad(),
      now: monotonicNow,
      spiKey: this.#transport.spiKey,
      post: (message) => this.#take(message),
    });
    this.#transport.onDatagram((datagram) =>
      this.#shard.receive({ type: 'datagram', ...datagram }),
    );
  }

  async run(file: string, seconds: number): Promise<void> {
    const { connections } = loadConfig(file);
    const names = connections.map(({ name }) => name);
    await this.#transport.open([connections[0]!.local.address]);
    const packed = connections.map(packConnection);
    this.#shard.receive({ type: 'connections', names, connections: packed });
    for (const connection of names) this.#shard.receive({ type: 'initiate', connection });
    while (this.#setups < WARM_UP_SETUPS) await sleep(50);
    say('warm');
    const [before, began] = [this.#setups, performance.now()];
    await sleep(seconds * 1000);
    const setups = this.#setups - before;
    const elapsed = (performance.now() - began) / 1000;
    say(JSON.stringify({ setups, seconds: elapsed, failures: this.#failures }));
  }

  #take(message: FromWorker): void {
    switch (message.type) {
      case 'send':
        this.#transport.send(message.local, message.remote, message.marker, message.data);
        break;
      case 'spi':
        if (message.state === 'installed') this.#installed(message.policy!);
        break;
      case 'ike-closed':
        this.#soon('initiate', message.connection!);
        break;
      case 'failed':
        this.#failures++;
        this.#soon('initiate', message.connection!);
        break;
    }
  }

  /** The Child SA is there: a set-up is over. */
  #installed(policy: string): void {
    this.#setups++;
    this.#soon('terminate', policy.split('/')[0]!);
  }

  #soon(type: 'initiate' | 'terminate', connection: string): void {
    setImmediate(() => this.#shard.receive({ type, connection }));
  }
}

const [role, file, seconds] = process.argv.slice(2);
if (role === 'responder') await respond(file!);
else {
  await new Initiator().run(file!, Number(seconds));
  process.exit();
}
