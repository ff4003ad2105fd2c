/**
 * COOKIE as a responder (RFC 7296 §2.6): proof that the initiator is where it says, without state.
 *
 *     cookie = version | prf(secret_version, Ni | IPi | SPIi)
 *
 * The secret is replaced every minute while cookies are asked for; the last one stays good, so a
 * cookie holds for one to two minutes.
 */
import { equalsSecretly } from '../../crypto/auth.js';
import { type Prf, prf, prfById } from '../../crypto/prf.js';
import { Secret } from '../../crypto/secret.js';
import { type IkeSpi, ikeSpiBytes, PRF } from '../../wire/index.js';
import type { Environment, Milliseconds } from '../event.js';

const SECRET_LIFETIME: Milliseconds = 60_000;
const HMAC: Prf = prfById(PRF.PRF_HMAC_SHA2_256)!;

interface CookieSecret {
  readonly version: number;
  readonly secret: Secret;
  readonly at: Milliseconds;
}

/** What a cookie binds. */
export interface CookieInput {
  readonly ni: Uint8Array;
  readonly address: Uint8Array;
  readonly initiatorSpi: IkeSpi;
}

export class CookieJar {
  readonly #environment: Environment;
  #current: CookieSecret | undefined;
  #previous: CookieSecret | undefined;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  make(input: CookieInput, now: Milliseconds): Uint8Array<ArrayBuffer> {
    return cookie(this.#secretFor(now), input);
  }

  isGood(received: Uint8Array, input: CookieInput, now: Milliseconds): boolean {
    this.#secretFor(now);
    const known = [this.#current, this.#previous].find(
      (candidate) => candidate !== undefined && candidate.version === received[0],
    );
    return known !== undefined && equalsSecretly(received, cookie(known, input));
  }

  #secretFor(now: Milliseconds): CookieSecret {
    const age = this.#current === undefined ? Number.POSITIVE_INFINITY : now - this.#current.at;
    if (this.#current === undefined || age > SECRET_LIFETIME) {
      this.#previous?.secret.wipe();
      // After a long pause the last secret is as old as the pause, and goes too.
      if (age > 2 * SECRET_LIFETIME) this.#current?.secret.wipe();
      this.#previous = age > 2 * SECRET_LIFETIME ? undefined : this.#current;
      const random = this.#environment.random(32);
      const version = ((this.#current?.version ?? 0) + 1) & 0xff;
      this.#current = { version, secret: new Secret(random), at: now };
      random.fill(0);
    }
    return this.#current;
  }
}

function cookie(
  { version, secret }: CookieSecret,
  { ni, address, initiatorSpi }: CookieInput,
): Uint8Array<ArrayBuffer> {
  const mac = prf(HMAC, secret.bytes, ni, address, ikeSpiBytes(initiatorSpi));
  return Uint8Array.of(version, ...mac);
}
