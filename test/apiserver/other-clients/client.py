"""What users of Debian's python3-kubernetes do: typed objects, pages, patches, watches, the dynamic client, manifests, an
election. Prints one JSON object: what each step gave. Arguments: the server's URL, a token, a manifest."""
import json
import sys
import threading

from kubernetes import client, dynamic, utils, watch
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

url, token, manifest = sys.argv[1:]
configuration = client.Configuration()
configuration.host = url
configuration.verify_ssl = False
configuration.api_key = {"authorization": f"Bearer {token}"}
client.Configuration.set_default(configuration)
api = client.ApiClient(configuration)
core, apps, custom = client.CoreV1Api(api), client.AppsV1Api(api), client.CustomObjectsApi(api)
namespace = "python"
results = {}


def refusal(call):
    try:
        call()
    except client.exceptions.ApiException as error:
        return [error.status, json.loads(error.body)["message"]]


core.create_namespace({"metadata": {"name": namespace}})
made = core.create_namespaced_config_map(
    namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="typed", labels={"l": "1"}), data={"a": "b"})
)
results["created"] = [made.metadata.name, made.metadata.creation_timestamp.tzinfo is not None, made.data]
results["twice"] = refusal(lambda: core.create_namespaced_config_map(namespace, {"metadata": {"name": "typed"}}))
core.patch_namespaced_config_map("typed", namespace, {"data": {"c": "d"}})
patched = core.patch_namespaced_config_map("typed", namespace, [{"op": "remove", "path": "/data/a"}])
results["patched"] = patched.data
results["stale"] = refusal(
    lambda: core.replace_namespaced_config_map("typed", namespace, {"metadata": {"name": "typed", "resourceVersion": "1"}})
)

for i in range(5):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": f"page-{i}", "labels": {"page": "1"}}})
pages, more = [], None
while more != "":
    options = {"_continue": more} if more else {}
    page = core.list_namespaced_config_map(namespace, label_selector="page=1", limit=2, **options)
    pages.append([item.metadata.name for item in page.items] + [page.metadata.remaining_item_count])
    more = page.metadata._continue or ""
results["pages"] = pages

since = core.list_namespaced_config_map(namespace).metadata.resource_version
core.create_namespaced_config_map(namespace, {"metadata": {"name": "watched"}})
core.delete_namespaced_config_map("watched", namespace)
events, watching = [], watch.Watch()
for event in watching.stream(core.list_namespaced_config_map, namespace, resource_version=since, timeout_seconds=20):
    events.append([event["type"], event["object"].metadata.name])
    if event["type"] == "DELETED":
        watching.stop()
results["events"] = events

created = utils.create_from_yaml(api, manifest, namespace=namespace)
results["manifest"] = [f"{o.kind}/{o.metadata.name}" for group in created for o in group]
results["scaled"] = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}}).spec.replicas

known = dynamic.DynamicClient(api)
deployments = known.resources.get(api_version="apps/v1", kind="Deployment")
wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"by": "apply"}}}
applied = deployments.patch(
    name="web",
    namespace=namespace,
    body=json.dumps(wanted),  # a text: of this media type the client writes no objects
    content_type="application/apply-patch+yaml",
    field_manager="python",
)
results["applied"] = [applied.metadata.labels.by, "python" in [entry.manager for entry in applied.metadata.managedFields]]
try:
    known.resources.get(api_version="v1", kind="ConfigMap").delete(name="nothing", namespace=namespace)
except dynamic.exceptions.NotFoundError as error:
    results["nothing"] = error.status
results["kinds"] = sorted({r.name for r in known.resources.search(short_names=["deploy"])})

leads = threading.Event()
lock = ConfigMapLock("election", namespace, "me")
election = electionconfig.Config(
    lock, lease_duration=17, renew_deadline=15, retry_period=5, onstarted_leading=leads.set, onstopped_leading=None
)
threading.Thread(target=leaderelection.LeaderElection(election).run, daemon=True).start()
results["leads"] = leads.wait(20)
print(json.dumps(results), flush=True)
