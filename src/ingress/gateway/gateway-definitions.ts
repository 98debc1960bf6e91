// The definitions of the Gateway API's kinds that are served here, for clusters whose users do not bring upstream's: the fields
// that mean something here, with their main rules. Whoever applies upstream's definitions over them has those.
import type { New } from "../../api/meta/object.ts";
import type { CustomResourceColumnDefinition, CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import {
  conditions,
  controllerName,
  groupName,
  headerModifier,
  hostname,
  integer,
  keyedList,
  kindName,
  labelSelector,
  list,
  namespaceName,
  object,
  objectName,
  oneOf,
  portNumber,
  preciseHostname,
  referenceTo,
  routeKind,
  rules,
  type Schema,
  sectionName,
  someText,
  text,
  valueMatch,
  waiting,
} from "./definition-parts.ts";
import { gatewayGroup } from "./gateway-types.ts";

interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly scope: "Cluster" | "Namespaced";
  readonly columns: readonly CustomResourceColumnDefinition[];
  readonly spec: Schema;
  /** Undefined: it has none. */
  readonly status?: Schema;
}

function definition({ kind, plural, shortNames, scope, columns, spec, status }: Kind): New<CustomResourceDefinition> {
  const properties = { apiVersion: { type: "string" }, kind: { type: "string" }, metadata: { type: "object" }, spec };
  return {
    metadata: {
      name: `${plural}.${gatewayGroup}`,
      // The API server asks for it of every definition in a group of Kubernetes'.
      annotations: { "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api" },
      labels: { "app.kubernetes.io/managed-by": "coracle" },
    },
    spec: {
      ...{ group: gatewayGroup, scope },
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames, categories: ["gateway-api"] },
      versions: [
        {
          ...{ name: "v1", served: true, storage: true, additionalPrinterColumns: [...columns, age] },
          schema: { openAPIV3Schema: object({ ...properties, ...(status ? { status } : {}) }, ["spec"]) },
          ...(status ? { subresources: { status: {} } } : {}),
        },
      ],
    },
  };
}

const age = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };
const column = (name: string, jsonPath: string) => ({ name, type: "string", jsonPath });
const conditionColumn = (type: string) => column(type, `.status.conditions[?(@.type=="${type}")].status`);

const gatewayClass = definition({
  ...{ kind: "GatewayClass", plural: "gatewayclasses", shortNames: ["gc"], scope: "Cluster" },
  columns: [column("Controller", ".spec.controllerName"), conditionColumn("Accepted")],
  spec: object(
    {
      controllerName: { ...controllerName, ...rules(["self == oldSelf", "field is immutable"]) },
      description: text(64),
      parametersRef: object({ group: groupName, kind: kindName, name: objectName, namespace: namespaceName }, ["group", "kind", "name"]),
    },
    ["controllerName"],
  ),
  status: object(
    {
      conditions: conditions({ default: waiting("Accepted") }),
      supportedFeatures: keyedList(object({ name: { type: "string" } }, ["name"]), 64, "name"),
    },
    [],
    { default: { conditions: waiting("Accepted") } },
  ),
});

const address = (required: readonly string[]): Schema =>
  object({ type: { ...someText(253), default: "IPAddress" }, value: text(253) }, required);

const listener = object(
  {
    name: sectionName,
    hostname,
    port: portNumber,
    protocol: someText(255),
    tls: object(
      {
        mode: { ...oneOf("Terminate", "Passthrough"), default: "Terminate" },
        certificateRefs: list(referenceTo("Secret"), 64),
        options: { type: "object", maxProperties: 16, additionalProperties: text(4096) },
      },
      [],
      rules([
        "self.mode == 'Terminate' ? (has(self.certificateRefs) && size(self.certificateRefs) > 0) || (has(self.options) && size(self.options) > 0) : true",
        "certificateRefs or options must be specified when mode is Terminate",
      ]),
    ),
    allowedRoutes: object(
      {
        namespaces: object({ from: { ...oneOf("All", "Selector", "Same"), default: "Same" }, selector: labelSelector }, [], {
          default: { from: "Same" },
        }),
        kinds: list(routeKind, 8),
      },
      [],
      { default: { namespaces: { from: "Same" } } },
    ),
  },
  ["name", "port", "protocol"],
);

const listenerRules = rules(
  [
    "self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)",
    "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
  ],
  ["self.all(l, l.protocol == 'HTTPS' && has(l.tls) ? l.tls.mode == 'Terminate' : true)", "tls mode must be Terminate for protocol HTTPS"],
  ["self.all(l, l.protocol in ['TCP', 'UDP'] ? !has(l.hostname) : true)", "hostname must not be specified for protocols ['TCP', 'UDP']"],
  [
    "self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol && (has(a.hostname) && has(b.hostname) ? a.hostname == b.hostname : !has(a.hostname) && !has(b.hostname))))",
    "Combination of port, protocol and hostname must be unique for each listener",
  ],
);

const gateway = definition({
  ...{ kind: "Gateway", plural: "gateways", shortNames: ["gtw"], scope: "Namespaced" },
  columns: [column("Class", ".spec.gatewayClassName"), column("Address", ".status.addresses[*].value"), conditionColumn("Programmed")],
  spec: object(
    {
      gatewayClassName: objectName,
      listeners: keyedList(listener, 64, "name", { minItems: 1, ...listenerRules }),
      addresses: list(address([]), 16),
    },
    ["gatewayClassName", "listeners"],
  ),
  status: object(
    {
      addresses: list(address(["value"]), 16),
      conditions: conditions({ default: waiting("Accepted", "Programmed") }),
      listeners: keyedList(
        object(
          {
            name: sectionName,
            attachedRoutes: { type: "integer", format: "int32" },
            supportedKinds: list(routeKind, 8),
            conditions: conditions(),
          },
          ["name", "attachedRoutes", "conditions"],
        ),
        64,
        "name",
      ),
    },
    [],
    { default: { conditions: waiting("Accepted", "Programmed") } },
  ),
});

const parentReference = object(
  {
    ...{ group: { ...groupName, default: gatewayGroup }, kind: { ...kindName, default: "Gateway" }, name: objectName },
    ...{ namespace: namespaceName, sectionName, port: portNumber },
  },
  ["name"],
);

const portRule = rules(["size(self.group) == 0 && self.kind == 'Service' ? has(self.port) : true", "Must have port for Service reference"]);
const pathModifier = object(
  { type: oneOf("ReplaceFullPath", "ReplacePrefixMatch"), replaceFullPath: text(1024), replacePrefixMatch: text(1024) },
  ["type"],
  rules(
    [
      "has(self.replaceFullPath) == (self.type == 'ReplaceFullPath')",
      "replaceFullPath must be specified when, and only when, type is ReplaceFullPath",
    ],
    [
      "has(self.replacePrefixMatch) == (self.type == 'ReplacePrefixMatch')",
      "replacePrefixMatch must be specified when, and only when, type is ReplacePrefixMatch",
    ],
  ),
);

/** The field of each type of filter. */
const filterFields = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestMirror: "requestMirror",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
} as const;

const filter = object(
  {
    type: oneOf(...Object.keys(filterFields)),
    requestHeaderModifier: headerModifier,
    responseHeaderModifier: headerModifier,
    requestMirror: object(
      {
        backendRef: referenceTo("Service", { port: portNumber }, portRule),
        percent: integer(0, 100),
        fraction: object(
          { numerator: integer(0, 2 ** 31 - 1), denominator: integer(1, 2 ** 31 - 1, { default: 100 }) },
          ["numerator"],
          rules(["self.numerator <= self.denominator", "numerator must be less than or equal to denominator"]),
        ),
      },
      ["backendRef"],
      rules(["!(has(self.percent) && has(self.fraction))", "Only one of percent or fraction may be specified"]),
    ),
    requestRedirect: object({
      scheme: oneOf("http", "https"),
      hostname: preciseHostname,
      path: pathModifier,
      port: portNumber,
      statusCode: { ...oneOf(301, 302, 303, 307, 308), default: 302 },
    }),
    urlRewrite: object({ hostname: preciseHostname, path: pathModifier }),
  },
  ["type"],
  rules(
    ...Object.entries(filterFields).map(
      ([type, field]) => [`has(self.${field}) == (self.type == '${type}')`, `filter.${field} belongs to filter.type ${type}`] as const,
    ),
  ),
);

const filters = list(
  filter,
  16,
  rules(
    [
      "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
      "May specify either RequestRedirect or URLRewrite, but not both",
    ],
    ...["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"].map(
      (type) => [`self.filter(f, f.type == '${type}').size() <= 1`, `${type} filter cannot be repeated`] as const,
    ),
  ),
);

const match = object({
  path: object(
    {
      type: { ...oneOf("Exact", "PathPrefix", "RegularExpression"), default: "PathPrefix" },
      value: { ...text(1024), default: "/" },
    },
    [],
    {
      default: { type: "PathPrefix", value: "/" },
      ...rules([
        "self.type in ['Exact', 'PathPrefix'] ? self.value.startsWith('/') : true",
        "value must be an absolute path and start with '/'",
      ]),
    },
  ),
  headers: keyedList(valueMatch, 16, "name"),
  queryParams: keyedList(valueMatch, 16, "name"),
  method: oneOf("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"),
});

const duration: Schema = { type: "string", pattern: "^([0-9]{1,5}(h|m|s|ms)){1,4}$" };

const routeRule = object(
  {
    name: sectionName,
    matches: list(match, 64, { default: [{ path: { type: "PathPrefix", value: "/" } }] }),
    filters,
    backendRefs: list(referenceTo("Service", { port: portNumber, weight: integer(0, 1_000_000, { default: 1 }), filters }, portRule), 16),
    timeouts: object({ request: duration, backendRequest: duration }),
  },
  [],
  rules([
    "has(self.backendRefs) && size(self.backendRefs) > 0 && has(self.filters) ? !self.filters.exists(f, has(f.requestRedirect)) : true",
    "RequestRedirect filter must not be used together with backendRefs",
  ]),
);

const routeStatus = object(
  {
    parents: list(
      object({ parentRef: parentReference, controllerName, conditions: conditions() }, ["parentRef", "controllerName", "conditions"]),
      32,
    ),
  },
  ["parents"],
);

const httpRoute = definition({
  ...{ kind: "HTTPRoute", plural: "httproutes", shortNames: [], scope: "Namespaced" },
  columns: [column("Hostnames", ".spec.hostnames")],
  spec: object({
    parentRefs: list(parentReference, 32),
    hostnames: list(hostname, 16),
    rules: list(routeRule, 16, { default: [{ matches: [{ path: { type: "PathPrefix", value: "/" } }] }] }),
  }),
  status: routeStatus,
});

const callMatch = object({
  method: object(
    {
      type: { ...oneOf("Exact", "RegularExpression"), default: "Exact" },
      service: text(1024),
      method: text(1024),
    },
    [],
    rules(
      ["has(self.service) || has(self.method)", "One or both of 'service' or 'method' must be specified"],
      [
        '(!has(self.type) || self.type == \'Exact\') && has(self.service) ? self.service.matches(r"""^(?i)\\.?[a-z_][a-z_0-9]*(\\.[a-z_][a-z_0-9]*)*$""") : true',
        "service must only contain valid characters (matching ^(?i)\\.?[a-z_][a-z_0-9]*(\\.[a-z_][a-z_0-9]*)*$)",
      ],
      [
        '(!has(self.type) || self.type == \'Exact\') && has(self.method) ? self.method.matches(r"""^[A-Za-z_][A-Za-z_0-9]*$""") : true',
        "method must only contain valid characters (matching ^[A-Za-z_][A-Za-z_0-9]*$)",
      ],
    ),
  ),
  headers: keyedList(valueMatch, 16, "name"),
});

const callFilterFields = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
} as const;
const callFilter = object(
  { type: oneOf(...Object.keys(callFilterFields)), requestHeaderModifier: headerModifier, responseHeaderModifier: headerModifier },
  ["type"],
  rules(
    ...Object.entries(callFilterFields).map(
      ([type, field]) => [`has(self.${field}) == (self.type == '${type}')`, `filter.${field} belongs to filter.type ${type}`] as const,
    ),
  ),
);
const callFilters = list(
  callFilter,
  16,
  rules(
    ...Object.keys(callFilterFields).map(
      (type) => [`self.filter(f, f.type == '${type}').size() <= 1`, `${type} filter cannot be repeated`] as const,
    ),
  ),
);

const grpcRoute = definition({
  ...{ kind: "GRPCRoute", plural: "grpcroutes", shortNames: [], scope: "Namespaced" },
  columns: [column("Hostnames", ".spec.hostnames")],
  spec: object({
    parentRefs: list(parentReference, 32),
    hostnames: list(hostname, 16),
    rules: list(
      object({
        name: sectionName,
        matches: list(callMatch, 64),
        filters: callFilters,
        backendRefs: list(
          referenceTo("Service", { port: portNumber, weight: integer(0, 1_000_000, { default: 1 }), filters: callFilters }, portRule),
          16,
        ),
      }),
      16,
    ),
  }),
  status: routeStatus,
});

const referenceGrant = definition({
  ...{ kind: "ReferenceGrant", plural: "referencegrants", shortNames: ["refgrant"], scope: "Namespaced", columns: [] },
  spec: object(
    {
      from: list(object({ group: groupName, kind: kindName, namespace: namespaceName }, ["group", "kind", "namespace"]), 16, {
        minItems: 1,
      }),
      to: list(object({ group: groupName, kind: kindName, name: objectName }, ["group", "kind"]), 16, { minItems: 1 }),
    },
    ["from", "to"],
  ),
});

export const gatewayDefinitions: readonly New<CustomResourceDefinition>[] = [gatewayClass, gateway, httpRoute, grpcRoute, referenceGrant];
