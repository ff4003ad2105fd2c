/** How an IKE worker asks authorities about revocation: RFC 5280 §4.2.1.13, RFC 6960 App. A.1. */
import { httpFetch } from '../net/http-fetch.js';
import type { Ask } from '../pki/answers.js';

/** An initiator waits for us meanwhile: three such rounds end before it gives up. */
const TIMEOUT_MS = 3_000;
const MAX_CRL_OCTETS = 4 << 20;
const MAX_OCSP_OCTETS = 1 << 16;

export const askByHttp: Ask = ({ kind, url, body }) =>
  httpFetch({
    url,
    body: body && { type: 'application/ocsp-request', octets: body },
    maxOctets: kind === 'crl' ? MAX_CRL_OCTETS : MAX_OCSP_OCTETS,
    timeoutMs: TIMEOUT_MS,
  });
