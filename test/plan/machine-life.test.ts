/** A machine's life in random order: updates, signals, failures, repeats and late words, against a model of it. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import { seedNumber } from '../support/seed.ts';
import { bodies, happening, live, World } from './machine-world.ts';

const runs = { numRuns: 1_000, seed: seedNumber };
const lives = fc.array(happening, { maxLength: 60, size: 'max' });

test('whatever comes in whatever order, the entity and the world agree', () => {
  const agrees = fc.property(lives, (happenings) => {
    const world = new World();
    for (const happened of happenings) live(world, happened);
  });
  expect(fc.defaultReportMessage(fc.check(agrees, runs))).toBeUndefined();
});

test('whatever came before, what stands can be taken away, and the machine onboarded anew', () => {
  const canLeave = fc.property(lives, fc.integer({ min: 0, max: 1 }), (happenings, which) => {
    const world = new World();
    for (const happened of happenings) live(world, happened);
    // What waits has its turn, and fails.
    while (world.state.current ?? world.state.queue[0]) {
      live(world, { kind: 'turn' });
      live(world, { kind: 'end', how: 'Failed' });
    }
    const asked = [
      { kind: 'offboard', force: false, key: undefined },
      { kind: 'onboard', body: which, key: undefined },
    ] as const;
    for (const one of asked) {
      live(world, one);
      live(world, { kind: 'turn' });
      live(world, { kind: 'end', how: 'Succeeded' });
    }
    const { phase, isPresent, desired } = world.state;
    return phase === 'InMesh' && isPresent && desired?.workloadGroup === bodies[which]?.workloadGroup;
  });
  expect(fc.defaultReportMessage(fc.check(canLeave, runs))).toBeUndefined();
});
