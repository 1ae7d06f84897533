/** What must be true of a machine before it can join. */
import { isVersion } from './bootstrap-plan.ts';
import { msOf } from './instants.ts';
import { isUntouched } from './plan-input.ts';
import { fails, holds, unknown } from './verdicts.ts';
import type { Check } from './verdicts.ts';
import { minorsBehind } from './versions.ts';

/** The package, its unpacked files and Envoy's logs of the first days. */
const NEEDED_BYTES = 500 * 1024 * 1024;
/** Certificates and tokens are valid from the moment they are made: a clock behind by more than a little refuses them. */
const WARN_OFFSET_SECONDS = 10;
const MOST_OFFSET_SECONDS = 60;
/** Digest of an empty file: the package makes one for the mesh's configuration. */
const NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

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

const clockWithinLimits: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  const offset = Math.round((msOf(machine.machineTime) - msOf(machine.workerTime)) / 1000);
  if (Number.isNaN(offset)) {
    return unknown('ClockWithinLimits', 'ClockUnreadable', `${name} did not tell its time; see what date says there`);
  }
  const seconds = Math.abs(offset);
  if (seconds <= WARN_OFFSET_SECONDS) return holds('ClockWithinLimits', `The clock of ${name} is within limits`);
  const way = offset > 0 ? 'ahead of' : 'behind';
  return fails(
    'ClockWithinLimits',
    'ClockOff',
    `The clock of ${name} is ${seconds} s ${way} the worker's, and certificates and tokens are refused by a clock that is off; set it right there (timedatectl set-ntp true)`,
    seconds > MOST_OFFSET_SECONDS ? 'Critical' : 'Warning',
  );
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

/** What somebody joined to a mesh by hand has its own files and its own proxy; Meshlift takes none of them over. */
const noForeignIstio: Check = (input) => {
  const {
    machine,
    request: { name },
  } = input;
  if (!machine || !isUntouched(input)) return undefined;
  const { files, unit, proxyProcesses } = machine;
  const signs = [
    ...files.filter(({ sha256 }) => sha256 !== NOTHING).map(({ path }) => path),
    ...(unit.activeState === 'active' ? ['unit istio.service runs'] : []),
    ...(proxyProcesses.includes('pilot-agent') ? ['a pilot-agent runs'] : []),
  ];
  if (signs.length > 0) {
    return fails(
      'NoForeignIstio',
      'IstioOfOthers',
      `${name} was joined to a mesh by other means (${signs.join(', ')}); take it out of there first: systemctl disable --now istio, then remove these files`,
    );
  }
  return proxyProcesses.includes('envoy')
    ? fails(
        'NoForeignIstio',
        'EnvoyOfOthers',
        `An Envoy that is not Meshlift's runs on ${name}; see that it uses neither the ports 15000 to 15090 nor redirection of its own`,
        'Warning',
      )
    : holds('NoForeignIstio', `No Istio of others is on ${name}`);
};

/** Istio supports a proxy as old as its istiod or one minor version older, and none that is newer. */
const revisionSupported: Check = (input) => {
  const {
    machine,
    cluster,
    request: { name },
  } = input;
  const version = cluster?.revision?.version;
  const proxy = machine?.proxy.runningVersion ?? (isUntouched(input) ? undefined : machine?.installedVersion);
  if (version === undefined || proxy === undefined) return undefined;
  const behind = minorsBehind(proxy, version);
  if (behind === undefined) return undefined;
  if (behind === 0 || behind === 1)
    return holds('RevisionSupported', `The proxy ${proxy} of ${name} suits istiod ${version}`);
  return fails(
    'RevisionSupported',
    behind < 0 ? 'AheadOfControlPlane' : 'VersionBehind',
    `${name} runs the proxy ${proxy}, which istiod ${version} does not support; it gets ${version} and takes it up with its next restart`,
    'Warning',
  );
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
  clockWithinLimits,
  toolsPresent,
  diskSpace,
  packageIsOurs,
  revisionSupported,
  noForeignIstio,
  noLeftovers,
];
