import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BUILD } from "../devnet/lib/instance.mjs";
import { runScenarios } from "../e2e/lib/runner.mjs";

const GUEST_BINARIES = ["netlink/device_check", "transport/test_transport"].map((name) => join(BUILD, "test/unit", name));

process.exit(
  await runScenarios({
    suite: "kernel",
    files: [fileURLToPath(new URL("kernel.test.mjs", import.meta.url))],
    options: { nodes: 2, backend: "kernel", guestBinaries: GUEST_BINARIES },
  }),
);
