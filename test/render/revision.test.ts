import { expect, test } from '@jest/globals';

import { chooseRevision, type RevisionSources, versionOfImage } from '../../activities/render/revision.ts';

const two: RevisionSources = { tags: new Map([['stable', '1-30-0']]), installed: ['1-30-0', '1-31-0'] };

const rows: readonly (readonly [string, RevisionSources, string | undefined])[] = [
  ['a revision is itself', { ...two, wanted: '1-31-0' }, '1-31-0'],
  ['a tag is resolved', { ...two, wanted: 'stable' }, '1-30-0'],
  ['an unknown name is unknown', { ...two, wanted: '1-29-0' }, undefined],
  [
    'a tag of a revision that is gone is unknown',
    { ...two, tags: new Map([['old', '1-29-0']]), wanted: 'old' },
    undefined,
  ],
  ['without a name the namespace’s label decides', { ...two, namespaceLabel: 'stable' }, '1-30-0'],
  ['the request wins over the namespace', { ...two, namespaceLabel: 'stable', wanted: '1-31-0' }, '1-31-0'],
  [
    '`default` means the mesh’s default, not the namespace’s',
    { ...two, namespaceLabel: 'stable', wanted: 'default', validator: '1-31-0' },
    '1-31-0',
  ],
  [
    'the tag default comes before the validator',
    { ...two, tags: new Map([['default', '1-30-0']]), validator: '1-31-0' },
    '1-30-0',
  ],
  ['an unrevisioned istiod is the default', { tags: new Map(), installed: ['default', '1-31-0'] }, 'default'],
  ['the only revision is the default', { tags: new Map(), installed: ['1-30-0'] }, '1-30-0'],
  ['of two nothing says which', two, undefined],
];

test.each(rows)('%s', (_, sources, expected) => {
  expect(chooseRevision(sources)).toBe(expected);
});

const images: readonly (readonly [string, string | undefined])[] = [
  ['docker.io/istio/pilot:1.30.0', '1.30.0'],
  ['docker.io/istio/pilot:1.30.0-distroless', '1.30.0'],
  ['registry:5000/istio/pilot:v1.31.0-beta.1', '1.31.0-beta.1'],
  ['docker.io/istio/pilot:1.30.1@sha256:abc', '1.30.1'],
  ['docker.io/istio/pilot@sha256:abc', undefined],
  ['docker.io/istio/pilot:latest', undefined],
];

test.each(images)('the version of image %s is %s', (image, expected) => {
  expect(versionOfImage(image)).toBe(expected);
});
