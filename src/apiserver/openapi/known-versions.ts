// Every group and version that upstream knows, served or not: DeleteOptions and WatchEvent say that they are kinds of all.
const inEveryDocument = [
  "v1",
  ..."v1 v1alpha1 v1beta1".split(" ").map((v) => `admissionregistration.k8s.io/${v}`),
  ..."v1 v1beta1 v1beta2".split(" ").map((v) => `apps/${v}`),
  ..."v1 v1alpha1 v1beta1".split(" ").map((v) => `authentication.k8s.io/${v}`),
  ..."v1 v1beta1".split(" ").map((v) => `authorization.k8s.io/${v}`),
  ..."v1 v2".split(" ").map((v) => `autoscaling/${v}`),
  ..."v1 v1beta1".split(" ").map((v) => `batch/${v}`),
  ..."v1 v1alpha1 v1beta1".split(" ").map((v) => `certificates.k8s.io/${v}`),
  ..."v1 v1alpha2 v1beta1".split(" ").map((v) => `coordination.k8s.io/${v}`),
  ..."v1 v1beta1".split(" ").map((v) => `discovery.k8s.io/${v}`),
  ..."v1 v1beta1".split(" ").map((v) => `events.k8s.io/${v}`),
  "extensions/v1beta1",
  ..."v1 v1beta1 v1beta2 v1beta3".split(" ").map((v) => `flowcontrol.apiserver.k8s.io/${v}`),
  "internal.apiserver.k8s.io/v1alpha1",
  ..."v1 v1beta1".split(" ").map((v) => `networking.k8s.io/${v}`),
  ..."v1 v1alpha1 v1beta1".split(" ").map((v) => `node.k8s.io/${v}`),
  ..."v1 v1beta1".split(" ").map((v) => `policy/${v}`),
  ..."v1 v1alpha1 v1beta1".split(" ").map((v) => `rbac.authorization.k8s.io/${v}`),
  ..."v1 v1alpha3 v1beta1 v1beta2".split(" ").map((v) => `resource.k8s.io/${v}`),
  ..."v1 v1alpha2 v1beta1".split(" ").map((v) => `scheduling.k8s.io/${v}`),
  ..."v1 v1alpha1 v1beta1".split(" ").map((v) => `storage.k8s.io/${v}`),
  "storagemigration.k8s.io/v1beta1",
];

/** What the server of custom resources does not know. */
const ofOneServer = [
  ..."admission.k8s.io/v1 admission.k8s.io/v1beta1".split(" "),
  ..."apiextensions.k8s.io/v1 apiextensions.k8s.io/v1beta1".split(" "),
  ..."apiregistration.k8s.io/v1 apiregistration.k8s.io/v1beta1".split(" "),
  "imagepolicy.k8s.io/v1alpha1",
];

export interface GroupVersionName {
  readonly group: string;
  readonly version: string;
}

function parsed(apiVersions: readonly string[]): readonly GroupVersionName[] {
  const named = apiVersions.map((text) => {
    const [version = "", group = ""] = text.split("/").reverse();
    return { group, version };
  });
  return named.sort((a, b) => (`${a.group}/${a.version}` < `${b.group}/${b.version}` ? -1 : 1));
}

export const allKnownVersions = parsed([...inEveryDocument, ...ofOneServer]);
export const versionsBesideCustom = parsed(inEveryDocument);
