// The fields of upstream's internal types, in their order and under their Go names. Some answers of the API server show
// objects in this form: what a pod update may not change, a strategy or a security context that is refused.
// A line "Type: Field:type Field=jsonName:type …" describes a type; the JSON name is the field's own with a small first
// letter unless it is given. Types: s text, n number, b boolean, q quantity, i number or text, j a value that is shown as
// its JSON, m metadata shown inline, "[" list, "{" map, "?" null when absent.
const table = `
AWSElasticBlockStoreVolumeSource: VolumeID:s FSType=fsType:s Partition:n ReadOnly:b
Affinity: NodeAffinity:?NodeAffinity PodAffinity:?PodAffinity PodAntiAffinity:?PodAntiAffinity
AppArmorProfile: Type:s LocalhostProfile:?s
AzureDiskVolumeSource: DiskName:s DataDiskURI=diskURI:s CachingMode:?s FSType=fsType:?s ReadOnly:?b Kind:?s
AzureFileVolumeSource: SecretName:s ShareName:s ReadOnly:b
CSIVolumeSource: Driver:s ReadOnly:?b FSType=fsType:?s VolumeAttributes:{s NodePublishSecretRef:?LocalObjectReference
Capabilities: Add:[s Drop:[s
CephFSVolumeSource: Monitors:[s Path:s User:s SecretFile:s SecretRef:?LocalObjectReference ReadOnly:b
CinderVolumeSource: VolumeID:s FSType=fsType:s ReadOnly:b SecretRef:?LocalObjectReference
ClusterTrustBundleProjection: Name:?s SignerName:?s LabelSelector:?j Optional:?b Path:s
ConfigMapEnvSource: Name:s Optional:?b
ConfigMapKeySelector: Name:s Key:s Optional:?b
ConfigMapProjection: Name:s Items:[KeyToPath Optional:?b
ConfigMapVolumeSource: Name:s Items:[KeyToPath DefaultMode:?n Optional:?b
Container: Name:s Image:s Command:[s Args:[s WorkingDir:s Ports:[ContainerPort EnvFrom:[EnvFromSource Env:[EnvVar
  Resources:ResourceRequirements ResizePolicy:[ContainerResizePolicy RestartPolicy:?s RestartPolicyRules:[ContainerRestartRule
  VolumeMounts:[VolumeMount VolumeDevices:[VolumeDevice LivenessProbe:?Probe ReadinessProbe:?Probe StartupProbe:?Probe
  Lifecycle:?Lifecycle TerminationMessagePath:s TerminationMessagePolicy:s ImagePullPolicy:s SecurityContext:?SecurityContext
  Stdin:b StdinOnce:b TTY=tty:b
ContainerPort: Name:s HostPort:n ContainerPort:n Protocol:s HostIP:s
ContainerResizePolicy: ResourceName:s RestartPolicy:s
ContainerRestartRule: Action:s ExitCodes:?ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes: Operator:s Values:[n
DaemonSetUpdateStrategy: Type:s RollingUpdate:?RollingUpdateDaemonSet
DeploymentStrategy: Type:s RollingUpdate:?RollingUpdateDeployment
DownwardAPIProjection: Items:[DownwardAPIVolumeFile
DownwardAPIVolumeFile: Path:s FieldRef:?ObjectFieldSelector ResourceFieldRef:?ResourceFieldSelector Mode:?n
DownwardAPIVolumeSource: Items:[DownwardAPIVolumeFile DefaultMode:?n
EmptyDirVolumeSource: Medium:s SizeLimit:?q
EnvFromSource: Prefix:s ConfigMapRef:?ConfigMapEnvSource SecretRef:?SecretEnvSource
EnvVar: Name:s Value:s ValueFrom:?EnvVarSource
EnvVarSource: FieldRef:?ObjectFieldSelector ResourceFieldRef:?ResourceFieldSelector ConfigMapKeyRef:?ConfigMapKeySelector
  SecretKeyRef:?SecretKeySelector FileKeyRef:?FileKeySelector
EphemeralContainer: Name:s Image:s Command:[s Args:[s WorkingDir:s Ports:[ContainerPort EnvFrom:[EnvFromSource Env:[EnvVar
  Resources:ResourceRequirements ResizePolicy:[ContainerResizePolicy RestartPolicy:?s RestartPolicyRules:[ContainerRestartRule
  VolumeMounts:[VolumeMount VolumeDevices:[VolumeDevice LivenessProbe:?Probe ReadinessProbe:?Probe StartupProbe:?Probe
  Lifecycle:?Lifecycle TerminationMessagePath:s TerminationMessagePolicy:s ImagePullPolicy:s SecurityContext:?SecurityContext
  Stdin:b StdinOnce:b TTY=tty:b TargetContainerName:s
EphemeralVolumeSource: VolumeClaimTemplate:?PersistentVolumeClaimTemplate
EventSource: Component:s Host:s
ExecAction: Command:[s
FCVolumeSource: TargetWWNs:[s Lun:?n FSType=fsType:s ReadOnly:b WWIDs=wwids:[s
FileKeySelector: VolumeName:s Path:s Key:s Optional:?b
FlexVolumeSource: Driver:s FSType=fsType:s SecretRef:?LocalObjectReference ReadOnly:b Options:{s
FlockerVolumeSource: DatasetName:s DatasetUUID:s
GCEPersistentDiskVolumeSource: PDName=pdName:s FSType=fsType:s Partition:n ReadOnly:b
GRPCAction: Port:n Service:?s
GitRepoVolumeSource: Repository:s Revision:s Directory:s
GlusterfsVolumeSource: EndpointsName=endpoints:s Path:s ReadOnly:b
HTTPGetAction: Path:s Port:i Host:s Scheme:s HTTPHeaders=httpHeaders:[HTTPHeader
HTTPHeader: Name:s Value:s
HostAlias: IP=ip:s Hostnames:[s
HostIP: IP=ip:s
HostPathVolumeSource: Path:s Type:?s
ISCSIVolumeSource: TargetPortal:s IQN=iqn:s Lun:n ISCSIInterface=iscsiInterface:s FSType=fsType:s ReadOnly:b Portals:[s
  DiscoveryCHAPAuth=chapAuthDiscovery:b SessionCHAPAuth=chapAuthSession:b SecretRef:?LocalObjectReference InitiatorName:?s
ImageVolumeSource: Reference:s PullPolicy:s
KeyToPath: Key:s Path:s Mode:?n
Lifecycle: PostStart:?LifecycleHandler PreStop:?LifecycleHandler StopSignal:?s
LifecycleHandler: Exec:?ExecAction HTTPGet=httpGet:?HTTPGetAction TCPSocket=tcpSocket:?TCPSocketAction Sleep:?SleepAction
LocalObjectReference: Name:s
NFSVolumeSource: Server:s Path:s ReadOnly:b
NodeAffinity: RequiredDuringSchedulingIgnoredDuringExecution:?NodeSelector
  PreferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm
NodeSelector: NodeSelectorTerms:[NodeSelectorTerm
NodeSelectorRequirement: Key:s Operator:s Values:[s
NodeSelectorTerm: MatchExpressions:[NodeSelectorRequirement MatchFields:[NodeSelectorRequirement
ObjectFieldSelector: APIVersion=apiVersion:s FieldPath:s
PersistentVolumeClaimSpec: AccessModes:[s Selector:?j Resources:VolumeResourceRequirements VolumeName:s StorageClassName:?s
  VolumeMode:?s DataSource:?TypedLocalObjectReference DataSourceRef:?TypedObjectReference VolumeAttributesClassName:?s
PersistentVolumeClaimTemplate: *metadata:m Spec:PersistentVolumeClaimSpec
PersistentVolumeClaimVolumeSource: ClaimName:s ReadOnly:b
PhotonPersistentDiskVolumeSource: PdID:s FSType=fsType:s
PodAffinity: RequiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm
  PreferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm
PodAffinityTerm: LabelSelector:?j Namespaces:[s TopologyKey:s NamespaceSelector:?j MatchLabelKeys:[s MismatchLabelKeys:[s
PodAntiAffinity: RequiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm
  PreferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm
PodCertificateProjection: SignerName:s KeyType:s MaxExpirationSeconds:?n CredentialBundlePath:s KeyPath:s CertificateChainPath:s
  UserAnnotations:{s
PodDNSConfig: Nameservers:[s Searches:[s Options:[PodDNSConfigOption
PodDNSConfigOption: Name:s Value:?s
PodDisruptionBudgetSpec: MinAvailable:?i Selector:?j MaxUnavailable:?i UnhealthyPodEvictionPolicy:?s
PodFailurePolicy: Rules:[PodFailurePolicyRule
PodFailurePolicyOnExitCodesRequirement: ContainerName:?s Operator:s Values:[n
PodFailurePolicyOnPodConditionsPattern: Type:s Status:s
PodFailurePolicyRule: Action:s OnExitCodes:?PodFailurePolicyOnExitCodesRequirement
  OnPodConditions:[PodFailurePolicyOnPodConditionsPattern
PodIP: IP=ip:s
PodOS: Name:s
PodReadinessGate: ConditionType:s
PodResourceClaim: Name:s ResourceClaimName:?s ResourceClaimTemplateName:?s
PodSchedulingGate: Name:s
PodSchedulingGroup: PodGroupName:?s
PodSecurityContext: HostNetwork:b HostPID:b HostIPC:b ShareProcessNamespace:?b HostUsers:?b
  SELinuxOptions=seLinuxOptions:?SELinuxOptions WindowsOptions:?WindowsSecurityContextOptions RunAsUser:?n RunAsGroup:?n
  RunAsNonRoot:?b SupplementalGroups:[n SupplementalGroupsPolicy:?s FSGroup=fsGroup:?n
  FSGroupChangePolicy=fsGroupChangePolicy:?s Sysctls:[Sysctl SeccompProfile:?SeccompProfile AppArmorProfile:?AppArmorProfile
  SELinuxChangePolicy=seLinuxChangePolicy:?s
PodSpec: Volumes:[Volume InitContainers:[Container Containers:[Container EphemeralContainers:[EphemeralContainer RestartPolicy:s
  TerminationGracePeriodSeconds:?n ActiveDeadlineSeconds:?n DNSPolicy=dnsPolicy:s NodeSelector:{s ServiceAccountName:s
  AutomountServiceAccountToken:?b NodeName:s SecurityContext:?PodSecurityContext ImagePullSecrets:[LocalObjectReference
  Hostname:s Subdomain:s SetHostnameAsFQDN:?b Affinity:?Affinity SchedulerName:s Tolerations:[Toleration HostAliases:[HostAlias
  PriorityClassName:s Priority:?n PreemptionPolicy:?s DNSConfig=dnsConfig:?PodDNSConfig ReadinessGates:[PodReadinessGate
  RuntimeClassName:?s Overhead:{q EnableServiceLinks:?b TopologySpreadConstraints:[TopologySpreadConstraint OS=os:?PodOS
  SchedulingGates:[PodSchedulingGate ResourceClaims:[PodResourceClaim Resources:?ResourceRequirements HostnameOverride:?s
  SchedulingGroup:?PodSchedulingGroup
PodTemplateSpec: *metadata:m Spec:PodSpec
PortworxVolumeSource: VolumeID:s FSType=fsType:s ReadOnly:b
PreferredSchedulingTerm: Weight:n Preference:NodeSelectorTerm
Probe: Exec:?ExecAction HTTPGet=httpGet:?HTTPGetAction TCPSocket=tcpSocket:?TCPSocketAction GRPC=grpc:?GRPCAction
  InitialDelaySeconds:n TimeoutSeconds:n PeriodSeconds:n SuccessThreshold:n FailureThreshold:n TerminationGracePeriodSeconds:?n
ProjectedVolumeSource: Sources:[VolumeProjection DefaultMode:?n
QuobyteVolumeSource: Registry:s Volume:s ReadOnly:b User:s Group:s Tenant:s
RBDVolumeSource: CephMonitors=monitors:[s RBDImage=image:s FSType=fsType:s RBDPool=pool:s RadosUser=user:s Keyring:s
  SecretRef:?LocalObjectReference ReadOnly:b
ResourceClaim: Name:s Request:s
ResourceFieldSelector: ContainerName:s Resource:s Divisor:q
ResourceRequirements: Limits:{q Requests:{q Claims:[ResourceClaim
RollingUpdateDaemonSet: MaxUnavailable:i MaxSurge:i
RollingUpdateDeployment: MaxUnavailable:i MaxSurge:i
RollingUpdateStatefulSetStrategy: Partition:n MaxUnavailable:?i
SELinuxOptions: User:s Role:s Type:s Level:s
ScaleIOVolumeSource: Gateway:s System:s SecretRef:?LocalObjectReference SSLEnabled=sslEnabled:b ProtectionDomain:s StoragePool:s
  StorageMode:s VolumeName:s FSType=fsType:s ReadOnly:b
ScopeSelector: MatchExpressions:[ScopedResourceSelectorRequirement
ScopedResourceSelectorRequirement: ScopeName:s Operator:s Values:[s
SeccompProfile: Type:s LocalhostProfile:?s
SecretEnvSource: Name:s Optional:?b
SecretKeySelector: Name:s Key:s Optional:?b
SecretProjection: Name:s Items:[KeyToPath Optional:?b
SecretVolumeSource: SecretName:s Items:[KeyToPath DefaultMode:?n Optional:?b
SecurityContext: Capabilities:?Capabilities Privileged:?b SELinuxOptions=seLinuxOptions:?SELinuxOptions
  WindowsOptions:?WindowsSecurityContextOptions RunAsUser:?n RunAsGroup:?n RunAsNonRoot:?b ReadOnlyRootFilesystem:?b
  AllowPrivilegeEscalation:?b ProcMount:?s SeccompProfile:?SeccompProfile AppArmorProfile:?AppArmorProfile
ServiceAccountTokenProjection: Audience:s ExpirationSeconds:n Path:s
SleepAction: Seconds:n
StatefulSetUpdateStrategy: Type:s RollingUpdate:?RollingUpdateStatefulSetStrategy
StorageOSVolumeSource: VolumeName:s VolumeNamespace:s FSType=fsType:s ReadOnly:b SecretRef:?LocalObjectReference
SuccessPolicy: Rules:[SuccessPolicyRule
SuccessPolicyRule: SucceededIndexes:?s SucceededCount:?n
Sysctl: Name:s Value:s
TCPSocketAction: Port:i Host:s
Toleration: Key:s Operator:s Value:s Effect:s TolerationSeconds:?n
TopologySpreadConstraint: MaxSkew:n TopologyKey:s WhenUnsatisfiable:s LabelSelector:?j MinDomains:?n NodeAffinityPolicy:?s
  NodeTaintsPolicy:?s MatchLabelKeys:[s
TypedLocalObjectReference: APIGroup=apiGroup:?s Kind:s Name:s
TypedObjectReference: APIGroup=apiGroup:?s Kind:s Name:s Namespace:?s
UncountedTerminatedPods: Succeeded:[s Failed:[s
Volume: Name:s HostPath:?HostPathVolumeSource EmptyDir:?EmptyDirVolumeSource
  GCEPersistentDisk=gcePersistentDisk:?GCEPersistentDiskVolumeSource
  AWSElasticBlockStore=awsElasticBlockStore:?AWSElasticBlockStoreVolumeSource GitRepo:?GitRepoVolumeSource
  Secret:?SecretVolumeSource NFS=nfs:?NFSVolumeSource ISCSI=iscsi:?ISCSIVolumeSource Glusterfs:?GlusterfsVolumeSource
  PersistentVolumeClaim:?PersistentVolumeClaimVolumeSource RBD=rbd:?RBDVolumeSource Quobyte:?QuobyteVolumeSource
  FlexVolume:?FlexVolumeSource Cinder:?CinderVolumeSource CephFS=cephfs:?CephFSVolumeSource Flocker:?FlockerVolumeSource
  DownwardAPI:?DownwardAPIVolumeSource FC=fc:?FCVolumeSource AzureFile:?AzureFileVolumeSource ConfigMap:?ConfigMapVolumeSource
  VsphereVolume:?VsphereVirtualDiskVolumeSource AzureDisk:?AzureDiskVolumeSource
  PhotonPersistentDisk:?PhotonPersistentDiskVolumeSource Projected:?ProjectedVolumeSource PortworxVolume:?PortworxVolumeSource
  ScaleIO:?ScaleIOVolumeSource StorageOS=storageos:?StorageOSVolumeSource CSI=csi:?CSIVolumeSource
  Ephemeral:?EphemeralVolumeSource Image:?ImageVolumeSource
VolumeDevice: Name:s DevicePath:s
VolumeMount: Name:s ReadOnly:b RecursiveReadOnly:?s MountPath:s SubPath:s MountPropagation:?s SubPathExpr:s
VolumeProjection: Secret:?SecretProjection DownwardAPI:?DownwardAPIProjection ConfigMap:?ConfigMapProjection
  ServiceAccountToken:?ServiceAccountTokenProjection ClusterTrustBundle:?ClusterTrustBundleProjection
  PodCertificate:?PodCertificateProjection
VolumeResourceRequirements: Limits:{q Requests:{q
VsphereVirtualDiskVolumeSource: VolumePath:s FSType=fsType:s StoragePolicyName:s StoragePolicyID:s
WeightedPodAffinityTerm: Weight:n PodAffinityTerm:PodAffinityTerm
WindowsSecurityContextOptions: GMSACredentialSpecName=gmsaCredentialSpecName:?s GMSACredentialSpec=gmsaCredentialSpec:?s
  RunAsUserName:?s HostProcess:?b
AzureFilePersistentVolumeSource: SecretName:s ShareName:s ReadOnly:b SecretNamespace:?s
CSIPersistentVolumeSource: Driver:s VolumeHandle:s ReadOnly:b FSType=fsType:s VolumeAttributes:{s
  ControllerPublishSecretRef:?SecretReference NodeStageSecretRef:?SecretReference NodePublishSecretRef:?SecretReference
  ControllerExpandSecretRef:?SecretReference NodeExpandSecretRef:?SecretReference
CephFSPersistentVolumeSource: Monitors:[s Path:s User:s SecretFile:s SecretRef:?SecretReference ReadOnly:b
CinderPersistentVolumeSource: VolumeID:s FSType=fsType:s ReadOnly:b SecretRef:?SecretReference
FlexPersistentVolumeSource: Driver:s FSType=fsType:s SecretRef:?SecretReference ReadOnly:b Options:{s
GlusterfsPersistentVolumeSource: EndpointsName=endpoints:s Path:s ReadOnly:b EndpointsNamespace:?s
ISCSIPersistentVolumeSource: TargetPortal:s IQN=iqn:s Lun:n ISCSIInterface=iscsiInterface:s FSType=fsType:s ReadOnly:b Portals:[s
  DiscoveryCHAPAuth=chapAuthDiscovery:b SessionCHAPAuth=chapAuthSession:b SecretRef:?SecretReference InitiatorName:?s
LocalVolumeSource: Path:s FSType=fsType:?s
ObjectReference: Kind:s Namespace:s Name:s UID=uid:s APIVersion=apiVersion:s ResourceVersion:s FieldPath:s
PersistentVolumeSource: GCEPersistentDisk=gcePersistentDisk:?GCEPersistentDiskVolumeSource
  AWSElasticBlockStore=awsElasticBlockStore:?AWSElasticBlockStoreVolumeSource HostPath:?HostPathVolumeSource
  Glusterfs:?GlusterfsPersistentVolumeSource NFS=nfs:?NFSVolumeSource RBD=rbd:?RBDPersistentVolumeSource
  Quobyte:?QuobyteVolumeSource ISCSI=iscsi:?ISCSIPersistentVolumeSource FlexVolume:?FlexPersistentVolumeSource
  Cinder:?CinderPersistentVolumeSource CephFS=cephfs:?CephFSPersistentVolumeSource FC=fc:?FCVolumeSource
  Flocker:?FlockerVolumeSource AzureFile:?AzureFilePersistentVolumeSource VsphereVolume:?VsphereVirtualDiskVolumeSource
  AzureDisk:?AzureDiskVolumeSource PhotonPersistentDisk:?PhotonPersistentDiskVolumeSource
  PortworxVolume:?PortworxVolumeSource ScaleIO:?ScaleIOPersistentVolumeSource Local:?LocalVolumeSource
  StorageOS=storageos:?StorageOSPersistentVolumeSource CSI=csi:?CSIPersistentVolumeSource
PersistentVolumeRest: AccessModes:[s ClaimRef:?ObjectReference PersistentVolumeReclaimPolicy:s StorageClassName:s MountOptions:[s
  VolumeMode:?s NodeAffinity:?VolumeNodeAffinity VolumeAttributesClassName:?s
VolumeNodeAffinity: Required:?NodeSelector
RBDPersistentVolumeSource: CephMonitors=monitors:[s RBDImage=image:s FSType=fsType:s RBDPool=pool:s RadosUser=user:s Keyring:s
  SecretRef:?SecretReference ReadOnly:b
ScaleIOPersistentVolumeSource: Gateway:s System:s SecretRef:?SecretReference SSLEnabled=sslEnabled:b ProtectionDomain:s
  StoragePool:s StorageMode:s VolumeName:s FSType=fsType:s ReadOnly:b
SecretReference: Name:s Namespace:s
StorageOSPersistentVolumeSource: VolumeName:s VolumeNamespace:s FSType=fsType:s ReadOnly:b SecretRef:?ObjectReference
AllocationResult: Devices:DeviceAllocationResult NodeSelector:?NodeSelector AllocationTimestamp:?j
CELDeviceSelector: Expression:s
CapacityRequirements: Requests:{q
DeviceAllocationConfiguration: Source:s Requests:[s Opaque:?OpaqueDeviceConfiguration
DeviceAllocationResult: Results:[DeviceRequestAllocationResult Config:[DeviceAllocationConfiguration
FlowDistinguisherMethod: Type:s
FlowSchemaSpec: PriorityLevelConfiguration:PriorityLevelConfigurationReference MatchingPrecedence:n
  DistinguisherMethod:?FlowDistinguisherMethod Rules:[PolicyRulesWithSubjects
FlowSubject: Kind:s User:?FlowUserSubject Group:?FlowUserSubject ServiceAccount:?FlowServiceAccountSubject
FlowUserSubject: Name:s
FlowServiceAccountSubject: Namespace:s Name:s
PolicyRulesWithSubjects: Subjects:[FlowSubject ResourceRules:[FlowResourceRule NonResourceRules:[FlowPathRule
FlowResourceRule: Verbs:[s APIGroups=apiGroups:[s Resources:[s ClusterScope:b Namespaces:[s
FlowPathRule: Verbs:[s NonResourceURLs=nonResourceURLs:[s
PriorityLevelConfigurationReference: Name:s
PriorityLevelConfigurationSpec: Type:s Limited:?LimitedPriorityLevelConfiguration Exempt:?ExemptPriorityLevelConfiguration
LimitedPriorityLevelConfiguration: NominalConcurrencyShares:n LimitResponse:LimitResponse LendablePercent:?n BorrowingLimitPercent:?n
ExemptPriorityLevelConfiguration: NominalConcurrencyShares:?n LendablePercent:?n
LimitResponse: Type:s Queuing:?QueuingConfiguration
QueuingConfiguration: Queues:n HandSize:n QueueLengthLimit:n
DeviceAttribute: IntValue=int:?n BoolValue=bool:?b StringValue=string:?s VersionValue=version:?s IntValues=ints:[n BoolValues=bools:[b
  StringValues=strings:[s VersionValues=versions:[s
DeviceClaim: Requests:[DeviceRequest Constraints:[DeviceConstraint Config:[DeviceClaimConfiguration
DeviceClaimConfiguration: Requests:[s Opaque:?OpaqueDeviceConfiguration
DeviceConstraint: Requests:[s MatchAttribute:?s DistinctAttribute:?s
DeviceRequest: Name:s Exactly:?ExactDeviceRequest FirstAvailable:[DeviceSubRequest
DeviceRequestAllocationResult: Request:s Driver:s Pool:s Device:s AdminAccess:?b Tolerations:[DeviceToleration BindingConditions:[s
  BindingFailureConditions:[s ShareID=shareID:?s ConsumedCapacity:{q
DeviceSelector: CEL=cel:?CELDeviceSelector
DeviceSubRequest: Name:s DeviceClassName:s Selectors:[DeviceSelector AllocationMode:s Count:n Tolerations:[DeviceToleration
  Capacity:?CapacityRequirements
DeviceToleration: Key:s Operator:s Value:s Effect:s TolerationSeconds:?n
ExactDeviceRequest: DeviceClassName:s Selectors:[DeviceSelector AllocationMode:s Count:n AdminAccess:?b Tolerations:[DeviceToleration
  Capacity:?CapacityRequirements
OpaqueDeviceConfiguration: Driver:s Parameters:j
PodCertificateRequestSpec: SignerName:s PodName:s PodUID=podUID:s ServiceAccountName:s ServiceAccountUID=serviceAccountUID:s NodeName:s
  NodeUID=nodeUID:s MaxExpirationSeconds:?n PKIXPublicKey=pkixPublicKey:?s ProofOfPossession:?s StubPKCS10Request=stubPKCS10Request:?s
  UnverifiedUserAnnotations:{s
ResourceClaimSpec: Devices:DeviceClaim
ResourceClaimTemplateSpec: *metadata:m Spec:ResourceClaimSpec
`;

export interface InternalField {
  /** "APIVersion". */
  readonly name: string;
  /** "apiVersion". */
  readonly json: string;
  /** As in the table: "?ObjectFieldSelector", "[s". */
  readonly type: string;
}

let shapes: ReadonlyMap<string, readonly InternalField[]> | undefined;

/** The fields of an internal type; undefined for the types of single letters. */
export function internalFields(type: string): readonly InternalField[] | undefined {
  shapes ??= parseTable(table);
  return shapes.get(type);
}

function parseTable(text: string): ReadonlyMap<string, readonly InternalField[]> {
  const types = new Map<string, InternalField[]>();
  let fields: InternalField[] = [];
  for (const word of text.split(/\s+/)) {
    if (word.endsWith(":")) {
      fields = [];
      types.set(word.slice(0, -1), fields);
    } else if (word !== "") fields.push(parseField(word));
  }
  return types;
}

function parseField(word: string): InternalField {
  const colon = word.indexOf(":");
  const [name = "", json = name.charAt(0).toLowerCase() + name.slice(1)] = word.slice(0, colon).split("=");
  return { name, json, type: word.slice(colon + 1) };
}
