const transform = {
  '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' } }],
};
const layer = (displayName, testMatch, extra = {}) => ({
  displayName,
  testMatch: testMatch.map((glob) => `<rootDir>/test/${glob}`),
  transform,
  extensionsToTreatAsEsm: ['.ts'],
  ...extra,
});

/**
 * The layers: `pure` needs nothing but data; `alone`, `platform`, `audit` and `matrix` the shared sandbox, the first of them all of
 * the computer, where requests are counted or workers killed; `lifecycle` one without a sandbox.
 */
export default {
  projects: [
    layer('pure', ['{plan,render,schemas,api,cli,sandbox}/**/*.test.ts']),
    layer('platform', ['{activities,workflows,replay,e2e,docs}/**/*.test.ts']),
    layer('alone', ['alone/**/*.test.ts']),
    layer('audit', ['audit/**/*.test.ts']),
    layer('matrix', ['matrix/**/*.test.ts']),
    layer('lifecycle', ['lifecycle/**/*.test.ts']),
  ],
};
