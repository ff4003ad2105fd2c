import { expect, it } from 'vitest';
import type { GatewayConfig } from '../../../src/config/gateway-config.js';
import { Reconfigure, type ReconfigureParts } from '../../../src/gateway/reconfigure.js';

it('a gateway that stops ends with the change that is under way, and begins no other', async () => {
  let reads = 0;
  const load = () => {
    reads++;
    throw new Error('there is no file any more');
  };
  const parts = { load } as unknown as ReconfigureParts;
  const configuration = new Reconfigure({} as GatewayConfig, parts);
  const underWay = configuration.apply().catch((error: Error) => error.message);
  await configuration.close();
  expect(reads).toBe(1);
  expect(await underWay).toBe('there is no file any more');
  await expect(configuration.apply()).rejects.toThrow('the gateway stops');
  expect(reads).toBe(1);
});
