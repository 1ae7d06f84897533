/** Restart windows are part of the contract and not there yet: what asks for one is refused, not kept for later. */
import { problem } from './problems.ts';
import type { OnboardMachine } from './schemas/machine.ts';

export function refuseWindow({ restart }: Pick<OnboardMachine, 'restart'>): void {
  if (restart === 'window') throw problem('restart-window-missing');
}
