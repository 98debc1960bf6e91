// The order in which upstream's Go types declare their fields, of the types where it is not that of their protobuf numbers
// (fields that were put in later have later numbers, and stand where they belong). It shows where upstream quotes an object
// that it has encoded from its type.
import { builtInSchemas, type ObjectSchema } from "./schema.ts";

const declared: Readonly<Record<string, string>> = {
  "meta-v1.ObjectMeta":
    "name generateName namespace selfLink uid resourceVersion generation creationTimestamp deletionTimestamp deletionGracePeriodSeconds labels annotations ownerReferences finalizers managedFields",
  "admissionregistration-v1.NamedRuleWithOperations": "resourceNames operations apiGroups apiVersions resources scope",
  "admissionregistration-v1.ValidatingWebhook":
    "name clientConfig rules failurePolicy matchPolicy namespaceSelector objectSelector sideEffects timeoutSeconds admissionReviewVersions matchConditions",
  "admissionregistration-v1.MutatingWebhook":
    "name clientConfig rules failurePolicy matchPolicy namespaceSelector objectSelector sideEffects timeoutSeconds admissionReviewVersions reinvocationPolicy matchConditions",
  "admissionregistration-v1.WebhookClientConfig": "url service caBundle",
  "apps-v1.DeploymentStatus":
    "observedGeneration replicas updatedReplicas readyReplicas availableReplicas unavailableReplicas terminatingReplicas conditions collisionCount",
  "apps-v1.DeploymentCondition": "type status lastUpdateTime lastTransitionTime reason message",
  "apps-v1.ReplicaSetSpec": "replicas minReadySeconds selector template",
  "apps-v1.ReplicaSetStatus":
    "replicas fullyLabeledReplicas readyReplicas availableReplicas terminatingReplicas observedGeneration conditions",
  "authentication-v1.TokenReviewStatus": "authenticated user audiences error",
  "authentication-v1.TokenRequestSpec": "audiences expirationSeconds boundObjectRef",
  "authorization-v1.SubjectAccessReviewStatus": "allowed denied reason evaluationError",
  "autoscaling-v2.MetricSpec": "type object pods resource containerResource external",
  "autoscaling-v2.HPAScalingRules": "stabilizationWindowSeconds selectPolicy policies tolerance",
  "autoscaling-v2.MetricStatus": "type object pods resource containerResource external",
  "batch-v1.JobSpec":
    "parallelism completions activeDeadlineSeconds podFailurePolicy successPolicy backoffLimit backoffLimitPerIndex maxFailedIndexes selector manualSelector template ttlSecondsAfterFinished completionMode suspend podReplacementPolicy managedBy",
  "batch-v1.JobStatus":
    "conditions startTime completionTime active succeeded failed terminating completedIndexes failedIndexes uncountedTerminatedPods ready",
  "batch-v1.CronJobSpec":
    "schedule timeZone startingDeadlineSeconds concurrencyPolicy suspend jobTemplate successfulJobsHistoryLimit failedJobsHistoryLimit",
  "certificates-v1.CertificateSigningRequestSpec": "request signerName expirationSeconds usages username uid groups extra",
  "certificates-v1.CertificateSigningRequestCondition": "type status reason message lastUpdateTime lastTransitionTime",
  "core-v1.Volume":
    "name hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi glusterfs persistentVolumeClaim rbd flexVolume cinder cephfs flocker downwardAPI fc azureFile configMap vsphereVolume quobyte azureDisk photonPersistentDisk projected portworxVolume scaleIO storageos csi ephemeral image",
  "core-v1.PersistentVolumeSpec":
    "capacity gcePersistentDisk awsElasticBlockStore hostPath glusterfs nfs rbd iscsi cinder cephfs fc flocker flexVolume azureFile vsphereVolume quobyte azureDisk photonPersistentDisk portworxVolume scaleIO local storageos csi accessModes claimRef persistentVolumeReclaimPolicy storageClassName mountOptions volumeMode nodeAffinity volumeAttributesClassName",
  "core-v1.PersistentVolumeClaimSpec":
    "accessModes selector resources volumeName storageClassName volumeMode dataSource dataSourceRef volumeAttributesClassName",
  "core-v1.ISCSIVolumeSource":
    "targetPortal iqn lun iscsiInterface fsType readOnly portals chapAuthDiscovery chapAuthSession secretRef initiatorName",
  "core-v1.ISCSIPersistentVolumeSource":
    "targetPortal iqn lun iscsiInterface fsType readOnly portals chapAuthDiscovery chapAuthSession secretRef initiatorName",
  "core-v1.ClusterTrustBundleProjection": "name signerName labelSelector optional path",
  "core-v1.VolumeMount": "name readOnly recursiveReadOnly mountPath subPath mountPropagation subPathExpr",
  "core-v1.Probe":
    "exec httpGet tcpSocket grpc initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold terminationGracePeriodSeconds",
  "core-v1.Container":
    "name image command args workingDir ports envFrom env resources resizePolicy restartPolicy restartPolicyRules volumeMounts volumeDevices livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty",
  "core-v1.PodCondition": "type observedGeneration status lastProbeTime lastTransitionTime reason message",
  "core-v1.PodSpec":
    "volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds activeDeadlineSeconds dnsPolicy nodeSelector serviceAccountName serviceAccount automountServiceAccountToken nodeName hostNetwork hostPID hostIPC shareProcessNamespace securityContext imagePullSecrets hostname subdomain affinity schedulerName tolerations hostAliases priorityClassName priority dnsConfig readinessGates runtimeClassName enableServiceLinks preemptionPolicy overhead topologySpreadConstraints setHostnameAsFQDN os hostUsers schedulingGates resourceClaims resources hostnameOverride schedulingGroup",
  "core-v1.PodSecurityContext":
    "seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot supplementalGroups supplementalGroupsPolicy fsGroup sysctls fsGroupChangePolicy seccompProfile appArmorProfile seLinuxChangePolicy",
  "core-v1.EphemeralContainer":
    "name image command args workingDir ports envFrom env resources resizePolicy restartPolicy restartPolicyRules volumeMounts volumeDevices livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty targetContainerName",
  "core-v1.PodStatus":
    "observedGeneration phase conditions message reason nominatedNodeName hostIP hostIPs podIP podIPs startTime initContainerStatuses containerStatuses qosClass ephemeralContainerStatuses resize resourceClaimStatuses extendedResourceClaimStatus allocatedResources resources nodeAllocatableResourceClaimStatuses",
  "core-v1.ReplicationControllerSpec": "replicas minReadySeconds selector template",
  "core-v1.ReplicationControllerStatus": "replicas fullyLabeledReplicas readyReplicas availableReplicas observedGeneration conditions",
  "core-v1.ServiceSpec":
    "ports selector clusterIP clusterIPs type externalIPs sessionAffinity loadBalancerIP loadBalancerSourceRanges externalName externalTrafficPolicy healthCheckNodePort publishNotReadyAddresses sessionAffinityConfig ipFamilies ipFamilyPolicy allocateLoadBalancerNodePorts loadBalancerClass internalTrafficPolicy trafficDistribution",
  "core-v1.ServicePort": "name protocol appProtocol port targetPort nodePort",
  "core-v1.EndpointAddress": "ip hostname nodeName targetRef",
  "core-v1.NodeSpec": "podCIDR podCIDRs providerID unschedulable taints configSource externalID",
  "core-v1.Secret": "metadata immutable data stringData type",
  "core-v1.ConfigMap": "metadata immutable data binaryData",
  "core-v1.SecurityContext":
    "capabilities privileged seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation procMount seccompProfile appArmorProfile",
  "discovery-v1.EndpointSlice": "metadata addressType endpoints ports",
  "networking-v1.IngressSpec": "ingressClassName defaultBackend tls rules",
  "networking-v1.HTTPIngressPath": "path pathType backend",
  "networking-v1.IngressBackend": "service resource",
  "resource-v1.AllocatedDeviceStatus": "driver pool device shareID conditions data networkData",
  "meta-v1.OwnerReference": "apiVersion kind name uid controller blockOwnerDeletion",
  "meta-v1.StatusDetails": "name group kind uid causes retryAfterSeconds",
  "meta-v1.APIResource": "name singularName namespaced group version kind verbs shortNames categories storageVersionHash",
  "apiextensions-v1.WebhookClientConfig": "url service caBundle",
  "apiextensions-v1.CustomResourceDefinitionVersion":
    "name served storage deprecated deprecationWarning schema subresources additionalPrinterColumns selectableFields",
};

const ranks = new WeakMap<ObjectSchema, ReadonlyMap<string, number>>();

/** The place of each field of a type; what is missing in it stands last. */
export function fieldRanks(schema: ObjectSchema): ReadonlyMap<string, number> {
  let known = ranks.get(schema);
  if (!known) {
    known = rankFields(schema);
    ranks.set(schema, known);
  }
  return known;
}

function rankFields(schema: ObjectSchema): ReadonlyMap<string, number> {
  const listed = declared[schema.name];
  const names = listed !== undefined && schema === builtInSchemas.get(schema.name) ? listed.split(" ") : undefined;
  const ranked = names
    ? new Map(names.map((name, i) => [name, i]))
    : new Map([...schema.fields.values()].map((field) => [field.name, Number.parseInt(field.proto ?? "0", 10)]));
  // Of kinds the first two fields are those of the type itself.
  if (schema.kinds.length > 0) [..."kind apiVersion".split(" ").entries()].forEach(([i, name]) => void ranked.set(name, i - 2));
  return ranked;
}
