/** Answers of HTTP that may be long: to write all of one at once would hold up the daemon. */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

const PART_CHARACTERS = 1 << 16;

/**
 * Sends a body, of which what is long goes in parts; between them others have their turns.
 * @param body  its text, piece by piece, each made when it is asked for
 */
export async function sendInParts(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: Iterable<string>,
): Promise<void> {
  let text = '';
  for (const piece of body) {
    text += piece;
    if (text.length < PART_CHARACTERS) continue;
    if (!response.headersSent) response.writeHead(status, headers);
    if (response.destroyed) return;
    response.write(text);
    text = '';
    await nextTurn();
  }
  if (!response.headersSent) {
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text) });
  }
  response.end(text);
}
