/** JSON of documents that may be long, piece by piece. */

/** Of elements; with fewer, and no longer list inside, a value is one part. */
const LONG = 16;

/** The text of a document, as JSON.stringify() has it, in parts. It holds plain values only. */
export function* jsonParts(value: unknown): Generator<string> {
  if (!isLong(value)) {
    yield JSON.stringify(value) ?? 'null';
    return;
  }
  const isArray = Array.isArray(value);
  let before = isArray ? '[' : '{';
  for (const [key, element] of Object.entries(value)) {
    if (!isArray && element === undefined) continue;
    yield isArray ? before : `${before}${JSON.stringify(key)}:`;
    yield* jsonParts(element);
    before = ',';
  }
  yield isArray ? ']' : '}';
}

/** The same as a line. */
export function* jsonLine(value: unknown): Generator<string> {
  yield* jsonParts(value);
  yield '\n';
}

function isLong(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  return (Array.isArray(value) && value.length > LONG) || Object.values(value).some(isLong);
}
