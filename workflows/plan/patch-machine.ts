/** What a PATCH changes of a machine, and when it is refused. */
import type { PatchRequest } from '../messages.ts';
import type { MachineState } from './machine-state.ts';

type Patched =
  | { readonly kind: 'Patched'; readonly state: MachineState }
  | {
      readonly kind: 'Refuse';
      readonly type: 'MachineNotFound' | 'MachineBusy' | 'VersionDiffers';
      readonly message: string;
    };

/** The state with the patch in it; the version counts up where something differs, so a repeat changes nothing. */
export function patchMachine(state: MachineState, { patch, ifVersion }: PatchRequest, machine: string): Patched {
  const { desired, version, current } = state;
  if (!desired || !state.isPresent) {
    return { kind: 'Refuse', type: 'MachineNotFound', message: `Machine ${machine} is not in the mesh` };
  }
  if (ifVersion !== undefined && ifVersion !== version) {
    const message = `Machine ${machine} is at version ${version}, not ${ifVersion}; GET it again and repeat`;
    return { kind: 'Refuse', type: 'VersionDiffers', message };
  }
  const patched = { ...desired, ...patch };
  if (JSON.stringify(patched) === JSON.stringify(desired)) return { kind: 'Patched', state };
  if (patch.host && current) {
    const message = `Operation ${current.operationId} works on ${machine} by its host; change the host when it has ended`;
    return { kind: 'Refuse', type: 'MachineBusy', message };
  }
  return { kind: 'Patched', state: { ...state, desired: patched, version: version + 1 } };
}
