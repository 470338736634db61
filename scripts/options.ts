/** For a command that has no options: says so where it is asked, or given one, and ends. */
export function takesNothing(command: string, words: string): void {
  const [option] = process.argv.slice(2);
  if (option === undefined) return;
  const isHelp = option === "--help" || option === "-h";
  if (isHelp) console.log(`${command}\n\n${words} It has no options.`);
  else console.error(`${command} has no options, and was given '${option}'.`);
  process.exit(isHelp ? 0 : 1);
}

/** Throws for an option that is one and was given twice, and for one that is empty, as of a variable that is not set. */
export function checkTexts(values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (Array.isArray(value) && name !== "_") throw new Error(`--${name} is one, and was given twice.`);
    if (value === "") throw new Error(`--${name} is empty: give it a value, or leave it out.`);
  }
}

/** A variable; undefined where it is not set. An empty one ends the process: what holds without it may not be what was meant. */
export function variable(name: string): string | undefined {
  const value = process.env[name];
  if (value !== "") return value;
  console.error(`${name} is empty: give it a value, or unset it.`);
  process.exit(1);
}
