// Static bearer tokens from the file of --token-auth-file: lines of `token,user,uid[,"group1,group2"]`, where an empty last
// column is the group "", as upstream has it. The file is read once, at the start.
import type { Authentication, TokenAuthenticator } from "./authenticator.ts";

/** Throws where a line has fewer than three columns. Lines without a token are passed over. */
export function createTokenFileAuthenticator(csv: string, path = "token file"): TokenAuthenticator {
  const known = new Map<string, Authentication>();
  for (const [token = "", name, uid, groups] of parseCsv(csv)) {
    if (name === undefined || uid === undefined)
      throw new Error(`token file '${path}' must have at least 3 columns (token, user name, user uid)`);
    if (token === "") continue;
    known.set(token, {
      user: { name, ...(uid === "" ? {} : { uid }), groups: groups?.split(",") ?? [] },
    });
  }
  return { authenticateToken: (token) => known.get(token) };
}

/** Records of an RFC 4180 text; empty lines are passed over. */
function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === "") continue;
    const fields: string[] = [];
    let rest = line;
    for (;;) {
      const quoted = /^"((?:[^"]|"")*)"(,|$)/.exec(rest);
      const plain = quoted ?? /^([^,]*)(,|$)/.exec(rest);
      if (!plain) throw new Error(`malformed CSV line: ${line.length} characters with an unclosed quote`);
      fields.push(quoted ? (plain[1] ?? "").replaceAll('""', '"') : (plain[1] ?? ""));
      rest = rest.slice(plain[0].length);
      if (plain[2] === "") break;
    }
    records.push(fields);
  }
  return records;
}
