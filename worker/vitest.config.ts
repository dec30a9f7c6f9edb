import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { FiguresReporter } from "./test/support/figures.ts";

/**
 * What the test runner needs of the runtime, and would add with a line of log for each; the Worker needs none
 * of it.
 */
const TEST_RUNNER_FLAGS = [
  "nodejs_compat",
  "enable_nodejs_tty_module",
  "enable_nodejs_fs_module",
  "enable_nodejs_http_modules",
  "enable_nodejs_perf_hooks_module",
  "enable_nodejs_v8_module",
  "enable_nodejs_process_v2",
];

export default defineConfig({
  plugins: [
    cloudflareTest({
      wrangler: { configPath: "./wrangler.jsonc" },
      miniflare: { compatibilityFlags: TEST_RUNNER_FLAGS },
    }),
  ],
  test: {
    include: ["test/**/*.test.ts"],
    restoreMocks: true,
    silent: "passed-only",
    // A slow machine is no failure: the property tests take seconds on an idle one.
    testTimeout: 120_000,
    // One file instead of hundreds, for each test file again.
    deps: {
      optimizer: { ssr: { enabled: true, include: ["viem", "@noble/curves/secp256k1", "fast-check"] } },
    },
    reporters: ["default", new FiguresReporter()],
    coverage: {
      provider: "istanbul",
      include: ["src/**/*.ts"],
      exclude: ["src/generated/**"],
      reporter: [],
      thresholds: { "src/policy/**": { branches: 95 } },
    },
  },
});
