/**
 * Keys of strongSwan's swanctl.conf and ipsec.conf, and what says the same here: for whoever
 * writes them by habit. Those whose name is the same are left out.
 */

/** By key, in the words of a hint; `[connection.<name>]` is understood. */
const MEANT: ReadonlyMap<string, string> = new Map(
  Object.entries({
    local_addrs: 'local.address',
    remote_addrs: 'remote.address',
    left: 'local.address',
    right: 'remote.address',
    local_ts: 'local.networks, or local of a child',
    remote_ts: 'remote.networks, or remote of a child',
    leftsubnet: 'local.networks',
    rightsubnet: 'remote.networks',
    leftid: 'local.id',
    rightid: 'remote.id',
    certs: 'local.cert and local.key, or remote.cert',
    leftcert: 'local.cert and local.key',
    rightcert: 'remote.cert',
    cacerts: 'remote.ca',
    rightca: 'remote.ca',
    proposals: 'ike',
    esp_proposals: 'esp',
    ah_proposals: 'ah',
    type: 'mode',
    children: 'child',
    auto: 'start',
    start_action: 'start',
    rekey_time: 'ike_rekey_seconds or child_rekey_seconds, in a child rekey_seconds',
    reauth_time: 'reauth_seconds',
    over_time: 'ike_lifetime_seconds',
    life_time: 'child_lifetime_seconds, in a child lifetime_seconds',
    ikelifetime: 'ike_rekey_seconds',
    lifetime: 'child_lifetime_seconds, in a child lifetime_seconds',
    keylife: 'child_lifetime_seconds',
    dpd_delay: 'liveness_seconds',
    dpddelay: 'liveness_seconds',
    encap: 'udp_encapsulation = "always"',
    forceencaps: 'udp_encapsulation = "always"',
    ppk_id: 'ppk = { id = ..., file = ... }',
    authby: 'psk_file, or local.cert and remote.ca',
    auth: 'psk_file, or local.cert and remote.ca',
    if_id_in: 'interface',
    if_id_out: 'interface',
  }),
);

/** What was meant by a key that strongSwan knows and we do not. */
export function meantByStrongSwan(key: string): string | undefined {
  const meant = MEANT.get(key);
  return meant === undefined ? undefined : `what strongSwan calls ${key} is here: ${meant}`;
}

/** What strongSwan calls a `start` of ours. */
const STARTS: ReadonlyMap<string, string> = new Map([
  ['start', 'always'],
  ['route', 'trap'],
  ['ondemand', 'trap'],
  ['add', 'wait'],
  ['none', 'wait'],
]);

/** The value of `start` that was meant by one of strongSwan's. */
export function startOfStrongSwan(value: unknown): string | undefined {
  return typeof value === 'string' ? STARTS.get(value) : undefined;
}

/** An algorithm's word here, by another that strongSwan takes for the same. */
export function algorithmOfStrongSwan(word: string): string | undefined {
  const aead = /^(aes(?:128|192|256)[gc]cm)(64|96|128|)$/.exec(word);
  if (aead !== null) return `${aead[1]}${Number(aead[2] || 128) / 8}`;
  const sha = /^sha2_(256|384|512)$/.exec(word);
  return sha === null ? undefined : `sha${sha[1]}`;
}
