import type { Reporter, TestModule } from "vitest/node";

declare module "vitest" {
  interface TaskMeta {
    /** Numbers that a test found out and that are worth printing. */
    figures?: Record<string, number>;
  }
}

/**
 * The part of istanbul's coverage map that is read here: for each branch point, how often each way was taken.
 */
interface CoverageMap {
  files(): string[];
  fileCoverageFor(file: string): { b: Record<string, number[]> };
}

/** Prints the figures, one `name value` per line, and a closing line. */
export class FiguresReporter implements Reporter {
  #policyCoverage = "";

  onCoverage(coverage: unknown): void {
    const map = coverage as CoverageMap;
    const ways = map
      .files()
      .filter((file) => file.includes("/src/policy/"))
      .flatMap((file) => Object.values(map.fileCoverageFor(file).b).flat());
    const taken = ways.filter((times) => times > 0).length;
    this.#policyCoverage = `policy_branch_coverage ${((100 * taken) / ways.length).toFixed(1)}`;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    for (const test of tests) {
      for (const [name, value] of Object.entries(test.meta().figures ?? {})) console.log(`${name} ${value}`);
    }
    if (this.#policyCoverage) console.log(this.#policyCoverage);
    const count = (state: string): number => tests.filter((test) => test.result().state === state).length;
    console.log(`worker: ${count("passed")} passed, ${count("failed")} failed`);
  }
}
