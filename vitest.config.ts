import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 30_000 } },
      {
        test: {
          name: 'kafka',
          include: ['test/kafka/**/*.test.ts'],
          globalSetup: ['test/kafka/stack.ts'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          // they mostly wait: for polls, sessions and pauses
          maxWorkers: 4,
        },
      },
    ],
  },
})
