/**
 * The configuration file's schema: it validates a file, types it, and its descriptions are the
 * reference (`esplane check --schema` prints it as JSON Schema).
 *
 * Left out on purpose: keys of ESP SAs (RFC 8221 §3: manual keys are not for use) and secrets in
 * the file itself; a pre-shared key is a file of its own or a systemd credential.
 */
import { z } from 'zod';
import { DEFAULT_FRAGMENT_BYTES, MOST_WINDOW } from '../policy/connection.js';
import { parseAddress, parseSelector } from '../wire/index.js';

/** Without what the guard's rules (nft) and the kernel (%d) take for a pattern. */
const interfaceName = z
  .string()
  .regex(/^[^\s/:%*"\\]{1,15}$/, 'the name of a network interface, such as "eth0"');

const address = z
  .string()
  .refine((text) => parseAddress(text) !== undefined, 'an IPv4 or IPv6 address');

const addressOrAny = z
  .string()
  .refine(
    (text) => text === '%any' || parseAddress(text) !== undefined,
    'an IPv4 or IPv6 address, or "%any" for a peer whose address is not known',
  );

const network = z.string().check((context) => {
  const problem = selectorProblem(context.value);
  if (problem === undefined) return;
  const message = `a network such as "10.1.0.0/16", "10.0.0.1-10.0.0.9", "2001:db8::/32[tcp/443]"; ${problem}`;
  context.issues.push({ code: 'custom', input: context.value, message });
});

function selectorProblem(text: string): string | undefined {
  try {
    parseSelector(text);
    return undefined;
  } catch (error) {
    return (error as RangeError).message;
  }
}

const networks = z.array(network).min(1);

/** A path, relative to the directory of the configuration. */
const file = z.string().min(1);

const algorithms = z.array(z.string()).min(1);

/** `address:port`, IPv6 addresses in brackets. */
export function parseListen(text: string): { address: string; port: number } | undefined {
  const [, bracketed, plain, digits] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const [address, port] = [bracketed ?? plain ?? '', Number(digits)];
  const octets = parseAddress(address)?.length;
  if (octets !== (bracketed === undefined ? 4 : 16) || !(port >= 1 && port <= 65_535)) {
    return undefined;
  }
  return { address, port };
}

function integer(minimum: number, maximum: number) {
  const error = `a whole number from ${minimum} to ${maximum}`;
  return z.int({ error }).min(minimum, { error }).max(maximum, { error });
}

/** Up to 30 days. */
const seconds = integer(0, 2_592_000);

export const gatewaySchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,10}$/, 'lower-case letters, digits and "-", at most 11')
    .default('main')
    .describe('Name of this gateway: of its socket, its nftables table and its TUN interface'),
  lan: z
    .array(interfaceName)
    .default([])
    .describe(
      'Interfaces towards the protected networks; none where tunnels are for this host, or have interfaces',
    ),
  wan: z.array(interfaceName).min(1).describe('Interfaces towards the peers'),
  port_kind: z
    .enum(['auto', 'xdp', 'packet'])
    .default('auto')
    .describe('How packets are received: AF_XDP, TPACKET_V3, or the best that can be had'),
  queues: integer(0, 64).default(0).describe('Queues served of each interface; 0: all'),
  workers: z
    .union([z.literal('auto'), integer(1, 64)])
    .default('auto')
    .describe(
      'Dataplane threads; more than there are queues help with those; "auto": one a core, and one core left to all else where there are more than two',
    ),
  cpus: z
    .union([z.enum(['auto', 'any']), z.array(integer(0, 1023)).min(1)])
    .default('auto')
    .describe(
      'CPU of each dataplane thread in their order; "any": not pinned; "auto": cores of the interfaces\' NUMA node first, where there are more than two cores',
    ),
  queue_workers: z
    .array(integer(0, 63))
    .min(1)
    .optional()
    .describe(
      'Dataplane thread, from 0, that serves queue 0, 1, ... of every interface; default: in turn',
    ),
  frames: integer(512, 1_048_576)
    .default(4096)
    .describe('Packet buffers for each queue of the interface that has most'),
  frame_bytes: z
    .union([z.literal(2048), z.literal(4096)])
    .default(2048)
    .describe('Bytes of a packet buffer; 4096 for an MTU above 1500'),
  busy_poll_microseconds: integer(0, 10_000)
    .default(0)
    .describe(
      'How long AF_XDP ports look at the device themselves, in place of interrupts; 0: interrupts',
    ),
  ike_workers: z
    .union([z.literal('auto'), integer(1, 64)])
    .default('auto')
    .describe('IKE threads; "auto": one for each two CPUs, at most 4'),
  max_child_sas: integer(1, 1_000_000)
    .default(1024)
    .describe('Most pairs of ESP SAs at once; memory is reserved for them'),
  half_open_per_address: integer(1, 65_535)
    .default(16)
    .describe('IKE SAs that one address may have half open; further requests need a COOKIE'),
  api_socket: z
    .string()
    .regex(/^\/.{1,106}$/, 'an absolute path of at most 107 bytes')
    .optional()
    .describe('Unix socket of the API; default /run/esplane/<name>.sock'),
  api_group: z.string().min(1).optional().describe('Group that may use the API beside root'),
  metrics_listen: z
    .string()
    .refine(
      (text) => parseListen(text) !== undefined,
      'an address and a port, such as "127.0.0.1:9477" or "[::1]:9477"',
    )
    .optional()
    .describe('Where Prometheus metrics, health and readiness are served; default: nowhere'),
  log_level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least level'),
  route_table: integer(0, 1_000_000)
    .default(4500)
    .describe(
      'Routing table, and priority of the rules, that lead into tunnels what this host itself sends; 0: it is dropped',
    ),
  guard_on_stop: z
    .enum(['keep', 'open'])
    .default('keep')
    .describe('After an orderly stop, keep on dropping what is protected, or let it pass in clear'),
  lab_esp_keys: z
    .string()
    .regex(/^\//, 'an absolute path')
    .optional()
    .describe(
      'File, mode 0600, into which the keys of every ESP SA are written as Wireshark reads them (its esp_sa): labs only; default: nowhere',
    ),
  lab_plain_forwarding: z
    .boolean()
    .default(false)
    .describe('Forward everything in clear: the control run of benchmarks and labs only'),
});

const localSchema = z.strictObject({
  address: address.describe('Our address towards the peer'),
  alternatives: z
    .array(address)
    .default([])
    .describe('Addresses to move to, in this order, while that one is not there (RFC 4555)'),
  id: z
    .string()
    .min(1)
    .optional()
    .describe('Our identity; default: the subject of our certificate, or our address'),
  cert: file
    .optional()
    .describe('Our certificate, and those between it and what the peer trusts, in PEM'),
  key: file.optional().describe('Its private key in PEM, mode 0600 or stricter'),
  rsa_padding: z
    .enum(['pss', 'pkcs1'])
    .default('pss')
    .describe('Of signatures with an RSA key (RFC 7427), for peers that know one of them only'),
  networks: networks
    .optional()
    .describe('Protected on our side: networks, with protocol and ports in brackets'),
});

const remoteSchema = z.strictObject({
  address: addressOrAny.describe('Address of the peer, or "%any"'),
  id: z
    .string()
    .min(1)
    .optional()
    .describe("The peer's identity; default: the subject of cert, or its address"),
  ca: z
    .array(file)
    .min(1)
    .optional()
    .describe("Certificates of authorities, one of which vouches for the peer's, in PEM or DER"),
  cert: file
    .optional()
    .describe("The peer's own certificate: no other is taken, and this one for any id"),
  crl: z.array(file).min(1).optional().describe('Certificate revocation lists, in PEM or DER'),
  revocation: z
    .enum(['strict', 'ifuri', 'relaxed'])
    .optional()
    .describe(
      'A revoked certificate is always refused. strict: so is one of which it is not known; ifuri: only if it says where to ask; relaxed (default): only a revoked one',
    ),
  on_revocation: z
    .enum(['close', 'keep'])
    .optional()
    .describe(
      'Of the SAs of a peer whose certificate is revoked or over by now. close (default): they end; keep: they stay until they are set up anew, and the log says so',
    ),
  networks: networks.optional().describe('Protected behind the peer, in the same way'),
});

const start = z.enum(['always', 'trap', 'wait']);

const childName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, ".", "_" and "-", at most 63');

const fragmentation = z.enum(['before', 'after']);

const mode = z.enum(['tunnel', 'transport']);

const perResource = z.union([z.boolean(), integer(1, 128)]);

const df = z.enum(['copy', 'set', 'clear']);

const dscp = z.union([z.literal('copy'), integer(0, 63)]);

const tfc = z.strictObject({
  pad_to: integer(0, 65_535)
    .default(0)
    .describe('Bytes to which shorter packets are padded, as far as the path takes them; 0: none'),
  dummies_per_second: integer(0, 100_000)
    .default(0)
    .describe('Dummy packets while nothing else is sent; 0: none'),
});

const childSchema = z.strictObject({
  local: networks
    .optional()
    .describe('Protected on our side; in transport mode our own address, with protocol and ports'),
  remote: networks.optional().describe('Protected behind the peer, in the same way'),
  esp: algorithms.optional().describe("ESP proposals; default: the connection's"),
  ah: algorithms.optional().describe("AH proposals, in place of ESP; default: the connection's"),
  mode: mode.optional().describe("Default: the connection's"),
  start: start.optional().describe("When it is set up; default: the connection's"),
  replay_window: integer(0, 131_072).optional().describe("Default: the connection's"),
  fragmentation: fragmentation.optional().describe("Default: the connection's"),
  per_resource: perResource.optional().describe("Default: the connection's"),
  df: df.optional().describe("Default: the connection's"),
  dscp: dscp.optional().describe("Default: the connection's"),
  tfc: tfc.optional().describe("Default: the connection's"),
  rekey_seconds: seconds.optional().describe('Default: child_rekey_seconds of the connection'),
  lifetime_seconds: seconds
    .optional()
    .describe('Default: child_lifetime_seconds of the connection, or a tenth after its rekeying'),
});

export const connectionSchema = z.strictObject({
  local: localSchema,
  remote: remoteSchema,
  ppk: z
    .strictObject({
      id: z.string().min(1).max(255).describe('By which both sides call it'),
      file: file.describe('File with the secret, in the form of psk_file'),
      required: z.boolean().default(true).describe('Without it there is to be no IKE SA'),
    })
    .optional()
    .describe(
      'A secret that protects from quantum computers what key exchange does not (RFC 8784)',
    ),
  psk_file: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File with the pre-shared key as text, or in hexadecimal digits after 0x; relative to this file, mode 0600 or stricter',
    ),
  psk_credential: z
    .string()
    .regex(/^[^/]{1,255}$/, 'the name of a systemd credential')
    .optional()
    .describe('systemd credential that holds the pre-shared key'),
  ike: algorithms.optional().describe('IKE proposals, preferred first'),
  esp: algorithms.optional().describe('ESP proposals, preferred first'),
  ah: algorithms
    .optional()
    .describe('AH proposals, such as "sha256", in place of ESP: integrity without encryption'),
  interface: interfaceName
    .optional()
    .describe(
      'A route-based tunnel: interface that what it is to carry is routed into; networks are 0.0.0.0/0 and ::/0 then unless they are said. It outlives the daemon',
    ),
  mode: mode
    .default('tunnel')
    .describe('tunnel: networks on both sides; transport: the two gateways themselves'),
  start: start
    .default('trap')
    .describe('always: at once, and kept up; trap: when a packet needs it; wait: the peer begins'),
  replay_window: integer(0, 131_072).default(4096).describe('Packets of the replay window; 0: off'),
  fragmentation: fragmentation
    .default('before')
    .describe('IPv4 packets without DF that do not fit are fragmented before ESP or after it'),
  per_resource: perResource
    .default(false)
    .describe(
      'Beside the Child SA for all one for each queue that sends, with the same networks, where the peer can (RFC 9611). true: as many as are of use, a number: at most so many',
    ),
  df: df
    .default('copy')
    .describe("DF of the outer IPv4 header in tunnel mode: the inner packet's, always or never"),
  dscp: dscp
    .default('copy')
    .describe("DSCP of the outer header in tunnel mode: the inner packet's, or a number"),
  tfc: tfc
    .optional()
    .describe('What hides how much is sent and when, with ESP in tunnel mode (RFC 4303 §2.7)'),
  udp_encapsulation: z
    .enum(['auto', 'always'])
    .default('auto')
    .describe('ESP in UDP where there is a NAT, or always (RFC 3948)'),
  nat_traversal: z
    .boolean()
    .default(true)
    .describe(
      'false: no NAT, nor anything else that changes addresses, may be on the way; a peer with MOBIKE refuses what was changed (NO_NATS_ALLOWED, RFC 4555 §3.9)',
    ),
  mobike: z
    .boolean()
    .default(true)
    .describe('Either end may move to another address, where the peer can do that (RFC 4555)'),
  ike_fragment_bytes: z
    .union([z.literal(0), integer(512, 65_535)])
    .default(DEFAULT_FRAGMENT_BYTES)
    .describe('IP datagram above which IKE messages go in fragments (RFC 7383); 0: never'),
  ike_window: integer(1, MOST_WINDOW)
    .default(1)
    .describe(
      'Requests that may be on their way at once, of ours and of the peer, where it says the same (SET_WINDOW_SIZE, RFC 7296 §2.3)',
    ),
  ike_rekey_seconds: seconds
    .default(14_400)
    .describe('Age at which the IKE SA is rekeyed, sooner by up to a tenth; 0: never'),
  ike_lifetime_seconds: seconds
    .optional()
    .describe('Age at which the IKE SA ends, rekeyed or not; default: a tenth after its rekeying'),
  reauth_seconds: seconds
    .default(0)
    .describe('Age at which the peers prove themselves anew, on a new IKE SA; 0: never'),
  child_rekey_seconds: seconds
    .default(3_600)
    .describe('Age at which Child SAs are rekeyed, sooner by up to a tenth; 0: never'),
  child_lifetime_seconds: seconds
    .optional()
    .describe('Age at which a Child SA ends, rekeyed or not; default: a tenth after its rekeying'),
  childless: z
    .boolean()
    .default(false)
    .describe('Prove identities first, then set up Child SAs, where the peer can (RFC 6023)'),
  child: z
    .record(childName, childSchema)
    .optional()
    .describe('[connection.<name>.child.<name>] tables, in place of networks on both sides'),
  liveness_seconds: integer(0, 86_400)
    .default(30)
    .describe('Silence before the peer is asked whether it lives; 0: never (RFC 7296 §2.4)'),
});

const policySchema = z.strictObject({
  action: z.enum(['bypass', 'discard']).describe('Let pass in clear, or drop'),
  direction: z
    .enum(['both', 'outbound', 'inbound'])
    .default('both')
    .describe('Outbound: from local to remote'),
  local: networks.optional().describe('Traffic on our side; default: all'),
  remote: networks.optional().describe('Traffic on the other side; default: all'),
});

const connectionName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, ".", "_" and "-", at most 63');

export const fileSchema = z.strictObject({
  gateway: gatewaySchema.describe('The gateway itself'),
  connection: z
    .record(connectionName, connectionSchema)
    .default({})
    .describe('One table [connection.<name>] for each peer'),
  policy: z
    .array(policySchema)
    .default([])
    .describe('[[policy]] tables, consulted in order before what the connections protect'),
});

export type ConfigFile = z.infer<typeof fileSchema>;
export type ConnectionFile = z.infer<typeof connectionSchema>;
export type ChildFile = z.infer<typeof childSchema>;
export type PolicyFile = z.infer<typeof policySchema>;

/** The schema as JSON Schema, for editors and for the reference. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(fileSchema, { io: 'input' });
}
