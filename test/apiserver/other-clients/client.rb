# What users of Debian's ruby-kubeclient do: objects, pages, patches, a watch, errors. Prints one JSON object: what each step
# gave. Arguments: the server's URL and a token.
require "json"
require "kubeclient"
require "openssl"

url, token = ARGV
options = { ssl_options: { verify_ssl: OpenSSL::SSL::VERIFY_NONE }, auth_options: { bearer_token: token } }
core = Kubeclient::Client.new("#{url}/api", "v1", **options)
apps = Kubeclient::Client.new("#{url}/apis/apps", "v1", **options)
namespace = "ruby"
named = ->(name, more = {}) { Kubeclient::Resource.new({ metadata: { name: name, namespace: namespace } }.merge(more)) }
refusal = lambda do |&call|
  call.call
  nil
rescue Kubeclient::HttpError => error
  [error.class.name, error.error_code, error.message]
end
results = {}

core.create_namespace(Kubeclient::Resource.new(metadata: { name: namespace }))
core.create_config_map(named.call("a", data: { x: "y" }))
results["twice"] = refusal.call { core.create_config_map(named.call("a")) }
results["absent"] = refusal.call { core.get_config_map("none", namespace) }
core.merge_patch_config_map("a", { data: { x: nil, z: "1" } }, namespace)
results["patched"] = core.json_patch_config_map("a", [{ op: "add", path: "/data/q", value: "r" }], namespace).data.to_h
4.times { |i| core.create_config_map(named.call("p#{i}")) }

pages = []
more = nil
loop do
  page = core.get_config_maps(namespace: namespace, field_selector: "metadata.name!=kube-root-ca.crt", limit: 2, continue: more)
  pages << page.map { |item| item.metadata.name }
  more = page.continue
  break if page.last?
end
results["pages"] = pages

since = core.get_config_maps(namespace: namespace).resourceVersion
core.create_config_map(named.call("watched"))
core.delete_config_map("watched", namespace)
events = []
watching = core.watch_config_maps(namespace: namespace, name: "watched", resource_version: since)
watching.each do |notice|
  events << [notice.type, notice.object.metadata.name]
  watching.finish if notice.type == "DELETED"
end
results["events"] = events

template = { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "c:1" }] } }
apps.create_deployment(named.call("web", spec: { selector: { matchLabels: { app: "web" } }, template: template }))
more_containers = { spec: { template: { spec: { containers: [{ name: "d", image: "d:1" }] } } } }
results["containers"] = apps.patch_deployment("web", more_containers, namespace).spec.template.spec.containers.map(&:name)
foreground = Kubeclient::Resource.new(propagationPolicy: "Foreground")
results["ending"] = apps.delete_deployment("web", namespace, delete_options: foreground).metadata.finalizers
results["anonymous"] = refusal.call do
  Kubeclient::Client.new("#{url}/api", "v1", ssl_options: options[:ssl_options], auth_options: { bearer_token: "x" }).get_namespaces
end
puts JSON.generate(results)
