import { expect, test } from '@jest/globals';

import { mountsUnder } from '../../sandbox/mounts.ts';

const mountinfo = [
  '24 30 0:22 / /proc rw,relatime shared:5 - proc proc rw',
  '51 30 0:44 / /run/meshlift-sandbox/kubelet/root/pods/1/volumes/token rw,relatime - tmpfs tmpfs rw',
  '52 30 0:45 / /run/meshlift-sandbox-of-another rw,relatime - tmpfs tmpfs rw',
  '53 30 0:46 / /run/meshlift-sandbox/a rw,relatime - tmpfs tmpfs rw',
  String.raw`54 53 0:47 / /run/meshlift-sandbox/a/b\040c rw,relatime - tmpfs tmpfs rw`,
  '55 53 0:48 / /run/meshlift-sandbox/a rw,relatime - tmpfs tmpfs rw',
  '',
].join('\n');

test('lists mounts below the folder, the last made first, so that none is unmounted under another', () => {
  expect(mountsUnder('/run/meshlift-sandbox', mountinfo)).toEqual([
    '/run/meshlift-sandbox/a',
    '/run/meshlift-sandbox/a/b c',
    '/run/meshlift-sandbox/a',
    '/run/meshlift-sandbox/kubelet/root/pods/1/volumes/token',
  ]);
});

test('lists nothing where nothing is mounted', () => {
  expect(mountsUnder('/run/elsewhere', mountinfo)).toEqual([]);
});
