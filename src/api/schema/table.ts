// The form of the generated schema tables: facts only, as compact as JSON allows. schema.ts links them into the
// object that decoders, patches, defaulting, OpenAPI and printing work with.

/** A field: just its type, or its type with what else is known of it. */
export type FieldFacts =
  | string
  | {
      /**
       * "string", "string:byte", "string:date-time", "boolean", "integer:int32", "integer:int64", "number:double",
       * "module.Type", "[element]" or "{value}".
       */
      readonly type: string;
      readonly default?: unknown;
      readonly enum?: readonly string[];
      readonly listType?: "map" | "set" | "atomic";
      readonly listMapKeys?: readonly string[];
      readonly mapType?: "granular" | "atomic";
      readonly patchMergeKey?: string;
      readonly patchStrategy?: string;
      /** Field number, "repeated" or "map<…>" where it applies, and protobuf type: "3 repeated core-v1.Container"; "2/1 …" is field 1 of field 2. */
      readonly proto?: string;
    };

export interface TypeFacts {
  /** Group, version and kind of each kind that has this type: "apps/v1/Deployment". */
  readonly kinds?: readonly string[];
  /** Set where the JSON is not an object: "int-or-string", "string:date-time". */
  readonly scalar?: string;
  readonly required?: readonly string[];
  readonly mapType?: "granular" | "atomic";
  readonly unions?: unknown;
  readonly fields?: Readonly<Record<string, FieldFacts>>;
}

export type TypeTable = Readonly<Record<string, TypeFacts>>;
