/** The contracts' ABIs, as `npm run bindings` takes them from the compiled contracts. */
import {
  attestFacetAbi,
  dstackFacetAbi,
  messageFacetAbi,
  networkFacetAbi,
  operatorFacetAbi,
} from "./generated/contracts";

export {
  clusterDiamondFactoryAbi as clusterFactoryAbi,
  clusterMemberAbi as memberAbi,
  clusterMemberFactoryAbi as memberFactoryAbi,
} from "./generated/contracts";

/** Everything that a cluster answers to, whichever facet does. */
export const clusterAbi = [
  ...attestFacetAbi,
  ...messageFacetAbi,
  ...networkFacetAbi,
  ...dstackFacetAbi,
  ...operatorFacetAbi,
] as const;
