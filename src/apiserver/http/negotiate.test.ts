import { describe, expect, it } from "vitest";
import { cborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import type { ApiRequest } from "../request.ts";
import {
  negotiateError,
  negotiateInput,
  negotiateLeniently,
  negotiateOutput,
  negotiatePatch,
  negotiationOf,
  notConsumed,
  type OutputOffer,
} from "./negotiate.ts";

const request = (accept?: string, query = "", userAgent = "kubectl") => ({
  headers: { accept, "user-agent": userAgent },
  query: new URLSearchParams(query),
});
const tables = { allows: (t: { kind: string }) => t.kind === "Table" };
const statusOf = (run: () => unknown): StatusError["status"] => {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return error.status;
  }
  throw new Error("no StatusError was thrown");
};

describe("negotiateOutput()", () => {
  it("answers JSON when nothing or anything is asked for", () => {
    for (const accept of [undefined, "", "*/*", "application/json"])
      expect(negotiateOutput(request(accept))).toEqual({ encoding: "json", pretty: false, profile: "" });
  });

  it("takes the first transformation that is served, in the client's order", () => {
    const accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    expect(negotiateOutput(request(accept), tables).as).toEqual({ kind: "Table", version: "v1", group: "meta.k8s.io" });
    expect(negotiateOutput(request(accept)).as).toBeUndefined();
  });

  it("takes protobuf where it is asked for first", () => {
    expect(negotiateOutput(request("application/vnd.kubernetes.protobuf,application/json")).encoding).toBe("protobuf");
    expect(negotiateOutput(request("application/vnd.kubernetes.protobuf;stream=watch"), { stream: true }).encoding).toBe("protobuf");
  });

  it("falls back from protobuf to JSON where there is none, and refuses protobuf alone", () => {
    const withoutProtobuf: OutputOffer = { encodes: (encoding) => encoding !== "protobuf" };
    expect(negotiateOutput(request("application/vnd.kubernetes.protobuf,application/json"), withoutProtobuf).encoding).toBe("json");
    expect(statusOf(() => negotiateOutput(request("application/vnd.kubernetes.protobuf"), withoutProtobuf))).toMatchObject({
      code: 406,
      message: "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    });
  });

  it("refuses in the serializer's words where no router comes before, and takes ranges", () => {
    const unrouted: OutputOffer = { routed: false, listsWatch: true };
    expect(negotiateOutput(request("application/*"), unrouted).encoding).toBe("json");
    expect(statusOf(() => negotiateOutput(request("application/*")))).toMatchObject({ code: 406 });
    expect(statusOf(() => negotiateOutput(request("text/html"), unrouted)).message).toMatch(
      /^only the following media types are accepted: /,
    );
  });

  it("prefers by quality, then by order", () => {
    expect(negotiateOutput(request("application/json;q=0.5,application/yaml")).encoding).toBe("yaml");
    expect(negotiateOutput(request("application/yaml,application/json")).encoding).toBe("yaml");
  });

  it("refuses media types no route produces in the router's words", () => {
    expect(statusOf(() => negotiateOutput(request("image/png, text/plain")))).toMatchObject({
      code: 406,
      reason: "NotAcceptable",
      details: {},
      message: "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    });
    expect(statusOf(() => negotiateOutput(request("text/html"), { listsWatch: true })).message).toMatch(
      /protobuf, application\/json;stream=watch, application\/vnd.kubernetes.protobuf;stream=watch$/,
    );
  });

  it("compares types letter by letter", () => {
    for (const accept of ["APPLICATION/JSON", "Application/json", "application/JSON;as=Table;v=v1;g=meta.k8s.io"])
      expect(statusOf(() => negotiateOutput(request(accept), tables)).code).toBe(406);
  });

  it("streams JSON but not YAML", () => {
    expect(negotiateOutput(request("application/json;stream=watch"), { stream: true }).encoding).toBe("json");
    expect(statusOf(() => negotiateOutput(request("application/yaml"), { stream: true })).code).toBe(406);
    expect(statusOf(() => negotiateOutput(request("application/json;stream=other"))).code).toBe(406);
  });

  it("indents for people", () => {
    expect(negotiateOutput(request("application/json", "", "curl/8.0")).pretty).toBe(true);
    expect(negotiateOutput(request("*/*", "pretty=false", "curl/8.0")).pretty).toBe(false);
    expect(negotiateOutput(request("application/json;pretty=1")).pretty).toBe(true);
    expect(negotiateOutput(request(undefined, "pretty=true")).pretty).toBe(true);
  });

  it("hands on the profile of discovery", () => {
    expect(negotiateOutput(request("application/json;profile=nopeer")).profile).toBe("nopeer");
  });
});

describe("negotiateLeniently()", () => {
  it("uses YAML where asked and JSON where nothing fits", () => {
    expect(negotiateLeniently(request("application/yaml")).encoding).toBe("yaml");
    expect(negotiateLeniently(request("text/html")).encoding).toBe("json");
    // Nobody has tables in protobuf, nor transformations of no group: what is wanted next was sent.
    const next = "application/json;q=0.9";
    expect(negotiateLeniently(request(`application/vnd.kubernetes.protobuf;as=Table,${next}`)).encoding).toBe("json");
    expect(negotiateLeniently(request(`application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,${next}`)).encoding).toBe("json");
    const metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    expect(negotiateLeniently(request(`${metadata},${next}`)).encoding).toBe("protobuf");
    expect(negotiateLeniently(request("application/json;as=Table;v=v1;g=meta.k8s.io")).encoding).toBe("json");
  });
});

const sent = (contentType?: string) => ({ headers: { "content-type": contentType } });

describe("negotiateInput() and negotiatePatch()", () => {
  it("reads JSON, YAML and protobuf and refuses the rest with 415", () => {
    expect(negotiateInput(sent())).toBe("json");
    expect(negotiateInput(sent("application/json; charset=utf-8"))).toBe("json");
    expect(negotiateInput(sent("application/yaml"))).toBe("yaml");
    expect(negotiateInput(sent("application/vnd.kubernetes.protobuf"))).toBe("protobuf");
    expect(statusOf(() => negotiateInput(sent("text/plain")))).toMatchObject({ code: 415, reason: "UnsupportedMediaType" });
  });

  it("knows the four kinds of patch", () => {
    expect(negotiatePatch(sent("application/apply-patch+yaml"))).toBe("apply");
    expect(negotiatePatch(sent("application/merge-patch+json; charset=utf-8"))).toBe("merge");
    expect(negotiatePatch(sent("application/json"))).toBeUndefined();
    expect(negotiatePatch(sent())).toBeUndefined();
    expect(notConsumed().status).toMatchObject({ code: 415, message: "415: Unsupported Media Type" });
  });

  it("takes CBOR only where the server speaks it", () => {
    for (const type of ["application/cbor", "application/cbor-seq"])
      expect(statusOf(() => negotiateInput(sent(type))).message).toBe(
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
      );
    expect(negotiatePatch(sent("application/apply-patch+cbor"))).toBeUndefined();
    const cbor = cborCodec;
    expect(negotiateInput({ ...sent("application/cbor"), cbor })).toBe("cbor");
    expect(negotiatePatch({ ...sent("application/apply-patch+cbor"), cbor })).toBe("apply in CBOR");
    expect(statusOf(() => negotiateInput({ ...sent("application/cbor-seq"), cbor })).message).toMatch(/protobuf, application\/cbor$/);
  });
});

describe("negotiateOutput() of a server that speaks CBOR", () => {
  const asked = (accept: string) => ({ headers: { accept }, query: new URLSearchParams(), cbor: cborCodec });

  it("answers in CBOR, whatever the order of what else is accepted as well", () => {
    expect(negotiateOutput(asked("application/cbor"))).toMatchObject({ encoding: "cbor" });
    expect(negotiateOutput(asked("application/cbor,application/json"))).toMatchObject({ encoding: "cbor" });
    expect(negotiateOutput(asked("application/cbor;q=0.5,application/json"))).toMatchObject({ encoding: "json" });
    expect(negotiateOutput({ headers: { accept: "application/cbor,application/json" }, query: new URLSearchParams() })).toMatchObject({
      encoding: "json",
    });
  });

  it("knows sequences where there are watches, and yet asks for the type of one item", () => {
    expect(statusOf(() => negotiateOutput(asked("application/cbor-seq"))).message).toMatch(/^406: .*protobuf, application\/cbor$/s);
    const watch: OutputOffer = { stream: true };
    expect(statusOf(() => negotiateOutput(asked("application/cbor-seq"), watch)).message).toMatch(/^only the following.*\/cbor$/);
    expect(statusOf(() => negotiateOutput(asked("application/yaml"), watch)).message).toMatch(/application\/cbor-seq$/);
    expect(negotiateOutput(asked("application/cbor;stream=watch"), watch)).toMatchObject({ encoding: "cbor" });
  });

  it("has none in what answers before a resource does", () => {
    const request = asked("application/cbor") as unknown as ApiRequest;
    expect(negotiateError(negotiationOf({ request, speaksCbor: true }))).toMatchObject({ encoding: "cbor" });
    expect(negotiateError(negotiationOf({ request, speaksCbor: false }))).toMatchObject({ encoding: "json", pretty: true });
    expect(negotiateError(negotiationOf({ request }))).toMatchObject({ encoding: "json" });
  });

  it("has none where an offer has none", () => {
    expect(statusOf(() => negotiateOutput(asked("application/cbor"), { cbor: false, routed: false })).message).toBe(
      "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    );
  });
});

describe("negotiateError()", () => {
  const errorFor = (accept: string) => negotiateError({ headers: { accept }, query: new URLSearchParams() });

  it("takes what the client accepts, where there is no more to it than the encoding", () => {
    expect(errorFor("application/yaml")).toMatchObject({ encoding: "yaml" });
    expect(errorFor("application/json;as=Table;v=v1;g=meta.k8s.io,application/json")).toMatchObject({ encoding: "json", pretty: false });
    expect(errorFor("application/vnd.kubernetes.protobuf;stream=watch")).toMatchObject({ encoding: "protobuf" });
  });

  it("is JSON for people where nothing fits: errors have no tables", () => {
    for (const accept of ["application/yaml;as=Table;v=v1;g=meta.k8s.io", "text/html", "application/vnd.kubernetes.protobuf;stream=x"])
      expect(errorFor(accept)).toEqual({ encoding: "json", pretty: true, profile: "" });
  });
});
