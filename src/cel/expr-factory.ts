// Makes nodes of the syntax tree: each gets an id of its own and is noted at a place in the source. Macros make theirs at the
// place of their call.

import type { CelComprehension, CelExpr, CelMapExpr, CelStructExpr } from "./ast.ts";
import type { CelExprFactory } from "./library.ts";
import type { CelValue } from "./values.ts";

export class ExprFactory implements CelExprFactory {
  readonly #offsets: Map<number, number>;
  readonly #offset: number;

  /** `offsets` learns the place of every node, in UTF-16 units. */
  constructor(offsets: Map<number, number>, offset = 0) {
    this.#offsets = offsets;
    this.#offset = offset;
  }

  /** One that makes nodes at another place. */
  at(offset: number): ExprFactory {
    return new ExprFactory(this.#offsets, offset);
  }

  id(): number {
    const id = this.#offsets.size + 1;
    this.#offsets.set(id, this.#offset);
    return id;
  }

  literal(value: CelValue): CelExpr {
    return { kind: "literal", id: this.id(), value };
  }

  ident(name: string): CelExpr {
    return { kind: "ident", id: this.id(), name };
  }

  select(operand: CelExpr, field: string): CelExpr {
    return { kind: "select", id: this.id(), operand, field, testOnly: false };
  }

  presence(operand: CelExpr, field: string): CelExpr {
    return { kind: "select", id: this.id(), operand, field, testOnly: true };
  }

  call(name: string, args: readonly CelExpr[]): CelExpr {
    return { kind: "call", id: this.id(), name, args };
  }

  memberCall(name: string, target: CelExpr, args: readonly CelExpr[]): CelExpr {
    return { kind: "call", id: this.id(), name, target, args };
  }

  list(elements: readonly CelExpr[], optional: readonly number[] = []): CelExpr {
    return { kind: "list", id: this.id(), elements, optional };
  }

  map(entries: readonly (readonly [CelExpr, CelExpr])[]): CelExpr {
    return this.mapOf(entries.map(([key, value]) => ({ id: this.id(), key, value, optional: false })));
  }

  mapOf(entries: CelMapExpr["entries"]): CelExpr {
    return { kind: "map", id: this.id(), entries };
  }

  struct(name: string, fields: CelStructExpr["fields"]): CelExpr {
    return { kind: "struct", id: this.id(), name, fields };
  }

  comprehension(parts: Omit<CelComprehension, "kind" | "id">): CelExpr {
    return { kind: "comprehension", id: this.id(), ...parts };
  }

  copy(expr: CelExpr): CelExpr {
    const at = this.at(this.#offsets.get(expr.id) ?? this.#offset);
    const id = at.id();
    switch (expr.kind) {
      case "literal":
      case "ident":
        return { ...expr, id };
      case "select":
        return { ...expr, id, operand: this.copy(expr.operand) };
      case "call": {
        const args = expr.args.map((arg) => this.copy(arg));
        return expr.target ? { ...expr, id, args, target: this.copy(expr.target) } : { ...expr, id, args };
      }
      case "list":
        return { ...expr, id, elements: expr.elements.map((element) => this.copy(element)) };
      case "map":
        return {
          ...expr,
          id,
          entries: expr.entries.map((entry) => ({ ...entry, id: at.id(), key: this.copy(entry.key), value: this.copy(entry.value) })),
        };
      case "struct":
        return { ...expr, id, fields: expr.fields.map((field) => ({ ...field, id: at.id(), value: this.copy(field.value) })) };
      case "comprehension":
        return {
          ...expr,
          id,
          range: this.copy(expr.range),
          init: this.copy(expr.init),
          condition: this.copy(expr.condition),
          step: this.copy(expr.step),
          result: this.copy(expr.result),
        };
    }
  }
}
