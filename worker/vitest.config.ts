import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { FiguresReporter } from "./test/support/figures.ts";

export default defineConfig({
  plugins: [
    cloudflareTest({
      wrangler: { configPath: "./wrangler.jsonc" },
      // The test runner's need, not the Worker's.
      miniflare: { compatibilityFlags: ["nodejs_compat"] },
    }),
  ],
  test: {
    include: ["test/**/*.test.ts"],
    restoreMocks: true,
    silent: "passed-only",
    // One file instead of hundreds, for each test file again.
    deps: { optimizer: { ssr: { enabled: true, include: ["viem", "@noble/curves/secp256k1", "fast-check"] } } },
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
