import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CryptoJob, CryptoJobResult } from '../../../src/crypto/job.js';
import { Secret } from '../../../src/crypto/secret.js';
import { type JobRunner, openPool } from '../../../src/workers/pool.js';
import {
  packJob,
  packResult,
  transferOf,
  unpackJob,
  unpackResult,
} from '../../../src/workers/portable.js';
import { compileIfStale } from '../../compiled.js';

let pool: JobRunner;

beforeAll(() => {
  compileIfStale();
  pool = openPool(2);
}, 60_000);
afterAll(() => pool.close());

async function run(job: CryptoJob): Promise<CryptoJobResult> {
  return unpackResult(await pool.run(packJob(job)));
}

function generated(result: CryptoJobResult) {
  if (result.type !== 'generated') throw new Error(`not generated: ${result.type}`);
  return result;
}

describe('the pool of threads', () => {
  it('agrees on one shared secret from both sides', async () => {
    const [a, b] = [
      generated(await run({ type: 'generate', group: 14 })),
      generated(await run({ type: 'generate', group: 14 })),
    ];
    expect(a.publicValue.length).toBe(256);
    const sides = await Promise.all([
      run({ type: 'derive', group: 14, privateKey: a.privateKey, peerPublic: b.publicValue }),
      run({ type: 'derive', group: 14, privateKey: b.privateKey, peerPublic: a.publicValue }),
    ]);
    const secrets = sides.map((result) => {
      if (result.type !== 'derived') throw new Error(JSON.stringify(result));
      return createHash('sha256').update(result.sharedSecret.bytes).digest('hex');
    });
    expect(secrets[0]).toBe(secrets[1]);
  });

  it('leaves no private key behind where it was sent from', async () => {
    const { privateKey, publicValue } = generated(await run({ type: 'generate', group: 14 }));
    const memory = privateKey.bytes.buffer;
    const job = packJob({ type: 'derive', group: 14, privateKey, peerPublic: publicValue });
    expect(privateKey.byteLength).toBe(0);
    const result = pool.run(job);
    expect(memory.byteLength).toBe(0);
    await result;
  });

  it('answers with the reason where a public value is refused', async () => {
    const { privateKey } = generated(await run({ type: 'generate', group: 14 }));
    // RFC 6989 §2.1: 1 is no public value.
    const peerPublic = new Uint8Array(256);
    peerPublic[255] = 1;
    const result = await run({ type: 'derive', group: 14, privateKey, peerPublic });
    expect(result.type).toBe('failed');
  });
});

describe('a secret between threads', () => {
  it('is wiped where it arrives, once it is a Secret again', () => {
    const key = Uint8Array.of(1, 2, 3, 4);
    const derive = { type: 'derive', group: 14, peerPublic: new Uint8Array(0) } as const;
    const packed = packJob({ ...derive, privateKey: new Secret(key) });
    const [memory] = transferOf(packed);
    const job = unpackJob(packed);
    expect(job.type === 'derive' && [...job.privateKey.bytes]).toEqual([...key]);
    expect([...new Uint8Array(memory!)]).toEqual([0, 0, 0, 0]);

    const result = packResult({ type: 'derived', sharedSecret: new Secret(key) });
    const [shared] = transferOf(result);
    const unpacked = unpackResult(result);
    expect(unpacked.type === 'derived' && [...unpacked.sharedSecret.bytes]).toEqual([...key]);
    expect([...new Uint8Array(shared!)]).toEqual([0, 0, 0, 0]);
  });
});
