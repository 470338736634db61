/** For a command that has no options: says so where it is asked, or given one, and ends. */
export function takesNothing(command: string, words: string): void {
  const [option] = process.argv.slice(2);
  if (option === undefined) return;
  const isHelp = option === "--help" || option === "-h";
  if (isHelp) console.log(`${command}\n\n${words} It has no options.`);
  else console.error(`${command} has no options, and was given '${option}'.`);
  process.exit(isHelp ? 0 : 1);
}
