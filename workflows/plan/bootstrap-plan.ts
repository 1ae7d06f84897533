/** What an onboarding has to change: facts against what is rendered. Nothing to change is an empty list. */
import type { RenderMachineResult } from '../../activities/cluster.ts';
import type { KubernetesObject, ObjectRef } from '../../activities/ports/cluster-port.ts';
import type { FoundFile, MachineFacts } from '../../activities/ports/host-port.ts';
import type { Plan } from '../../api/schemas/machine.ts';
import { refOf } from './ownership.ts';
import type { DecidableInput } from './plan-input.ts';
import { saysSame } from './says-same.ts';

/** The steps of an onboarding that change something, in their order. */
export const CHANGE_STEPS = [
  'applyClusterObjects',
  'installPackage',
  'writeBootstrapFiles',
  'startProxy',
  'confirmCapture',
] as const;

type File = RenderMachineResult['files'][number];

/** One step's work; `step` says which. A step without a change finds everything as wanted. */
export type Change =
  | {
      readonly step: 'applyClusterObjects';
      readonly objects: readonly KubernetesObject[];
      /** Those that are not there yet: what an undo removes. */
      readonly created: readonly ObjectRef[];
    }
  | {
      readonly step: 'installPackage';
      readonly version: string;
      readonly format: 'deb' | 'rpm';
      readonly architecture: string;
    }
  | {
      readonly step: 'writeBootstrapFiles';
      readonly files: readonly File[];
      readonly hostsLines: readonly string[];
      /** Absent where one is in place. */
      readonly token?: { readonly path: string; readonly serviceAccount: string };
    }
  | { readonly step: 'startProxy' }
  | { readonly step: 'confirmCapture' };

/** The changes still to make, in order; needs facts of both sides and the rendered machine. */
export function planBootstrap({ cluster, machine, rendered }: DecidableInput): Change[] {
  return [
    ...objectsToApply(rendered.objects, cluster.objects),
    ...packageToInstall(machine, cluster.revision.version),
    ...filesToWrite(rendered, machine),
    ...proxyToStart(machine),
  ];
}

/**
 * All of them where one differs: a group of ours is named again, so that another machine which leaves it now does not take it away.
 */
function objectsToApply(desired: readonly KubernetesObject[], existing: readonly KubernetesObject[]): Change[] {
  const isThere = (object: KubernetesObject) =>
    existing.some((found) => isSameObject(found, object) && saysSame(found, object));
  if (desired.every(isThere)) return [];
  const created = desired.filter((object) => !existing.some((found) => isSameObject(found, object))).map(refOf);
  return [{ step: 'applyClusterObjects', objects: desired, created }];
}

function packageToInstall(machine: MachineFacts, version: string): Change[] {
  if (machine.packageFormat === 'unknown' || isVersion(machine.installedVersion, version)) {
    return [];
  }
  return [{ step: 'installPackage', version, format: machine.packageFormat, architecture: machine.architecture }];
}

/** A package's own version may carry the packager's iteration: `1.30.0-1` is 1.30.0. */
export function isVersion(installed: string | undefined, version: string): boolean {
  return (
    installed === version ||
    (installed?.startsWith(`${version}-`) === true && /^\d+$/.test(installed.slice(version.length + 1)))
  );
}

/** All files and the token in one exec when any differs: the machine writes only those that do. */
function filesToWrite(rendered: RenderMachineResult, machine: MachineFacts): Change[] {
  const { files, hostsLines, serviceAccount } = rendered;
  const isSame =
    files.every((file) => isWritten(file, machine.files)) && saysSame(machine.hostsBlock ?? [], hostsLines);
  const hasToken = isTokenPlaced(rendered, machine);
  if (isSame && hasToken) return [];
  const token = { path: rendered.token.path, serviceAccount };
  return [{ step: 'writeBootstrapFiles', files, hostsLines, ...(hasToken ? {} : { token }) }];
}

/** A file with a second writer, which also owns its mode, counts as written when every certificate of it is there. */
function isWritten(file: File, found: readonly FoundFile[]): boolean {
  const there = found.find(({ path }) => path === file.path);
  if (!there) return false;
  switch (file.compare) {
    case 'certificateSet':
      return there.sha256 === file.sha256 || holdsCertificates(there.certificates ?? [], file.content);
    case 'bytes':
      return there.sha256 === file.sha256 && there.mode === file.mode && there.owner === file.owner;
  }
}

function holdsCertificates(found: readonly string[], pem: string): boolean {
  const wanted = [...pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g)];
  return wanted.length > 0 && wanted.every(([, text = '']) => found.includes(text.replaceAll(/\s/g, '')));
}

/** A token that stands there before Meshlift wrote anything is of an earlier life of the machine. */
function isTokenPlaced({ token }: RenderMachineResult, { files, journal }: MachineFacts): boolean {
  const isLikeToken = ({ path, mode, owner }: FoundFile): boolean =>
    path === token.path && mode === token.mode && owner === token.owner;
  return journal.entries > 0 && files.some(isLikeToken);
}

function proxyToStart({ unit, isCaptured, journal }: MachineFacts): Change[] {
  if (unit.activeState !== 'active' || !unit.enabled || !isCaptured) {
    return [{ step: 'startProxy' }, { step: 'confirmCapture' }];
  }
  return journal.deadManArmed ? [{ step: 'confirmCapture' }] : [];
}

/** The changes as the API lists them, one line per object or file. */
export function describeChanges(changes: readonly Change[], machine: string): Plan['steps'] {
  return changes.flatMap((change) => describe(change, machine).map((line) => ({ name: change.step, ...line })));
}

function describe(change: Change, machine: string): { change: string; object: string }[] {
  switch (change.step) {
    case 'applyClusterObjects':
      return change.objects.map((object) => ({
        change: change.created.some((ref) => isSameObject(object, ref)) ? 'create' : 'change',
        object: `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`,
      }));
    case 'installPackage':
      return [{ change: 'install', object: `istio-sidecar ${change.version} on ${machine}` }];
    case 'writeBootstrapFiles':
      return [
        ...change.files.map(({ path }) => ({ change: 'write', object: `${path} on ${machine}` })),
        ...(change.hostsLines.length > 0 ? [{ change: 'write', object: `/etc/hosts on ${machine}` }] : []),
        ...(change.token === undefined ? [] : [describeToken(change.token, machine)]),
      ];
    case 'startProxy':
      return [{ change: 'start', object: `unit istio on ${machine}, with its traffic captured` }];
    case 'confirmCapture':
      return [{ change: 'confirm', object: `capture on ${machine} over a new connection` }];
  }
}

function describeToken({ path, serviceAccount }: { path: string; serviceAccount: string }, machine: string) {
  return { change: 'write', object: `${path} on ${machine}, a token of ServiceAccount ${serviceAccount}` };
}

function isSameObject(a: KubernetesObject, b: KubernetesObject | ObjectRef): boolean {
  const { namespace, name } = 'metadata' in b ? b.metadata : b;
  return a.kind === b.kind && a.metadata.namespace === namespace && a.metadata.name === name;
}
