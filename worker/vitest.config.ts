import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { FiguresReporter } from "./test/support/figures.ts";

export default defineConfig({
  plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.jsonc" } })],
  test: {
    include: ["test/**/*.test.ts"],
    restoreMocks: true,
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
