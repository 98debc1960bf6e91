// $(NAME) references in commands, arguments and environment values: replaced where NAME is known, left as written where it
// is not; $$ stands for one $, so $$(NAME) is the text "$(NAME)".
export function expandReferences(text: string, lookup: (name: string) => string | undefined): string {
  if (!text.includes("$")) return text;
  return text.replace(/\$\$|\$\(([^)]*)\)|\$/g, (match, name: string | undefined) => {
    if (match === "$$") return "$";
    return name === undefined ? match : (lookup(name) ?? match);
  });
}
