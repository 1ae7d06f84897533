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
 * The layers: `pure` needs nothing but data; `traffic`, `platform`, `audit` and `matrix` the shared sandbox, the first of them all of
 * the computer, since it counts lost requests; `lifecycle` one without a sandbox.
 */
export default {
  projects: [
    layer('pure', ['{plan,render,schemas,api,cli,sandbox}/**/*.test.ts']),
    layer('platform', ['{activities,workflows,replay,e2e,docs}/**/*.test.ts']),
    layer('traffic', ['traffic/**/*.test.ts']),
    layer('audit', ['audit/**/*.test.ts']),
    layer('matrix', ['matrix/**/*.test.ts']),
    layer('lifecycle', ['lifecycle/**/*.test.ts']),
  ],
};
