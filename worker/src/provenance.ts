/**
 * What only the chain knows, remembered in KV: a yes for a day; a no for ten minutes about what a factory deployed, but
 * no longer than KV can about what a cluster's owner allows, since nodes that wait for it are not to wait for us.
 */
import { encodeFunctionData, hexToBigInt, size, type Address, type Hex } from "viem";
import { clusterAbi, clusterFactoryAbi, memberFactoryAbi } from "./abi";
import { callChain } from "./chain";
import type { Config } from "./env";
import type { ChainFacts } from "./policy/policy";

const YES_SECONDS = 24 * 60 * 60;
const NOT_DEPLOYED_SECONDS = 10 * 60;
const NOT_ALLOWED_SECONDS = 60;

type Answer = "yes" | "no";

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
    return this.#anySaysYes(this.#config.clusterFactories, data, NOT_DEPLOYED_SECONDS);
  }

  isMemberContract(address: Address): Promise<boolean> {
    const data = encodeFunctionData({ abi: memberFactoryAbi, functionName: "isOurMember", args: [address] });
    return this.#anySaysYes(this.#config.memberFactories, data, NOT_DEPLOYED_SECONDS);
  }

  isAllowedApp(cluster: Address, app: Address): Promise<boolean> {
    const data = encodeFunctionData({ abi: clusterAbi, functionName: "allowedAppIds", args: [app] });
    return this.#anySaysYes([cluster], data, NOT_ALLOWED_SECONDS);
  }

  isKmsRoot(cluster: Address, root: Address): Promise<boolean> {
    const data = encodeFunctionData({ abi: clusterAbi, functionName: "allowedKmsRoots", args: [root] });
    return this.#anySaysYes([cluster], data, NOT_ALLOWED_SECONDS);
  }

  isOperator(cluster: Address, operator: Address): Promise<boolean> {
    const data = encodeFunctionData({ abi: clusterAbi, functionName: "isOperator", args: [operator] });
    return this.#anySaysYes([cluster], data, NOT_ALLOWED_SECONDS);
  }

  /**
   * Remembered yeses of all contracts come before any no, so that a second factory costs the first one
   * nothing.
   */
  async #anySaysYes(contracts: readonly Address[], data: Hex, noSeconds: number): Promise<boolean> {
    if (contracts.length === 0) return false;
    if ((await this.#remembered("yes", contracts, data)).size > 0) return true;
    const refused = await this.#remembered("no", contracts, data);
    const open = contracts.filter((contract) => !refused.has(contract));
    const answers = await Promise.all(open.map((contract) => this.#ask(contract, data, noSeconds)));
    return answers.includes(true);
  }

  #key(answer: Answer, contract: Address, data: Hex): string {
    return `${answer}/${this.#config.policy.chainId}/${contract}/${data}`;
  }

  async #remembered(answer: Answer, contracts: readonly Address[], data: Hex): Promise<Set<Address>> {
    const values = await this.#kv.get(contracts.map((contract) => this.#key(answer, contract, data)));
    return new Set(contracts.filter((contract) => values.get(this.#key(answer, contract, data)) != null));
  }

  async #ask(contract: Address, data: Hex, noSeconds: number): Promise<boolean> {
    const result = await callChain(this.#config.rpcUrls, contract, data);
    const isYes = size(result) === 32 && hexToBigInt(result) === 1n;
    const key = this.#key(isYes ? "yes" : "no", contract, data);
    this.#defer(this.#kv.put(key, "1", { expirationTtl: isYes ? YES_SECONDS : noSeconds }));
    return isYes;
  }
}
