// Every controller there is, in the order in which they start. Adding one is adding a file and a line.

import { attachDetachController } from "./attach-detach/attach-detach.ts";
import { horizontalPodAutoscalerController } from "./autoscaling/horizontal-pod-autoscaler.ts";
import { bootstrapSigner, tokenCleaner } from "./bootstrap-tokens.ts";
import { servingRequestApprover } from "./certificates/serving-approver.ts";
import { signingRequestApprover, signingRequestCleaner, signingRequestSigner } from "./certificates/signing-requests.ts";
import { clusterRoleAggregation } from "./cluster-role-aggregation.ts";
import type { Controller } from "./controller.ts";
import { cronJobController } from "./cronjob/cronjob-controller.ts";
import { daemonSetController } from "./daemon-set/daemon-set.ts";
import { deploymentController } from "./deployment/deployment.ts";
import { deviceTaintEvictionController } from "./device-taint-eviction.ts";
import { disruptionController } from "./disruption/disruption.ts";
import { endpointSliceController } from "./endpoints/endpoint-slice.ts";
import { endpointSliceMirroring } from "./endpoints/endpoint-slice-mirroring.ts";
import { endpointsController } from "./endpoints/endpoints.ts";
import { garbageCollector } from "./garbage-collector/garbage-collector.ts";
import { jobController } from "./job/job-controller.ts";
import { legacyTokenCleaner } from "./legacy-token-cleaner.ts";
import { namespaceController } from "./namespace/namespace.ts";
import { nodeIpamController } from "./node-ipam/node-ipam.ts";
import { nodeLifecycleController } from "./node-lifecycle/node-lifecycle.ts";
import { nodeTtlController } from "./node-ttl.ts";
import { podGarbageCollector } from "./pod-gc.ts";
import { policyStatusController } from "./policy-status.ts";
import { replicaSetController, replicationController } from "./replica-set.ts";
import { resourceClaimController } from "./resource-claim/resource-claim.ts";
import { resourceQuotaController } from "./resource-quota/resource-quota.ts";
import { rootCaPublisher } from "./root-ca-publisher.ts";
import { serviceAccountController } from "./service-account.ts";
import { serviceAccountTokenController } from "./service-account-tokens.ts";
import { serviceCidrController } from "./service-cidr.ts";
import { statefulSetController } from "./stateful-set/stateful-set.ts";
import { attributesClassProtectionController, claimProtectionController, volumeProtectionController } from "./storage-protection.ts";
import { storageVersionCollector } from "./storage-version-collector.ts";
import { taintEvictionController } from "./taint-eviction.ts";
import { ttlAfterFinishedController } from "./ttl-after-finished.ts";
import { ephemeralVolumeController } from "./volume-binding/ephemeral-volume.ts";
import { volumeBinder } from "./volume-binding/volume-binder.ts";
import { volumeExpander } from "./volume-binding/volume-expander.ts";

export const allControllers: readonly Controller[] = [
  serviceAccountController,
  rootCaPublisher,
  namespaceController,
  nodeIpamController,
  nodeLifecycleController,
  taintEvictionController,
  deviceTaintEvictionController,
  nodeTtlController,
  clusterRoleAggregation,
  endpointsController,
  endpointSliceController,
  endpointSliceMirroring,
  replicationController,
  replicaSetController,
  deploymentController,
  daemonSetController,
  statefulSetController,
  horizontalPodAutoscalerController,
  disruptionController,
  claimProtectionController,
  volumeProtectionController,
  attributesClassProtectionController,
  ttlAfterFinishedController,
  resourceQuotaController,
  jobController,
  cronJobController,
  volumeBinder,
  ephemeralVolumeController,
  resourceClaimController,
  serviceCidrController,
  volumeExpander,
  attachDetachController,
  signingRequestApprover,
  signingRequestSigner,
  signingRequestCleaner,
  serviceAccountTokenController,
  legacyTokenCleaner,
  bootstrapSigner,
  tokenCleaner,
  servingRequestApprover,
  policyStatusController,
  storageVersionCollector,
  garbageCollector,
  podGarbageCollector,
];
