import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { CLOSED_PORT, listeningApi } from '../support/listening-api.ts';
import type { ListeningApi } from '../support/listening-api.ts';

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

let api: ListeningApi;
let document: Document;
beforeAll(async () => {
  api = await listeningApi(CLOSED_PORT);
  document = (await (await fetch(`${api.url}/openapi.json`)).json()) as Document;
}, 60_000);
afterAll(async () => {
  await api.close();
});

test('is OpenAPI 3.1 and lists exactly the calls that exist', () => {
  expect(document.openapi).toMatch(/^3\.1\./);
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => `${method} ${path} ${operationId}`),
  );
  expect(calls.sort()).toEqual([
    'delete /v1/machines/{namespace}/{name} offboardMachine',
    'get /livez isLive',
    'get /readyz isReady',
    'get /v1/machines listMachines',
    'get /v1/machines/{namespace}/{name} getMachine',
    'get /v1/migrations listMigrations',
    'get /v1/migrations/{namespace}/{name} getMigration',
    'get /v1/operations listOperations',
    'get /v1/operations/{id} getOperation',
    'get /v1/operations/{id}/events followOperation',
    'patch /v1/machines/{namespace}/{name} patchMachine',
    'post /v1/machines onboardMachine',
    'post /v1/machines/{namespace}/{name}/drain drainMachine',
    'post /v1/machines/{namespace}/{name}/enforce enforceMachine',
    'post /v1/machines/{namespace}/{name}/restart-proxy restartProxy',
    'post /v1/machines/{namespace}/{name}/undrain undrainMachine',
    'post /v1/migrations createMigration',
    'post /v1/operations/{id}/approve approveOperation',
    'post /v1/operations/{id}/cancel cancelOperation',
    'post /v1/operations/{id}/finalize finalizeOperation',
    'post /v1/operations/{id}/pause pauseOperation',
    'post /v1/operations/{id}/resume resumeOperation',
    'post /v1/operations/{id}/rollback rollbackOperation',
  ]);
});

test('names its schemas, and every reference leads to one', () => {
  const names = Object.keys(document.components.schemas);
  expect(names).toEqual(
    expect.arrayContaining(['Condition', 'Machine', 'OnboardMachine', 'Operation', 'Plan', 'Problem']),
  );
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(
    ([, name]) => name,
  );
  expect(new Set(references)).toEqual(new Set(names));
});

test('is shown on a page whose parts all come from the API itself', async () => {
  const page = await fetch(`${api.url}/docs/`);
  expect(page.status).toBe(200);
  const html = await page.text();
  expect(html).toContain('swagger-ui');
  expect(html).not.toMatch(/(src|href)="https?:/);
});
