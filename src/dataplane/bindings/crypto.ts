/** The addon's engines, typed: native/addon/crypto_binding.cc and suite_binding.cc. */
import type { Cost } from './bench.js';

/** What the CPU offers and the operating system has enabled (native/base/cpu.h). */
export interface CpuFeatures {
  readonly aesni: boolean;
  readonly pclmul: boolean;
  readonly avx: boolean;
  readonly avx2: boolean;
  readonly vaes: boolean;
  readonly vpclmul: boolean;
  readonly avx512: boolean;
}

/** native/addon/crypto_binding.cc: what the CPU has, the AES-GCM kernels and their timing. */
export interface CryptoBinding {
  cpuFeatures(): CpuFeatures;
  /**
   * Kernels that this CPU can run, fastest first, and the one that the dataplane uses. `peers` are
   * what `benchGcm` can compare them with (native/addon/gcm_peers.h).
   */
  gcmKernels(): {
    readonly inUse: string;
    readonly available: readonly string[];
    readonly peers: readonly string[];
  };
  benchGcm(options: GcmBenchOptions): Cost & { readonly repetitions: number };
}

/** A row of native/crypto/suite.h. */
export interface CryptoSuite {
  /** Such as `AES-GCM-16-128` or `AES-CBC-256/HMAC-SHA2-256-128`. */
  readonly name: string;
  /** IANA transform IDs (RFC 7296 §3.3.2); 0: none. */
  readonly encryption: number;
  readonly integrity: number;
  readonly keyBits: number;
  /** `mac`: a cipher or none, and a MAC over everything (RFC 4303 §3.2.3). */
  readonly form: 'aead' | 'gmac' | 'mac';
  readonly encryptionKeyBytes: number;
  readonly saltBytes: number;
  readonly integrityKeyBytes: number;
  readonly ivBytes: number;
  readonly nonceBytes: number;
  readonly blockBytes: number;
  readonly icvBytes: number;
  /** Those that this CPU can run, the plain reference last. */
  readonly engines: readonly string[];
}

/** An implementation that was measured: sealing and opening taken together. */
export interface Contestant {
  readonly name: string;
  readonly nanosecondsPerByte: number;
}

/** Which engine a suite uses on this machine, and what it was chosen from, the chosen first. */
export interface EngineChoice {
  readonly suite: string;
  readonly engine: string;
  readonly nanosecondsPerByte: number;
  /** Of a suite that is one AEAD. */
  readonly aeads: readonly Contestant[];
  /** Of all others, whose cipher and MAC are chosen each by itself. */
  readonly ciphers: readonly Contestant[];
  readonly macs: readonly Contestant[];
}

/** One packet. With a suite of form `mac` the ICV covers `aad` and the text behind it. */
export interface SuiteOperation {
  /** By name. */
  readonly suite: string;
  readonly engine: string;
  readonly encryptionKey: Uint8Array;
  readonly integrityKey: Uint8Array;
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
  /** At most 65535 bytes; whole blocks with AES-CBC, none with GMAC. */
  readonly text: Uint8Array;
}

/** native/addon/suite_binding.cc. All throw TypeError for what does not fit the suite. */
export interface SuiteBinding {
  cryptoSuites(): readonly CryptoSuite[];
  /** The choices made so far in this process. */
  engineChoices(): readonly EngineChoice[];
  /** The choice for a suite, made now if it was not made before: about a millisecond. */
  chooseEngine(options: { readonly suite: string }): EngineChoice;
  suiteSeal(operation: SuiteOperation): { readonly text: Uint8Array; readonly icv: Uint8Array };
  /** The clear text, or null where the ICV does not hold. */
  suiteOpen(operation: SuiteOperation & { readonly icv: Uint8Array }): Uint8Array | null;
  /** Times one engine on hot buffers; native/addon/suite_bench.h. */
  benchSuite(options: SuiteBenchOptions): Cost;
}

export interface SuiteBenchOptions {
  readonly suite: string;
  readonly engine: string;
  /** 16 to 65535, rounded down to whole blocks. */
  readonly textBytes: number;
  /** Packets in one call, 1 to 64. */
  readonly batch: number;
  /** Opening is timed; else sealing. */
  readonly open: boolean;
  readonly seconds: number;
}

export interface GcmBenchOptions {
  /** The name of a kernel or of a peer. */
  readonly kernel: string;
  readonly keyBits: 128 | 192 | 256;
  /** Packets take turns with this many keys; 1 if left out. */
  readonly keys?: number;
  readonly textBytes: number;
  /** The text is associated data and nothing is encrypted (RFC 4543); false if left out. */
  readonly gmac?: boolean;
  /** Operations in one kernel call, 1 to 64. */
  readonly batch: number;
  readonly decrypt: boolean;
  /** Time for all repetitions together. */
  readonly seconds: number;
  /** Work on one batch of buffers again and again, or walk through 8 MiB of frames. */
  readonly hot: boolean;
}
