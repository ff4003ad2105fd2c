/** What becomes of each network port when the configuration changes. Pure. */
import type { PortOptions } from '../dataplane/dataplane.js';

/**
 * - add: it is new.
 * - remove: it is gone from the configuration; what its programs took is the kernel's again, which
 *   drops what is protected (the guard).
 * - reopen: it serves another role, or in another way: what waits in it is given up.
 */
export type PortChange =
  | { readonly action: 'add'; readonly before?: undefined; readonly after: PortOptions }
  | { readonly action: 'remove'; readonly before: PortOptions; readonly after?: undefined }
  | { readonly action: 'reopen'; readonly before: PortOptions; readonly after: PortOptions };

/** Of ports with the same name that differ, and of those that one list has alone. */
export function changesOfPorts(
  from: readonly PortOptions[],
  to: readonly PortOptions[],
): PortChange[] {
  const find = (ports: readonly PortOptions[], name: string) =>
    ports.find((one) => one.name === name);
  const gone = from.filter(({ name }) => find(to, name) === undefined);
  return [
    ...to.flatMap((after): PortChange[] => {
      const before = find(from, after.name);
      if (before === undefined) return [{ action: 'add', after }];
      return differs(before, after) ? [{ action: 'reopen', before, after }] : [];
    }),
    ...gone.map((before): PortChange => ({ action: 'remove', before })),
  ];
}

function differs(a: PortOptions, b: PortOptions): boolean {
  return (['role', 'kind', 'device', 'queues'] as const).some((key) => a[key] !== b[key]);
}
