/** A window above 1 (RFC 7296 §2.3, SET_WINDOW_SIZE). */
import { expect, it, describe as suite } from 'vitest';
import { Dialogue, describe } from './harness/dialogue.js';
import type { ConnectionOptions, Datagram } from './harness/peer.js';

/** A connection with so many Child SAs, seen from one side. */
function withChildren(count: number, own: number, remote: number): ConnectionOptions {
  const children = Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `net${i}`,
      [[`10.${own}.${i}.0/24`], [`10.${remote}.${i}.0/24`]] as const,
    ]),
  );
  return { children };
}

/** Both have so many Child SAs to make; the first comes with IKE_AUTH. */
function pair(count: number, windowA: number, windowB = windowA): Dialogue {
  return new Dialogue({
    fast: true,
    a: { ...withChildren(count, 1, 2), windowSize: windowA },
    b: { ...withChildren(count, 2, 1), windowSize: windowB },
  });
}

/** Up to the response of IKE_AUTH, behind which a asks for further Child SAs. */
function authenticated(both: Dialogue): void {
  both.initiate();
  for (const from of [both.a, both.b, both.a, both.b]) both.deliver(from);
}

/** Until what was replaced receives no more either. */
function drained(both: Dialogue): Dialogue {
  both.settle();
  both.wait(60_000);
  both.settle();
  return both;
}

const sent = (datagrams: readonly Datagram[]) => datagrams.map(describe);
const create = (...ids: number[]) => ids.map((id) => `CREATE_CHILD_SA request ${id}`);

suite('a window', () => {
  it.each([
    ['said by neither', 1, 1, 1],
    ['said by one', 4, 1, 1],
    ['said by both', 4, 4, 4],
    ['is the smaller of two', 2, 8, 2],
  ])('%s: %i and %i', (_, windowA, windowB, atOnce) => {
    const both = pair(6, windowA, windowB);
    authenticated(both);
    expect(sent(both.a.outbox)).toEqual(create(2, 3, 4, 5).slice(0, atOnce));
    both.settle();
    both.expectChildren(6);
  });

  it('takes requests in any order, and answers the duplicates of each', () => {
    const both = pair(5, 4);
    authenticated(both);
    const requests = both.a.outbox.splice(0).reverse();
    for (const request of requests) both.give(request);
    const answers = both.b.outbox.splice(0);
    expect(sent(answers)).toEqual([5, 4, 3, 2].map((id) => `CREATE_CHILD_SA response ${id}`));
    const made = both.b.installed.size;
    for (const request of requests) both.give(request);
    expect(both.b.outbox.splice(0).map(({ data }) => data)).toEqual(
      answers.map(({ data }) => data),
    );
    expect(both.b.installed.size).toBe(made);
    for (const answer of answers) both.give(answer);
    both.settle();
    both.expectChildren(5);
  });

  it('does not move on before its oldest request is answered, which alone is sent again', () => {
    const both = pair(8, 3);
    authenticated(both);
    const [lost, ...others] = both.a.outbox.splice(0);
    for (const request of others) both.give(request);
    both.settle();
    expect(both.a.outbox).toEqual([]);
    expect(both.a.installed.size).toBe(3);
    both.wait(700);
    const [again, ...more] = both.a.outbox;
    expect(more).toEqual([]);
    expect(again!.data).toEqual(lost!.data);
    both.deliver(both.a);
    both.deliver(both.b);
    expect(sent(both.a.outbox)).toEqual(create(5, 6, 7));
    both.settle();
    both.expectChildren(8);
  });

  it('sends each request again in its own time, and ends the IKE SA when one has no answer', () => {
    const both = pair(3, 4);
    authenticated(both);
    const sentAgain = new Map<string, number>();
    for (let i = 0; i < 400 && both.a.states.length > 0; i++) {
      for (const one of sent(both.a.outbox.splice(0))) {
        sentAgain.set(one, (sentAgain.get(one) ?? 0) + 1);
      }
      both.wait(1_000);
    }
    expect(both.a.states).toEqual([]);
    expect([...sentAgain.keys()]).toEqual(create(2, 3));
    const [one, other] = [...sentAgain.values()];
    expect(one).toBeGreaterThan(5);
    expect(Math.abs(one! - other!)).toBeLessThanOrEqual(1);
  });

  it('has room for no request before its end, and keeps no answer from before its begin', () => {
    const both = pair(8, 3);
    authenticated(both);
    const old = both.a.outbox.slice();
    both.settle();
    both.expectChildren(8);
    // The last answered was 8: 6 to 8 are remembered.
    for (const request of old) both.give(request);
    expect(both.b.outbox).toEqual([]);
  });

  it('leaves the rekeying of the IKE SA alone, begins at 1 again, and is told of anew', () => {
    const both = pair(5, 4);
    authenticated(both);
    both.rekey(both.a, 'ike');
    expect(sent(both.a.outbox)).toEqual(create(2, 3, 4, 5));
    for (const request of both.a.outbox.splice(0, 3)) both.give(request);
    for (const answer of both.b.outbox.splice(0)) both.give(answer);
    // One has no answer yet, so the rekeying waits.
    expect(sent(both.a.outbox)).toEqual(create(5));
    const story = both.settle();
    expect(story).toContain('a CREATE_CHILD_SA request 6');
    expect(story).toContain('a INFORMATIONAL request 0');
    expect(both.a.states).toEqual(['established']);
    both.expectChildren(5);
    // The old ones go, and all are made anew at once.
    both.rekey(both.a, 'child');
    expect(sent(both.a.outbox)).toEqual(create(1, 2, 3, 4));
    drained(both).expectChildren(5);
  });

  it('of 1 is what the successor has where the other side says no more', () => {
    const both = pair(3, 4, 1);
    both.initiate();
    both.settle();
    both.rekey(both.a, 'ike');
    both.settle();
    both.rekey(both.a, 'child');
    expect(both.a.outbox).toHaveLength(1);
    drained(both).expectChildren(3);
  });

  it('tells by a later request that older answers have arrived (§2.8)', () => {
    const both = pair(4, 3);
    both.initiate();
    both.settle();
    both.rekey(both.a, 'child');
    // Three at once; b sends on none of them before it knows that a can read it.
    const requests = both.a.outbox.splice(0);
    for (const request of requests) both.give(request);
    for (const net of [0, 1, 2, 3]) both.expectFlow(`site/net${net}`);
    for (const answer of both.b.outbox.splice(0)) both.give(answer);
    while (both.a.outbox.length + both.b.outbox.length > 0) {
      both.deliver(both.a.outbox.length > 0 ? both.a : both.b);
      for (const net of [0, 1, 2, 3]) both.expectFlow(`site/net${net}`);
    }
    drained(both).expectChildren(4);
  });

  it('has rekeyings of both sides cross, several at once', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const both = pair(4, 4);
      both.initiate();
      both.settle();
      both.rekey(both.a, 'child');
      both.rekey(both.b, 'child');
      both.cross(1 + (seed % 5));
      drained(both).expectChildren(4);
    }
  });

  it('has the Delete of the IKE SA wait for what is outstanding', () => {
    const both = pair(4, 4);
    authenticated(both);
    both.a.handle({ type: 'terminate', connection: 'site' });
    expect(sent(both.a.outbox)).toEqual(create(2, 3, 4));
    const story = both.settle();
    expect(story.at(-2)).toBe('a INFORMATIONAL request 5');
    expect([both.a.states, both.b.states]).toEqual([[], []]);
    expect([both.a.installed.size, both.b.installed.size]).toEqual([0, 0]);
  });
});
