/** `esplane pki`: an authority, certificates and CRLs for a test set-up or a small site. */
import { X509Certificate } from 'node:crypto';
import { type Command, Option } from 'commander';
import { describeKey, weaknessOf } from '../crypto/signature.js';
import { issueCertificate, KEY_TYPES, type KeyType, makeKeyPair } from '../pki/authority.js';
import { identitiesOf, refuseUsage } from '../pki/certificate.js';
import { formatIdentity, type Identity, nameIdentity, parseIdentity } from '../policy/identity.js';
import { ID_TYPE } from '../wire/index.js';
import { EXIT_CODES, ExitError } from './exit.js';
import { PkiFolder, ROOT } from './pki-folder.js';

interface FolderOptions {
  readonly dir: string;
}

interface MakeOptions extends FolderOptions {
  readonly key: KeyType;
  readonly days: string;
}

interface InitOptions extends MakeOptions {
  readonly name: string;
}

interface IssueOptions extends MakeOptions {
  readonly id: readonly string[];
  readonly by: string;
  readonly authority?: boolean;
  readonly crlUrl: readonly string[];
  readonly ocspUrl: readonly string[];
}

export function addPki(program: Command): void {
  const pki = program
    .command('pki')
    .description('make an authority, certificates and CRLs, for a test set-up or a small site');
  const inFolder = (command: Command) =>
    command.option('-d, --dir <folder>', 'where the files are', 'pki');
  const many = (value: string, before: readonly string[]) => [...before, value];
  const makes = (command: Command, days: string) =>
    inFolder(command)
      .addOption(
        new Option('-k, --key <type>', 'type of its key').choices(KEY_TYPES).default(KEY_TYPES[0]),
      )
      .option('--days <number>', 'how long it is valid', days);

  makes(pki.command('init').description('make an authority: ca.pem, ca.key, ca.crl'), '3650')
    .option('-n, --name <name>', 'its name', 'CN=esplane test authority')
    .action(init);
  makes(pki.command('issue').description('make a certificate: NAME.pem, NAME.key'), '365')
    .argument('<name>', 'of the files, and its common name')
    .option(
      '-i, --id <identity>',
      'what it proves; as often as wanted; default: the name',
      many,
      [],
    )
    .option('--by <name>', 'the authority that signs it', ROOT)
    .option('--authority', 'it is an authority itself')
    .option('--crl-url <url>', 'where its CRL can be had', many, [])
    .option('--ocsp-url <url>', 'where an OCSP responder answers', many, [])
    .action(issue);
  inFolder(pki.command('revoke').description('revoke a certificate: the CRL is made anew'))
    .argument('<name>')
    .action((name: string, { dir }: FolderOptions) => {
      const authority = new PkiFolder(dir).revoke(name, Date.now());
      print(`${name} is revoked in ${authority}.crl`);
    });
  inFolder(pki.command('crl').description('make the CRL of an authority anew'))
    .argument('[authority]', '', ROOT)
    .action((authority: string, { dir }: FolderOptions) => {
      new PkiFolder(dir).writeCrl(authority, Date.now());
    });
  inFolder(pki.command('show').description('what a certificate says, and whether peers take it'))
    .argument('<name>')
    .action((name: string, { dir }: FolderOptions) => print(show(new PkiFolder(dir), name)));
}

function init({ dir, name, key, days }: InitOptions): void {
  const folder = new PkiFolder(dir);
  const pair = makeKeyPair(key);
  const certificate = issueCertificate(
    { ...orderOf([nameOf(name)], days), publicKey: pair.publicKey, authority: true },
    { key: pair.privateKey },
  );
  folder.store(ROOT, [certificate], pair.privateKey);
  folder.writeCrl(ROOT, Date.now());
  print(`made ${folder.file('ca.pem')} with its key and an empty CRL`);
}

function issue(name: string, options: IssueOptions): void {
  const folder = new PkiFolder(options.dir);
  const [authority, ...above] = folder.chain(options.by);
  if (!authority.facts.isCa) {
    throw new ExitError(EXIT_CODES.failed, `${folder.file(`${options.by}.pem`)} is no authority`);
  }
  const signer = { certificate: authority.der, key: folder.key(options.by) };
  const pair = makeKeyPair(options.key);
  const ids = options.id.length > 0 || options.authority ? options.id : [name];
  const certificate = issueCertificate(
    {
      ...orderOf([nameOf(`CN=${name}`), ...ids.map(identityOf)], options.days),
      publicKey: pair.publicKey,
      authority: options.authority ?? false,
      crlUrls: options.crlUrl,
      ocspUrls: options.ocspUrl,
    },
    signer,
  );
  // Peers have the root; what stands between has to be sent to them.
  const between = options.by === ROOT ? [] : [authority, ...above].map(({ der }) => der);
  folder.store(name, [certificate, ...between], pair.privateKey);
  if (options.authority) folder.writeCrl(name, Date.now());
  print(show(folder, name));
}

/** The last name among them is the subject; the others are alternative names. */
function orderOf(all: readonly Identity[], days: string) {
  const isName = ({ type }: Identity) => type === ID_TYPE.ID_DER_ASN1_DN;
  const validDays = Number(days);
  if (!Number.isInteger(validDays) || validDays < 1 || validDays > 36_500) {
    throw new ExitError(EXIT_CODES.usage, `not a number of days: "${days}"`);
  }
  return {
    subject: all.filter(isName).at(-1)!.data,
    identities: all.filter((identity) => !isName(identity)),
    now: Date.now(),
    days: validDays,
    crlUrls: [],
    ocspUrls: [],
  };
}

function identityOf(text: string): Identity {
  try {
    return parseIdentity(text);
  } catch (error) {
    throw new ExitError(EXIT_CODES.usage, error instanceof Error ? error.message : String(error));
  }
}

function nameOf(text: string): Identity {
  const identity = identityOf(text);
  if (identity.type === ID_TYPE.ID_DER_ASN1_DN) return identity;
  throw new ExitError(EXIT_CODES.usage, `not a name such as "C=CH, CN=gw": "${text}"`);
}

function show(folder: PkiFolder, name: string): string {
  const [certificate] = folder.chain(name);
  const { facts, publicKey, der } = certificate;
  const { validFrom, validTo, fingerprint256 } = new X509Certificate(der);
  const problem = weaknessOf(publicKey) ?? (facts.isCa ? undefined : refuseUsage(certificate));
  const revokedAt = folder.revokedAt(certificate);
  const rows: readonly (readonly [string, string])[] = [
    ['issuer', formatIdentity(nameIdentity(facts.issuer))],
    ['serial', facts.serial],
    ['valid', `${validFrom} to ${validTo}`],
    ['revoked', revokedAt === undefined ? '' : new Date(revokedAt).toISOString()],
    ['key', describeKey(publicKey)],
    ['proves', identitiesOf(certificate).map(formatIdentity).join('; ')],
    ['CRL', facts.crlUrls.join(' ')],
    ['OCSP', facts.ocspUrls.join(' ')],
    ['authority', facts.isCa ? 'yes' : 'no'],
    ['SHA-256', fingerprint256],
    ['problem', problem ?? ''],
  ];
  const lines = rows.filter(([, value]) => value !== '').map(([k, v]) => `  ${k.padEnd(10)}${v}`);
  return [folder.file(`${name}.pem`), ...lines].join('\n');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
