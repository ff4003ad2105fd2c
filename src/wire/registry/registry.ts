/**
 * How the IANA registries of "Internet Key Exchange Version 2 (IKEv2) Parameters" are kept: one
 * const table of name and number each. Names are IANA's, without the prefix that the registry's
 * own name repeats (`ENCR.AES_GCM_16`, not `ENCR_AES_GCM_16`) and with underscores for blanks.
 * Numbers that IANA has reserved or left to private use have no name and print as numbers.
 */

export type Registry = Readonly<Record<string, number>>;

const reverse = new WeakMap<Registry, ReadonlyMap<number, string>>();

function namesOf(registry: Registry): ReadonlyMap<number, string> {
  let names = reverse.get(registry);
  if (names === undefined) {
    names = new Map(Object.entries(registry).map(([name, number]) => [number, name]));
    reverse.set(registry, names);
  }
  return names;
}

/** The registered name of a number, or the number itself in decimal where it has none. */
export function nameOf(registry: Registry, number: number): string {
  return namesOf(registry).get(number) ?? String(number);
}

/** True where the number has a name, which is not yet to say that we implement it. */
export function isRegistered(registry: Registry, number: number): boolean {
  return namesOf(registry).has(number);
}
