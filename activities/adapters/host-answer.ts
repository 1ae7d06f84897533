/** What a machine's scripts answer: lines of a key, a tab and a value, parsed here by pure functions. */
import type { Connection, FoundFile, HostApplyResult, MachineFacts, Traffic } from '../ports/host-port.ts';

/** The values of each key, in their order. */
export type HostAnswer = Readonly<Record<string, readonly string[]>>;

/** The answer in what a machine printed; undefined without a whole one. What a login shell prints before and after it is left out. */
export function parseAnswer(stdout: string): HostAnswer | undefined {
  const lines = stdout.split('\n');
  const begin = lines.indexOf('-----BEGIN MESHLIFT ANSWER-----');
  const end = lines.indexOf('-----END MESHLIFT ANSWER-----', begin);
  if (begin === -1 || end === -1) return undefined;
  const values = new Map<string, string[]>();
  for (const line of lines.slice(begin + 1, end)) {
    const [key = '', ...rest] = line.split('\t');
    // eslint-disable-next-line no-control-regex -- what a terminal would act on has no place in a message
    const value = rest.join('\t').replaceAll(/[\u0001-\u0008\u000b-\u001f\u007f]/g, '');
    const known = values.get(key);
    if (known) known.push(value);
    else values.set(key, [value]);
  }
  return Object.fromEntries(values);
}

/** Of the connection that carried the answer. */
export interface Visit {
  readonly hostKeyFingerprint: string;
  /** The address that was connected to. */
  readonly reachedAt: string;
  /** Milliseconds since the epoch by the worker's clock, before and after. */
  readonly began: number;
  readonly ended: number;
}

/** What one inspection found. */
export function parseFacts(answer: HostAnswer, visit: Visit): MachineFacts {
  const { hostKeyFingerprint, reachedAt } = visit;
  const all = (key: string): readonly string[] => answer[key] ?? [];
  const first = (key: string): string => all(key)[0] ?? '';
  const os = parseAssignments(all('osRelease'));
  const unit = parseAssignments(all('unit'));
  const listening = all('listening').map(parseListener);
  const addresses = all('address').filter((address) => !/^(127\.|169\.254\.|::1$|fe80:)/i.test(address));
  const entries = Number(first('entries') || 0);
  const sources = sourcesOf(first('nameSwitch'));
  const sshPorts = sshdPorts(listening, all('sshdPort'), all('sshdSocket'));
  return {
    hostKeyFingerprint,
    hostname: first('hostname'),
    resolvesOwnHostname: all('hostsFile').length > 0 || asksItselfFirst(sources),
    os: { id: os['ID'] ?? '', versionId: os['VERSION_ID'] ?? '', prettyName: os['PRETTY_NAME'] ?? '' },
    architecture: debianArchitecture(first('architecture')),
    packageFormat: packageFormat(all('packageTool')),
    hasSystemd: all('systemd').length > 0,
    missingTools: all('missingTool'),
    machineTime: first('time'),
    workerTime: workerTime(first('time'), visit),
    addresses,
    ownAddress: addresses.includes(reachedAt) ? reachedAt : (addresses[0] ?? reachedAt),
    // A file that stood there before Meshlift says nothing of what is to come.
    ...(entries > 0 && optional('registeredAddress', answer['registeredAddress']?.[0])),
    ...optional('installedVersion', answer['package']?.[0]),
    files: all('file').map((line) => parseFile(line, all('certificate'))),
    ...(answer['hostsBlock'] && { hostsBlock: answer['hostsBlock'] }),
    unit: {
      exists: unit['LoadState'] === 'loaded',
      activeState: unit['ActiveState'] ?? 'inactive',
      enabled: unit['UnitFileState'] === 'enabled',
      ...optional('invocationId', unit['InvocationID']),
    },
    proxy: {
      ready: all('ready').length > 0,
      ...optional('runningVersion', answer['runningVersion']?.[0]),
      ...optional('certificateExpiresAt', answer['certificateExpiresAt']?.[0]),
      ...optional('spiffeId', answer['spiffeId']?.[0]),
      ...(all('policy').length > 0 && {
        policy: {
          plaintextPorts: all('plaintext'),
          reachesAnything: all('policy').includes('reachesAnything'),
          authorizations: all('authorization'),
        },
        passthrough: all('passthrough'),
      }),
      ...(all('plaintextServed').length > 0 && {
        plaintextServed: Number(first('plaintextServed')),
      }),
    },
    isCaptured: all('redirection').some((rule) => /^-A (PREROUTING|OUTPUT) .*-j ISTIO_/.test(rule)),
    isHeld: all('isHeld').length > 0,
    isEnforced: all('isEnforced').length > 0,
    excludedPorts: numbers(all('excludedPort')),
    proxyProcesses: [...new Set(all('proxyProcess'))],
    redirects: [...new Set(all('redirect'))],
    interfaces: [...new Set(all('interface').map((name) => name.replace(/@.*$/, '')))],
    listening,
    sshdPorts: sshPorts,
    serverFirstPorts: numbers(all('serverFirst')),
    connections: all('connection')
      .map(parseConnection)
      .filter(({ direction, local }) => direction === 'outbound' || !sshPorts.includes(portOf(local))),
    flows: all('flow').map(parseConnection),
    targets: all('target').map(parseTarget),
    resolver: {
      nameservers: all('nameserver'),
      services: resolvers.filter((name) => all('resolver').includes(name)),
      sources,
    },
    freeBytes: Number(first('freeKilobytes') || 0) * 1024,
    journal: {
      fence: Number(first('fence') || 0),
      steps: parseSteps(all('step')),
      entries,
      ...optional('owner', answer['owner']?.[0]),
      deadManArmed: all('deadMan').length > 0,
    },
  };
}

/** What the proxy served meanwhile. */
export function parseTraffic(answer: HostAnswer): Traffic {
  const numbers = (key: string): readonly number[] => (answer[key] ?? []).map(Number);
  const came = (key: string): number => Math.max(0, (numbers(key)[1] ?? 0) - (numbers(key)[0] ?? 0));
  return {
    isProxyUp: answer['proxyUp'] !== undefined,
    active: numbers('active').at(-1) ?? 0,
    came: came('total'),
    ...(answer['overMtls'] === undefined ? {} : { cameOverMtls: came('overMtls') }),
    senders: [...new Set(answer['sender'] ?? [])],
    outboundFailed: numbers('outboundFailed').at(-1) ?? 0,
  };
}

export function parseApplyResult(answer: HostAnswer): HostApplyResult {
  const gapMs = answer['gapMs']?.[0];
  return {
    ...(gapMs === undefined ? {} : { gapMs: Number(gapMs) }),
    // What an earlier attempt of the same step changed is told again.
    changed: [...new Set(answer['changed'] ?? [])],
    recorded: answer['recorded'] !== undefined,
    ...optional('invocationId', answer['invocationId']?.[0]),
  };
}

/** The field where it has a value, no field where it is absent or empty. */
function optional<K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> {
  return value === undefined || value === '' ? {} : ({ [key]: value } as Record<K, string>);
}

/** `KEY=value` lines as os-release and systemctl show print them, quotes removed. */
function parseAssignments(lines: readonly string[]): Readonly<Record<string, string>> {
  const pairs = lines.flatMap((line): [string, string][] => {
    const match = /^([A-Za-z_]+)=(.*)$/.exec(line);
    return match?.[1] === undefined ? [] : [[match[1], (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2')]];
  });
  return Object.fromEntries(pairs);
}

/** The sources of a line of nsswitch.conf, what is done on their answers left out. */
function sourcesOf(nameSwitch: string): readonly string[] {
  const text = nameSwitch.replace(/^hosts:/, '').replace(/\[[^\]]*\]/g, ' ');
  return text.split(/\s+/).filter((source) => source !== '');
}

/** nss-myhostname answers for the machine's own name, if it is asked before DNS. */
function asksItselfFirst(sources: readonly string[]): boolean {
  const own = sources.indexOf('myhostname');
  const dns = sources.findIndex((source) => source === 'dns' || source === 'resolve');
  return own !== -1 && (dns === -1 || own < dns || sources[dns] === 'resolve');
}

function debianArchitecture(found: string): string {
  const names: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64' };
  return names[found] ?? found;
}

function packageFormat(tools: readonly string[]): MachineFacts['packageFormat'] {
  if (tools.includes('dpkg')) return 'deb';
  return tools.includes('rpm') ? 'rpm' : 'unknown';
}

function parseFile(line: string, certificates: readonly string[]): FoundFile {
  const [mode = '', owner = '', sha256 = '', ...rest] = line.split(' ');
  const path = rest.join(' ');
  const held = certificates.filter((certificate) => certificate.endsWith(` ${path}`));
  return {
    path,
    mode: mode.padStart(4, '0'),
    owner,
    sha256,
    ...(held.length > 0 && { certificates: held.map((certificate) => certificate.slice(0, -path.length - 1)) }),
  };
}

function parseListener(line: string): MachineFacts['listening'][number] {
  const local = line.trim().split(/\s+/)[3] ?? '';
  const cut = local.lastIndexOf(':');
  const process = /users:\(\("([^"]+)"/.exec(line)?.[1];
  return {
    address: local
      .slice(0, cut)
      .replace(/%.*$/, '')
      .replace(/^\[|\]$/g, ''),
    port: Number(local.slice(cut + 1)),
    ...optional('process', process),
  };
}

const resolvers = ['systemd-resolved', 'dnsmasq', 'consul'] as const;

const numbers = (values: readonly string[]): readonly number[] =>
  [...new Set(values.map(Number))].filter((value) => value > 0).sort((a, b) => a - b);

/** The machine looked at its clock at some moment between: only what lies outside of them is an offset. */
function workerTime(machineTime: string, { began, ended }: Visit): string {
  const there = Date.parse(machineTime);
  const moment = Number.isNaN(there) ? ended : Math.min(Math.max(there, began), ended);
  return new Date(moment).toISOString();
}

/** `in` or `out`, local, remote and, where it is known, the process. */
function parseConnection(line: string): Connection {
  const [way, local = '', remote = '', process] = line.split(' ');
  return { local, remote, direction: way === 'in' ? 'inbound' : 'outbound', ...optional('process', process) };
}

const portOf = (endpoint: string): number => Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));

function parseTarget(line: string): MachineFacts['targets'][number] {
  const [target = '', found] = line.split(' ');
  return { target, isReachable: found === 'reached' };
}

function sshdPorts(
  listening: MachineFacts['listening'],
  configured: readonly string[],
  sockets: readonly string[],
): readonly number[] {
  const found = [
    ...listening.filter((listener) => listener.process === 'sshd').map((listener) => listener.port),
    ...configured.map(Number),
    ...sockets.flatMap((socket) => [...socket.matchAll(/[:=](\d+) \(Stream\)/g)].map((match) => Number(match[1]))),
  ];
  return [...new Set(found)].sort((a, b) => a - b);
}

/** A line for the start of a step and one for its end, those of a retry as well: the last one counts. */
function parseSteps(lines: readonly string[]): MachineFacts['journal']['steps'] {
  const parsed = lines.map((line): [string, MachineFacts['journal']['steps'][number]] => {
    const [operation = '', step = '', result] = line.split('\t');
    return [`${operation} ${step}`, { operation, step, result: result === 'done' ? 'done' : 'started' }];
  });
  return [...new Map(parsed).values()];
}
