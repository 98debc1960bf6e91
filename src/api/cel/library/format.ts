// Named formats of texts: format.dns1123Label().validate(x) gives the problems, or none.

import { actualSize } from "../../../cel/cost/actual.ts";
import { patternFactor, scaleRange, traversalFactor } from "../../../cel/cost/estimates.ts";
import type { CelFunction, CelLibrary } from "../../../cel/library.ts";
import { type CelObjectType, listOf, optionalOf, stringType } from "../../../cel/types.ts";
import { CelArray, CelOpaque, CelOptional, type CelValue } from "../../../cel/values.ts";
import { GoUrlError, parseRequestUrl } from "../../meta/go-url.ts";
import { isDNS1035Label, isDNS1123Label, isDNS1123Subdomain, isLabelValue, isQualifiedName } from "../../meta/names.ts";
import { formatCheck } from "../../structural/formats.ts";
import { fieldless } from "./values.ts";

export const formatType: CelObjectType = fieldless("kubernetes.NamedFormat");

type Problems = (text: string) => readonly string[];

class CelFormat extends CelOpaque {
  readonly typeName = formatType.name;
  readonly name: string;
  readonly problems: Problems;
  /** The length of the regular expression that costs as much. */
  readonly patternSize: number;

  constructor(name: string, problems: Problems, patternSize: number) {
    super();
    this.name = name;
    this.problems = problems;
    this.patternSize = patternSize;
  }

  equals(other: CelValue): boolean {
    return other instanceof CelFormat && other.name === this.name;
  }

  toJson(): unknown {
    return this.name;
  }
}

/** A prefix of generated names may end in a dash. */
const asPrefix =
  (check: Problems): Problems =>
  (text) =>
    check(text.length > 1 && text.endsWith("-") ? `${text.slice(0, -2)}a` : text);

function byFormat(format: string, problem: string): Problems {
  const check = formatCheck(format);
  if (!check) throw new Error(`no format ${format}`);
  return (text) => (check(text) ? [] : [problem]);
}

function uriProblems(text: string): readonly string[] {
  try {
    parseRequestUrl(text);
    return [];
  } catch (error) {
    if (error instanceof GoUrlError) return [error.message];
    throw error;
  }
}

const dateTimePatternSize = 71;

const formats: Readonly<Record<string, CelFormat>> = {
  dns1123Label: new CelFormat("DNS1123Label", isDNS1123Label, 30),
  dns1123Subdomain: new CelFormat("DNS1123Subdomain", isDNS1123Subdomain, 60),
  dns1035Label: new CelFormat("DNS1035Label", isDNS1035Label, 30),
  qualifiedName: new CelFormat("QualifiedName", isQualifiedName, 60),
  dns1123LabelPrefix: new CelFormat("DNS1123LabelPrefix", asPrefix(isDNS1123Label), 30),
  dns1123SubdomainPrefix: new CelFormat("DNS1123SubdomainPrefix", asPrefix(isDNS1123Subdomain), 60),
  dns1035LabelPrefix: new CelFormat("DNS1035LabelPrefix", asPrefix(isDNS1035Label), 30),
  labelValue: new CelFormat("LabelValue", isLabelValue, 40),
  uri: new CelFormat("URI", uriProblems, 1103),
  uuid: new CelFormat("uuid", byFormat("uuid", "does not match the UUID format"), 70),
  byte: new CelFormat("byte", byFormat("byte", "invalid base64"), 84),
  date: new CelFormat("date", byFormat("date", "invalid date"), dateTimePatternSize),
  datetime: new CelFormat("datetime", byFormat("datetime", "invalid datetime"), dateTimePatternSize),
};

const constants = Object.entries(formats).map(
  ([name, format]): CelFunction => ({
    name: `format.${name}`,
    overloads: [{ id: `format.${name}`, parameters: [], result: formatType, call: () => format }],
  }),
);

/** The longest regular expression of a format of names. */
const maxPatternSize = 128;

export const formatLibrary: CelLibrary = {
  name: "kubernetes.format",
  functions: [
    ...constants,
    {
      name: "format.named",
      overloads: [
        {
          id: "format-named",
          parameters: [stringType],
          result: optionalOf(formatType),
          call: ([name]) => (Object.hasOwn(formats, name as string) ? some(formats[name as string]) : CelOptional.none),
        },
      ],
    },
    {
      name: "validate",
      overloads: [
        {
          id: "format-validate",
          member: true,
          parameters: [formatType, stringType],
          result: optionalOf(listOf(stringType)),
          call: ([format, text]) => {
            const problems = (format as CelFormat).problems(text as string);
            return problems.length === 0 ? CelOptional.none : some(new CelArray(problems));
          },
          cost: ([format, text]) =>
            Math.ceil((1 + actualSize(text ?? null)) * traversalFactor) * Math.ceil((format as CelFormat).patternSize * patternFactor),
          estimate: ({ args: [text] }) =>
            text && { cost: scaleRange(scaleRange(text.size, traversalFactor), maxPatternSize * patternFactor) },
        },
      ],
    },
  ],
};

const some = (value: CelValue | undefined): CelValue => (value === undefined ? CelOptional.none : CelOptional.of(value));
