import { describe, expect, it } from 'vitest';
import type { LogLevel } from '../../../src/ike/event.js';
import { LogGate } from '../../../src/workers/log-gate.js';

let now = 0;
const gateOf = () => new LogGate({ linesPerSecond: 10, burst: 3 }, () => now);
const admitted = (gate: LogGate, level: LogLevel, lines: number) =>
  Array.from({ length: lines }, () => gate.admit(level)).filter(Boolean).length;

describe('the gate of the log', () => {
  it('leaves out what comes too fast, and tells how much', () => {
    const gate = gateOf();
    expect(admitted(gate, 'warn', 1000)).toBe(3);
    now += 100;
    expect(admitted(gate, 'warn', 1)).toBe(1);
    expect(gate.remark('warn')).toBe('997 lines were left out of the log, they came too fast');
    expect(gate.remark('warn')).toBeUndefined();
  });

  it('lets in no more than the burst after a long quiet time', () => {
    const gate = gateOf();
    now += 3_600_000;
    expect(admitted(gate, 'info', 1000)).toBe(3);
  });

  it('has a limit for each level', () => {
    const gate = gateOf();
    admitted(gate, 'debug', 1000);
    expect(gate.admit('info')).toBe(true);
    expect(gate.remark('info')).toBeUndefined();
  });

  it('lets in, and counts, nothing that is of no use to anybody', () => {
    const gate = gateOf();
    gate.least = 'info';
    expect(admitted(gate, 'debug', 1000)).toBe(0);
    expect(gate.remark('debug')).toBeUndefined();
    expect(admitted(gate, 'error', 2)).toBe(2);
  });
});
