/**
 * Group membership from /etc/group and /etc/passwd, which Node does not read. Groups that exist
 * in a directory service only are not found.
 */
import { readFileSync } from 'node:fs';

export interface Group {
  readonly gid: number;
  /** Names of its members, beside those whose primary group it is. */
  readonly members: readonly string[];
}

/** Undefined where there is no such group. */
export function findGroup(name: string, file = '/etc/group'): Group | undefined {
  const line = lines(file).find(([group]) => group === name);
  if (line === undefined) return undefined;
  return { gid: Number(line[2]), members: (line[3] ?? '').split(',').filter(Boolean) };
}

/** Whether a process with these IDs belongs to the group. */
export function belongs(
  group: Group,
  ids: { readonly uid: number; readonly gid: number },
  file = '/etc/passwd',
): boolean {
  if (ids.gid === group.gid) return true;
  const user = lines(file).find(([, , uid]) => Number(uid) === ids.uid);
  return user !== undefined && group.members.includes(user[0]!);
}

function lines(file: string): string[][] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(':'));
}
