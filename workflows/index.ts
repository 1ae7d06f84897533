/** Every workflow the worker runs. */
export { machine } from './machine.ts';
export { offboardMachine } from './offboard-machine.ts';
export { onboardMachine } from './onboard-machine.ts';
export { planMachine } from './plan-machine.ts';
