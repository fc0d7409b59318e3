import { defineConfig } from 'vitest/config';

// Two cores everywhere we run: few files at a time, and room for the ones that start real processes.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
