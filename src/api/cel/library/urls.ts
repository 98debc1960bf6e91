// URLs: parsed, and their parts.
import { CelError } from "../../../cel/cel.ts";
import { traversalOf } from "../../../cel/cost/actual.ts";
import { sameSizeEstimate } from "../../../cel/cost/call-estimates.ts";
import type { CelLibrary, CelOverload } from "../../../cel/library.ts";
import { boolType, type CelObjectType, type CelType, listOf, mapOf, stringType } from "../../../cel/types.ts";
import { CelArray, CelOpaque, type CelValue } from "../../../cel/values.ts";
import { formatUrl, type GoUrl, GoUrlError, hostName, parseRequestUrl, port, queryValues } from "../../meta/go-url.ts";
import { CelEntries, fieldless } from "./values.ts";

export const urlType: CelObjectType = fieldless("kubernetes.URL");

export class CelUrl extends CelOpaque {
  readonly typeName = urlType.name;
  readonly url: GoUrl;

  constructor(url: GoUrl) {
    super();
    this.url = url;
  }

  equals(other: CelValue): boolean {
    return other instanceof CelUrl && formatUrl(other.url) === formatUrl(this.url);
  }

  toJson(): unknown {
    return formatUrl(this.url);
  }
}

const accessor = (id: string, result: CelType, read: (url: GoUrl) => CelValue): CelOverload => ({
  id,
  member: true,
  parameters: [urlType],
  result,
  call: ([url]) => read((url as CelUrl).url),
});

const stringLists = mapOf(stringType, listOf(stringType));

export const urlLibrary: CelLibrary = {
  name: "kubernetes.urls",
  functions: [
    {
      name: "url",
      overloads: [
        {
          id: "string_to_url",
          parameters: [stringType],
          result: urlType,
          call: ([text]) => parse(text as string),
          cost: traversalOf(0),
          estimate: sameSizeEstimate(0),
        },
      ],
    },
    {
      name: "isURL",
      overloads: [{ id: "is_url_string", parameters: [stringType], result: boolType, call: ([text]) => isUrl(text as string) }],
    },
    { name: "getScheme", overloads: [accessor("url_get_scheme", stringType, ({ scheme }) => scheme)] },
    { name: "getHost", overloads: [accessor("url_get_host", stringType, ({ host }) => host)] },
    { name: "getHostname", overloads: [accessor("url_get_hostname", stringType, hostName)] },
    { name: "getPort", overloads: [accessor("url_get_port", stringType, port)] },
    { name: "getEscapedPath", overloads: [accessor("url_get_escaped_path", stringType, ({ path }) => path)] },
    { name: "getQuery", overloads: [accessor("url_get_query", stringLists, query)] },
  ],
};

function parse(text: string): CelUrl {
  try {
    return new CelUrl(parseRequestUrl(text));
  } catch (error) {
    if (!(error instanceof GoUrlError)) throw error;
    throw new CelError(`URL parse error during conversion from string: ${error.message}`, { cause: error });
  }
}

function isUrl(text: string): boolean {
  try {
    parseRequestUrl(text);
    return true;
  } catch (error) {
    if (error instanceof GoUrlError) return false;
    throw error;
  }
}

function query(url: GoUrl): CelValue {
  return new CelEntries(new Map([...queryValues(url)].map(([key, values]) => [key, new CelArray(values)] as const)));
}
