/** What must be true of a machine before it can join. */
import { isVersion } from './bootstrap-plan.ts';
import { fails, holds } from './verdicts.ts';
import type { Check } from './verdicts.ts';

/** The package, its unpacked files and Envoy's logs of the first days. */
const NEEDED_BYTES = 500 * 1024 * 1024;
/** What Envoy and pilot-agent listen on. */
const PROXY_PORTS = [15000, 15001, 15004, 15006, 15020, 15021, 15053, 15090];

const hostnameMatches: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  return machine.hostname === name
    ? holds('HostnameMatches', `hostname -s says ${name}`)
    : fails(
        'HostnameMatches',
        'HostnameDiffers',
        `The request names the machine ${name}, its hostname -s says ${machine.hostname}; use that name or change the hostname`,
      );
};

/** Without it each sudo waits for DNS, longer than istiod's grace. */
const hostnameResolves: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  return machine.resolvesOwnHostname
    ? holds('HostnameResolves', `${name} resolves its own name without DNS`)
    : fails(
        'HostnameResolves',
        'HostnameUnresolved',
        `${machine.hostname} does not resolve its own name, so sudo stalls there; add "127.0.1.1 ${machine.hostname}" to its /etc/hosts`,
      );
};

const osSupported: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  const { os, packageFormat, architecture } = machine;
  if (packageFormat === 'unknown') {
    return fails(
      'OsSupported',
      'PackageFormatUnknown',
      `${name} runs ${os.prettyName}, which takes neither .deb nor .rpm packages; istio-sidecar comes as these only`,
    );
  }
  if (architecture !== 'amd64' && architecture !== 'arm64') {
    return fails(
      'OsSupported',
      'ArchitectureUnsupported',
      `${name} is ${architecture}; istio-sidecar is built for amd64 and arm64 only`,
    );
  }
  return holds('OsSupported', `${name} runs ${os.prettyName} on ${architecture}`);
};

const systemdPresent: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  return machine.hasSystemd
    ? holds('SystemdPresent', `${name} is booted with systemd`)
    : fails('SystemdPresent', 'SystemdMissing', `${name} is not booted with systemd, which runs the proxy's unit`);
};

const toolsPresent: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  return machine.missingTools.length === 0
    ? holds('ToolsPresent', `${name} has the tools it needs`)
    : fails('ToolsPresent', 'ToolsMissing', `${name} lacks ${machine.missingTools.join(', ')}; install them there`);
};

const diskSpace: Check = ({ machine, request: { name } }) => {
  if (!machine || machine.installedVersion !== undefined) return undefined;
  const freeMb = Math.floor(machine.freeBytes / 1024 / 1024);
  return machine.freeBytes >= NEEDED_BYTES
    ? holds('DiskSpace', `${name} has ${freeMb} MB free`)
    : fails('DiskSpace', 'DiskTooFull', `${name} has ${freeMb} MB free, the proxy needs 500 MB; make room there`);
};

/** Judged only where no proxy of ours runs: a member's own proxy holds these ports. */
const portsFree: Check = ({ machine, isMember, request: { name } }) => {
  if (!machine || isMember || machine.journal.entries > 0) return undefined;
  const taken = machine.listening.filter(({ port }) => PROXY_PORTS.includes(port));
  const named = [...new Set(taken.map(({ port, process }) => (process ? `${port} (${process})` : String(port))))];
  return named.length === 0
    ? holds('PortsFree', `The proxy's ports are free on ${name}`)
    : fails(
        'PortsFree',
        'PortsTaken',
        `${name} already listens on ${named.join(', ')}, which the proxy needs; move these, or remove the proxy that was set up by hand`,
      );
};

/** Another version would be replaced, and an undo could not put it back. */
const packageIsOurs: Check = ({ machine, cluster, request: { name } }) => {
  const version = cluster?.revision?.version;
  const installed = machine?.installedVersion;
  if (!machine || version === undefined || installed === undefined || machine.journal.entries > 0) return undefined;
  return isVersion(installed, version)
    ? holds('PackageIsOurs', `${name} has istio-sidecar ${version} already`)
    : fails(
        'PackageIsOurs',
        'PackageOfOthers',
        `${name} has istio-sidecar ${installed}, which Meshlift did not install and would have to replace by ${version}; remove that package there`,
      );
};

/** Rules of istio-iptables that Meshlift did not set belong to somebody's hand-made join. */
const noForeignRedirect: Check = ({ machine, isMember, request: { name } }) => {
  if (!machine || isMember || machine.journal.entries > 0) return undefined;
  return machine.isCaptured
    ? fails(
        'NoForeignRedirect',
        'RedirectedByOthers',
        `${name} has redirection rules of Istio that Meshlift did not set; remove them with pilot-agent istio-iptables --cleanup-only`,
      )
    : holds('NoForeignRedirect', `No redirection rules of others stand on ${name}`);
};

/** What an operation that was cut off left behind is taken back with the next undo; a person should know. */
const noLeftovers: Check = ({ machine, isMember, request: { name } }) => {
  if (!machine || isMember || machine.journal.entries === 0) return undefined;
  return fails(
    'NoLeftovers',
    'JournalNotEmpty',
    `The journal of ${name} holds ${machine.journal.entries} changes of an earlier onboarding; this one continues from there`,
    'Warning',
  );
};

export const machineChecks: readonly Check[] = [
  hostnameMatches,
  hostnameResolves,
  osSupported,
  systemdPresent,
  toolsPresent,
  diskSpace,
  packageIsOurs,
  portsFree,
  noForeignRedirect,
  noLeftovers,
];
