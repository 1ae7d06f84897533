/** What a machine's scripts answer: one JSON object of lists of raw lines, parsed here by pure functions. */
import type { FoundFile, HostApplyResult, MachineFacts } from '../ports/host-port.ts';

export type HostAnswer = Readonly<Record<string, readonly string[]>>;

/** What one inspection found; `reachedAt` is the address of the connection. */
export function parseFacts(answer: HostAnswer, hostKeyFingerprint: string, reachedAt: string): MachineFacts {
  const all = (key: string): readonly string[] => answer[key] ?? [];
  const first = (key: string): string => all(key)[0] ?? '';
  const os = parseAssignments(all('osRelease'));
  const unit = parseAssignments(all('unit'));
  const listening = all('listening').map(parseListener);
  const addresses = all('address').filter((address) => !/^(127\.|169\.254\.|::1$|fe80:)/i.test(address));
  const entries = Number(first('entries') || 0);
  return {
    hostKeyFingerprint,
    hostname: first('hostname'),
    resolvesOwnHostname: all('hostsFile').length > 0 || asksItselfFirst(first('nameSwitch')),
    os: { id: os['ID'] ?? '', versionId: os['VERSION_ID'] ?? '', prettyName: os['PRETTY_NAME'] ?? '' },
    architecture: debianArchitecture(first('architecture')),
    packageFormat: packageFormat(all('packageTool')),
    hasSystemd: all('systemd').length > 0,
    missingTools: all('missingTool'),
    machineTime: first('time'),
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
    },
    isCaptured: all('redirection').some((rule) => /^-A (PREROUTING|OUTPUT) .*-j ISTIO_/.test(rule)),
    listening,
    sshdPorts: sshdPorts(listening, all('sshdPort'), all('sshdSocket')),
    resolver: { nameservers: all('nameserver') },
    freeBytes: Number(first('freeKilobytes') || 0) * 1024,
    journal: {
      fence: Number(first('fence') || 0),
      steps: all('step').map(parseStep),
      entries,
      deadManArmed: all('deadMan').length > 0,
    },
  };
}

export function parseApplyResult(answer: HostAnswer): HostApplyResult {
  return {
    changed: answer['changed'] ?? [],
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

/** nss-myhostname answers for the machine's own name, if it is asked before DNS. */
function asksItselfFirst(nameSwitch: string): boolean {
  const sources = nameSwitch
    .replace(/^hosts:/, '')
    .trim()
    .split(/\s+/);
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

function parseStep(line: string): MachineFacts['journal']['steps'][number] {
  const [operation = '', step = '', result] = line.split('\t');
  return { operation, step, result: result === 'done' ? 'done' : 'started' };
}
