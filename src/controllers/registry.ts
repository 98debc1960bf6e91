// Every controller there is, in the order in which they start. Adding one is adding a file and a line.

import { clusterRoleAggregation } from "./cluster-role-aggregation.ts";
import type { Controller } from "./controller.ts";
import { deploymentController } from "./deployment/deployment.ts";
import { endpointSliceController } from "./endpoints/endpoint-slice.ts";
import { endpointSliceMirroring } from "./endpoints/endpoint-slice-mirroring.ts";
import { endpointsController } from "./endpoints/endpoints.ts";
import { garbageCollector } from "./garbage-collector/garbage-collector.ts";
import { jobController } from "./job/job-controller.ts";
import { namespaceController } from "./namespace/namespace.ts";
import { nodeIpamController } from "./node-ipam/node-ipam.ts";
import { nodeLifecycleController } from "./node-lifecycle/node-lifecycle.ts";
import { nodeTtlController } from "./node-ttl.ts";
import { podGarbageCollector } from "./pod-gc.ts";
import { replicaSetController, replicationController } from "./replica-set.ts";
import { rootCaPublisher } from "./root-ca-publisher.ts";
import { serviceAccountController } from "./service-account.ts";
import { taintEvictionController } from "./taint-eviction.ts";

export const allControllers: readonly Controller[] = [
  serviceAccountController,
  rootCaPublisher,
  namespaceController,
  nodeIpamController,
  nodeLifecycleController,
  taintEvictionController,
  nodeTtlController,
  clusterRoleAggregation,
  endpointsController,
  endpointSliceController,
  endpointSliceMirroring,
  replicationController,
  replicaSetController,
  deploymentController,
  jobController,
  garbageCollector,
  podGarbageCollector,
];
