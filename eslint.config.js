import eslint from '@eslint/js';
import jest from 'eslint-plugin-jest';
import tseslint from 'typescript-eslint';

/** Bans value imports by path pattern; `import type` stays allowed. */
const banValues = (group, message) => ({ group, allowTypeImports: true, message });
/** Bans every import by path pattern, types included. */
const banAll = (group, message) => ({ group, message });

const nodeBuiltIns = { regex: '^node:', message: 'This folder has no I/O: pass the value in as an argument.' };
const adapters = banAll(
  ['**/adapters/**'],
  'Only worker/ports.ts and, for AccessPort alone, api/server.ts join adapters to ports.',
);
const sandbox = banAll(
  ['**/sandbox/**', '**/demo/**', '**/bench/**', '**/test/**'],
  'The product knows nothing of the sandbox or the tests.',
);
const restrict = (...patterns) => ({ '@typescript-eslint/no-restricted-imports': ['error', { patterns }] });

export default tseslint.config(
  { ignores: ['node_modules/', 'test/replay/histories/'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      // Numbers in messages are the norm here: ports, counts, seconds.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // A schema constant and its type share one name (house rule: one schema per shape).
      '@typescript-eslint/no-redeclare': 'off',
      // tsconfig's noPropertyAccessFromIndexSignature asks for the bracket form.
      '@typescript-eslint/dot-notation': ['error', { allowIndexSignaturePropertyAccess: true }],
    },
  },
  { files: ['{activities,api,cli,worker,workflows}/**/*.ts'], rules: restrict(sandbox, adapters) },
  {
    files: ['workflows/**/*.ts'],
    rules: restrict(
      sandbox,
      nodeBuiltIns,
      banValues(
        ['**/activities/**', '**/api/**', '**/worker/**'],
        'Workflows take only types from outside their folder.',
      ),
    ),
  },
  {
    files: ['workflows/plan/**/*.ts', 'activities/render/**/*.ts'],
    rules: {
      ...restrict(sandbox, nodeBuiltIns, {
        regex: '^(@temporalio/|\\.\\./[^/]*\\.ts$|\\.\\./\\.\\./(?!(activities/render|workflows/plan)/))',
        allowTypeImports: true,
        message: 'Plan and render are pure: types and each other only.',
      }),
      'no-restricted-globals': ['error', 'Date', 'process', 'setTimeout', 'fetch', 'crypto'],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random' }],
      'no-restricted-syntax': ['error', { selector: ':function[async=true]', message: 'Plan and render are pure.' }],
    },
  },
  {
    files: ['api/**/*.ts'],
    ignores: ['api/server.ts'],
    rules: restrict(
      sandbox,
      adapters,
      banValues(['**/activities/**', '**/workflows/**'], 'The API talks to workflows by name and by type.'),
    ),
  },
  { files: ['worker/ports.ts', 'api/server.ts', 'activities/adapters/**/*.ts'], rules: restrict(sandbox) },
  {
    files: ['sandbox/**/*.ts'],
    rules: restrict(
      banAll(
        ['**/activities/**', '**/api/**', '**/worker/**', '**/workflows/**'],
        'The sandbox knows nothing of the product.',
      ),
    ),
  },
  {
    files: ['demo/**/*.ts'],
    rules: restrict(
      banAll(['**/activities/**', '**/worker/**', '**/workflows/**'], 'The demo uses Meshlift through its API alone.'),
      banValues(['**/api/**'], 'The demo takes only the types of the API.'),
    ),
  },
  { files: ['**/*.{js,mjs}'], languageOptions: { globals: { process: 'readonly', console: 'readonly' } } },
  {
    files: ['test/**/*.ts'],
    extends: [jest.configs['flat/recommended']],
    rules: { 'jest/expect-expect': ['error', { assertFunctionNames: ['expect*'] }] },
  },
);
