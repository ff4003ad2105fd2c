/**
 * The dataplane over the native addon (native/pipeline/dataplane.h).
 *
 * `create` makes one; other threads of the process `attach` to it by its id. Whoever made it stops
 * it: by `stop`, when its thread ends, or when the process exits.
 */
import {
  type ChildSa,
  type ChildSaCounters,
  type Endpoint,
  type EspSpi,
  type Sad,
  SadFullError,
} from '../sad/sad.js';
import { addon, type NativeDataplane as Native } from './addon.js';
import {
  type Dataplane,
  type DataplaneEvent,
  type DataplaneOptions,
  type DataplaneStatistics,
  HOST_SCOPE,
  type InterfaceOptions,
  type InterfaceStatus,
  type Networks,
  type PortOptions,
  type PortStatus,
  type SpdEntry,
  type WorkerPlan,
} from './dataplane.js';

/** A dataplane, which is also the Sad that IKE installs its Child SAs into. */
export class NativeDataplane implements Dataplane, Sad {
  readonly #native: Native;
  /** Of interfaces by name: by which native code knows them (native/spd/spd.h). */
  readonly #scopes = new Map<string, number>();
  /** Native clean-up hooks do not run on process.exit. */
  readonly #atExit = () => this.stop();

  private constructor(native: Native) {
    this.#native = native;
  }

  /** Makes a dataplane: its memory, without ports or threads. Throws a TypeError naming a field. */
  static create(options: DataplaneOptions): NativeDataplane {
    const made = new NativeDataplane(new addon.Dataplane(options));
    process.once('exit', made.#atExit);
    return made;
  }

  /** The dataplane that another thread of this process made. Throws where it is gone. */
  static attach(id: number): NativeDataplane {
    return new NativeDataplane(new addon.Dataplane(id));
  }

  get id(): number {
    return this.#native.id;
  }

  addPort(options: PortOptions): PortStatus {
    return this.#native.addPort(options);
  }

  removePort(name: string): void {
    this.#native.removePort(name);
  }

  setNetworks(networks: Networks): void {
    this.#native.setNetworks(networks);
  }

  addInterface(options: InterfaceOptions): void {
    this.#scopes.set(options.name, this.#native.addInterface(options));
  }

  removeInterface(name: string): void {
    this.#native.removeInterface(name);
    this.#scopes.delete(name);
  }

  interfaces(): readonly InterfaceStatus[] {
    return this.#native.interfaces().filter(({ scope }) => scope !== HOST_SCOPE);
  }

  refreshPort(ifindex: number): void {
    this.#native.refreshPort(ifindex);
  }

  settleMtu(inboundSpi: EspSpi): void {
    this.#native.settleMtu(inboundSpi);
  }

  setSpd(entries: readonly SpdEntry[]): void {
    this.#native.setSpd(entries.map((entry) => ({ ...entry, scope: this.#scopeOf(entry) })));
  }

  #scopeOf({ interface: name }: SpdEntry): number {
    if (name === undefined) return HOST_SCOPE;
    const scope = this.#scopes.get(name);
    if (scope === undefined) throw new Error(`there is no interface ${name}`);
    return scope;
  }

  /** One listener a dataplane; a second replaces the first. It alone keeps no process alive. */
  onEvent(listener: (event: DataplaneEvent) => void): void {
    this.#native.onEvent(listener);
  }

  start(): void {
    this.#native.start();
  }

  setWorkers(plan: WorkerPlan): void {
    this.#native.setWorkers(plan);
  }

  stop(): void {
    process.off('exit', this.#atExit);
    this.#native.stop();
  }

  resources(): number {
    return this.#native.resources();
  }

  allocateSpi(): EspSpi {
    try {
      return this.#native.allocateSpi() as EspSpi;
    } catch (error) {
      throw asSadFull(error);
    }
  }

  releaseSpi(spi: EspSpi): void {
    this.#native.releaseSpi(spi);
  }

  /**
   * Installs both SAs; the outbound one goes before all others of its policy, or on standby behind
   * them. The key bytes are copied into native key schedules, which are wiped on removal; the
   * caller wipes its own.
   */
  install(sa: ChildSa, standby = false): void {
    const [inboundKey, outboundKey] = [sa.inboundKey.bytes, sa.outboundKey.bytes];
    this.#native.install({ ...sa, inboundKey, outboundKey }, standby);
  }

  prefer(inboundSpi: EspSpi): void {
    this.#native.prefer(inboundSpi);
  }

  retire(inboundSpi: EspSpi): void {
    this.#native.retire(inboundSpi);
  }

  remove(inboundSpi: EspSpi): void {
    this.#native.remove(inboundSpi);
  }

  move(inboundSpi: EspSpi, local: Endpoint, remote: Endpoint): boolean {
    return this.#native.move(inboundSpi, local, remote);
  }

  counters(inboundSpi: EspSpi): ChildSaCounters | undefined {
    return this.#native.counters(inboundSpi);
  }

  ports(): readonly PortStatus[] {
    return this.#native.ports();
  }

  notes(): readonly string[] {
    return this.#native.notes();
  }

  statistics(): DataplaneStatistics {
    return this.#native.statistics();
  }

  kernels(): { readonly inUse: string; readonly available: readonly string[] } {
    return addon.gcmKernels();
  }
}

/** The native error of a full SAD as the Sad interface has it; others as they are. */
export function asSadFull(error: unknown): unknown {
  const isFull = error instanceof Error && (error as { code?: unknown }).code === 'SAD_FULL';
  return isFull ? new SadFullError(error.message, { cause: error }) : error;
}
