// A value of an applied configuration that JSON has not: of no type that a field asks for, and shown in its Go form.
export class GoValue {
  /** "[]uint8". */
  readonly type: string;
  /** "[]uint8{0x61}". */
  readonly literal: string;
  /** "[97]". */
  readonly text: string;

  constructor({ type, literal, text }: { readonly type: string; readonly literal: string; readonly text: string }) {
    this.type = type;
    this.literal = literal;
    this.text = text;
  }
}
