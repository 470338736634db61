/**
 * How many columns a text takes, for the layout of the command line's help. That is Latin; the library that the parser brings
 * knows emoji as well, and has to load tables of them at each start, which is a fifth of it.
 */
import { stripVTControlCharacters } from "node:util";

export default (text: string): number => [...stripVTControlCharacters(text)].length;
