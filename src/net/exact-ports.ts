/** How far the kernel's own matches, of nftables and of routing rules, say what a selector says. */
import { isOpaque, type TrafficSelector } from '../wire/index.js';

/** Whether the match of a selector by protocol and ports is exactly what the selector matches. */
export function isExact(selector: TrafficSelector): boolean {
  return isAllPorts(selector) || (hasPorts(selector) && !isOpaque(selector));
}

function isAllPorts({ startPort, endPort }: TrafficSelector): boolean {
  return startPort === 0 && endPort === 65535;
}

/** TCP, UDP, DCCP, SCTP, UDP-Lite: both ports are the first four octets. */
export function hasPorts({ protocol }: TrafficSelector): boolean {
  return [6, 17, 33, 132, 136].includes(protocol);
}

/** `80` or `80-90`; undefined where ports cannot be matched, or need not be. */
export function portRange(selector: TrafficSelector): string | undefined {
  if (isAllPorts(selector) || isOpaque(selector) || !hasPorts(selector)) return undefined;
  const { startPort, endPort } = selector;
  return startPort === endPort ? `${startPort}` : `${startPort}-${endPort}`;
}

/** The one that both agree on, 0: any; undefined: no packet can match both. */
export function commonProtocol(a: TrafficSelector, b: TrafficSelector): number | undefined {
  if (a.family !== b.family) return undefined;
  const protocol = a.protocol === 0 ? b.protocol : a.protocol;
  return b.protocol === 0 || b.protocol === protocol ? protocol : undefined;
}
