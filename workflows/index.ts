/** Every workflow the worker runs. */
export { drainMachine } from './drain-machine.ts';
export { enforceMachine } from './enforce-machine.ts';
export { floors } from './floors.ts';
export { machine } from './machine.ts';
export { migrateWorkload } from './migrate-workload.ts';
export { offboardMachine } from './offboard-machine.ts';
export { onboardMachine } from './onboard-machine.ts';
export { planMachine } from './plan-machine.ts';
export { planMigration } from './plan-migration.ts';
export { restartMachine } from './restart-machine.ts';
