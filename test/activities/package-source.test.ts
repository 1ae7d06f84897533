/** The package source over a directory and over HTTP. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { PackageSource } from '../../activities/adapters/package-source.ts';

const deb = 'istio-sidecar_1.30.0_amd64.deb';
const rpm = 'istio-sidecar-1.30.0.x86_64.rpm';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

let scratch: string;
let packages: string;
let server: Server;
const served: string[] = [];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'meshlift-packages-'));
  packages = join(scratch, 'packages');
  mkdirSync(packages);
  for (const file of [deb, rpm]) {
    writeFileSync(join(packages, file), file);
    writeFileSync(join(packages, `${file}.sha256`), `${sha256(file)}  ${file}\n`);
  }
  writeFileSync(join(packages, 'istio-sidecar_1.30.1_amd64.deb'), 'tampered with');
  writeFileSync(join(packages, 'istio-sidecar_1.30.1_amd64.deb.sha256'), sha256('as it was built'));
  writeFileSync(join(packages, 'istio-sidecar_1.30.2_amd64.deb'), 'without a digest');
  server = createServer((request, response) => {
    served.push(basename(request.url ?? ''));
    const file = basename(request.url ?? '').replace(/\?.*/, '');
    if (file.includes('9.9.9')) response.writeHead(503).end();
    else if (readdirSync(packages).includes(file)) response.end(readFileSync(join(packages, file)));
    else response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
});

afterAll(async () => {
  await new Promise((done) => server.close(done));
  rmSync(scratch, { recursive: true, force: true });
});

const directory = (): PackageSource => new PackageSource({ source: packages, cacheDirectory: join(scratch, 'unused') });
const remote = (): PackageSource =>
  new PackageSource({
    source: `http://127.0.0.1:${(server.address() as AddressInfo).port}/{format}/istio-sidecar_{version}_{arch}.deb`,
    cacheDirectory: join(scratch, 'cache'),
  });

describe.each([
  ['a directory', directory],
  ['a URL template', remote],
])('%s', (_, source) => {
  test('hands out the package of the version, with its digest', async () => {
    const found = await source().find('1.30.0', 'deb', 'amd64');
    expect(found).toMatchObject({ name: 'istio-sidecar', version: '1.30.0', sha256: sha256(deb) });
    expect(readFileSync(found.localPath, 'utf8')).toBe(deb);
  });

  test('refuses a package that differs from its digest, and one that has none', async () => {
    await expect(source().find('1.30.1', 'deb', 'amd64')).rejects.toMatchObject({ type: 'PackageChecksumWrong' });
    await expect(source().find('1.30.2', 'deb', 'amd64')).rejects.toMatchObject({ type: 'PackageMissing' });
  });

  test('says which package is missing', async () => {
    const missing = expect.stringContaining('istio-sidecar_1.29.0_amd64.deb') as unknown;
    await expect(source().find('1.29.0', 'deb', 'amd64')).rejects.toMatchObject({
      type: 'PackageMissing',
      nonRetryable: true,
      message: missing,
    });
  });
});

test('no message tells what stands in a query or before an @, and the digest stands beside the file, not the query', async () => {
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const from = (source: string): PackageSource => new PackageSource({ source, cacheDirectory: join(scratch, 'cache') });
  served.length = 0;
  const template = `http://${at}/istio-sidecar_{version}_{arch}.deb?token=s3cret`;
  for (const version of ['1.29.0', '1.30.1', '9.9.9']) {
    const message = expect.not.stringContaining('s3cret') as unknown;
    await expect(from(template).find(version, 'deb', 'amd64')).rejects.toMatchObject({ message });
  }
  expect(served).toContain('istio-sidecar_1.30.1_amd64.deb.sha256?token=s3cret');
  await expect(from(template.replace('//', '//me:s3cret@')).find('1.30.0', 'deb', 'amd64')).rejects.toMatchObject({
    type: 'PackageSourceUnreachable',
    message: expect.not.stringContaining('s3cret') as unknown,
  });
});

test('an rpm has rpm’s name of the architecture', async () => {
  expect(basename((await directory().find('1.30.0', 'rpm', 'amd64')).localPath)).toBe(rpm);
});

test('a download that is there already is not fetched again', async () => {
  await remote().find('1.30.0', 'deb', 'amd64');
  served.length = 0;
  await remote().find('1.30.0', 'deb', 'amd64');
  expect(served).toEqual([`${deb}.sha256`]);
});

test('a source that fails is unreachable, and worth a retry', async () => {
  await expect(remote().find('9.9.9', 'deb', 'amd64')).rejects.toMatchObject({
    type: 'PackageSourceUnreachable',
    nonRetryable: false,
  });
});
