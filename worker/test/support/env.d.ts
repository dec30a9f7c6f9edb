declare namespace Cloudflare {
  interface Env extends WorkerEnv {}
}

type WorkerEnv = import("../../src/env").Env;
