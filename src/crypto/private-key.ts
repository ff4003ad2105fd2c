/**
 * A private key for signatures. OpenSSL keeps its numbers: threads that are given the key share
 * them, they are overwritten when the last one has let go of it, and nothing prints them.
 */
import type { KeyObject } from 'node:crypto';

export type PrivateKey = KeyObject;
