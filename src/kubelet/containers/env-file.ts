// Files of environment variables, for fileKeyRef: a strict part of the shell's syntax. One NAME='value' after the other; the
// value stands in single quotes, in which everything is literal and lines may end; comments begin with #. A blank after the
// equals sign makes the value empty, as in the shell.

/** The variable's value, "" when the file has none of this name. Throws an Error that names the line that is wrong. */
export function envFileValue(text: string, key: string): string {
  const lines = text.split(/\r?\n/);
  const wrong = (at: number, what: string): Error => new Error(`invalid environment variable format at line ${at + 1}: ${what}`);
  for (let i = 0; i < lines.length; i++) {
    const line = (lines[i] ?? "").replace(/^[ \t]+/, "");
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    if (equals < 0) throw wrong(i, "missing '='");
    const name = line.slice(0, equals);
    if (name.trim() === "") throw wrong(i, "empty variable name");
    if (/[ \t]$/.test(name)) throw wrong(i, "whitespace before '=' is not allowed");
    const value = line.slice(equals + 1);
    if (/^[ \t]/.test(value)) {
      if (name === key) return "";
      continue;
    }
    if (!value.startsWith("'")) throw wrong(i, "value must be enclosed in single quotes");
    const first = i;
    let rest = value.slice(1);
    while (!rest.includes("'")) {
      if (++i >= lines.length) throw new Error(`invalid environment variable format starting at line ${first + 1}: unclosed single quote`);
      rest += `\n${lines[i]}`;
    }
    const closing = rest.indexOf("'");
    if (!/^[ \t]*(#|$)/.test(rest.slice(closing + 1))) throw wrong(i, "unexpected content after closing quote");
    if (name === key) return rest.slice(0, closing);
  }
  return "";
}
