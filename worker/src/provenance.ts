/** What only the chain knows, remembered in KV: a yes for a day, a no for ten minutes. */
import { encodeFunctionData, hexToBigInt, size, type Address, type Hex } from "viem";
import { clusterAbi, clusterFactoryAbi, memberFactoryAbi } from "./abi";
import { callChain } from "./chain";
import type { Config } from "./env";
import type { ChainFacts } from "./policy/policy";

const SECONDS_OF = { yes: 24 * 60 * 60, no: 10 * 60 } as const;

type Answer = keyof typeof SECONDS_OF;

export class Provenance implements ChainFacts {
  readonly #config: Config;
  readonly #kv: KVNamespace;
  readonly #defer: (work: Promise<unknown>) => void;

  /** `defer` keeps the request alive until the work is done and reports its failure. */
  constructor(config: Config, kv: KVNamespace, defer: (work: Promise<unknown>) => void) {
    this.#config = config;
    this.#kv = kv;
    this.#defer = defer;
  }

  isCluster(address: Address): Promise<boolean> {
    const data = encodeFunctionData({
      abi: clusterFactoryAbi,
      functionName: "isDeployedCluster",
      args: [address],
    });
    return this.#anySaysYes(this.#config.clusterFactories, data);
  }

  isMemberContract(address: Address): Promise<boolean> {
    const data = encodeFunctionData({ abi: memberFactoryAbi, functionName: "isOurMember", args: [address] });
    return this.#anySaysYes(this.#config.memberFactories, data);
  }

  isAllowedApp(cluster: Address, app: Address): Promise<boolean> {
    const data = encodeFunctionData({ abi: clusterAbi, functionName: "allowedAppIds", args: [app] });
    return this.#anySaysYes([cluster], data);
  }

  isKmsRoot(cluster: Address, root: Address): Promise<boolean> {
    const data = encodeFunctionData({ abi: clusterAbi, functionName: "allowedKmsRoots", args: [root] });
    return this.#anySaysYes([cluster], data);
  }

  isOperator(cluster: Address, operator: Address): Promise<boolean> {
    const data = encodeFunctionData({ abi: clusterAbi, functionName: "isOperator", args: [operator] });
    return this.#anySaysYes([cluster], data);
  }

  /**
   * Remembered yeses of all contracts come before any no, so that a second factory costs the first one
   * nothing.
   */
  async #anySaysYes(contracts: readonly Address[], data: Hex): Promise<boolean> {
    if (contracts.length === 0) return false;
    if ((await this.#remembered("yes", contracts, data)).size > 0) return true;
    const refused = await this.#remembered("no", contracts, data);
    const open = contracts.filter((contract) => !refused.has(contract));
    const answers = await Promise.all(open.map((contract) => this.#ask(contract, data)));
    return answers.includes(true);
  }

  #key(answer: Answer, contract: Address, data: Hex): string {
    return `${answer}/${this.#config.policy.chainId}/${contract}/${data}`;
  }

  async #remembered(answer: Answer, contracts: readonly Address[], data: Hex): Promise<Set<Address>> {
    const values = await this.#kv.get(contracts.map((contract) => this.#key(answer, contract, data)));
    return new Set(contracts.filter((contract) => values.get(this.#key(answer, contract, data)) != null));
  }

  async #ask(contract: Address, data: Hex): Promise<boolean> {
    const result = await callChain(this.#config.rpcUrls, contract, data);
    const isYes = size(result) === 32 && hexToBigInt(result) === 1n;
    const answer = isYes ? "yes" : "no";
    this.#defer(this.#kv.put(this.#key(answer, contract, data), "1", { expirationTtl: SECONDS_OF[answer] }));
    return isYes;
  }
}
