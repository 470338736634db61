/** What is said of a file: what has become of it, and where something may be lost, how much and where. */

export const named = (typed: string, path: string): string =>
  `${typed} is ${path}, which was named before: it is followed once`;

export const generation = (path: string, log: string): string =>
  `${path} looks like a generation of ${log}: what that holds will stand under both names in turn, and come twice; name the log alone`;

export const found = (path: string, at: string, offset: number): string =>
  `follows ${path}${at === path ? "" : `, which is ${at} by now,`} from byte ${offset}`;

export const begun = (path: string, offset: number): string =>
  `follows ${path} from ${offset === 0 ? "its start" : `its end, byte ${offset}`}`;

export const turned = (path: string, before: string, now: string): string =>
  `${path} leads to ${now} now, and led to ${before}; files that it led to between are not read`;

export const rotated = (path: string, to: string | undefined, offset: number): string =>
  `${path} was rotated; the file before is ${to ?? "gone from its folder"}, read to byte ${offset}`;

export const copied = (path: string, copy: string, offset: number): string =>
  `${path} was truncated; goes on in its copy ${copy} at byte ${offset}`;

export const cut = (path: string, offset: number): string =>
  `${path} was truncated or written anew, and no copy of what it held was found: what was written to it behind byte ${offset} is lost, if there was anything; begins at its start`;

export const another = (path: string, offset: number): string =>
  `${path} is another file than the one that was read to byte ${offset}, and that one was not found: what was written to it since, and to files between, is lost; begins at its start`;

export const beside = (names: readonly string[]): string =>
  `not read: ${names.join(", ")}; forward what is wanted of them by name`;

export const doubtful = (names: readonly string[]): string =>
  `not read, and may be wanted: ${names.join(", ")}; their times do not tell whether they were written before or after the file that was read; forward what is wanted of them by name`;

export const partial = (path: string): string =>
  `the last line of ${path} has no end: it is taken as it is, and what is written behind it will be a record of its own`;

export const nuls = (path: string, count: number): string =>
  `${path} begins with ${count} NUL bytes, which a truncation left; they are passed over`;

export const sameBytes = (names: readonly string[], offset: number, chosen: string): string =>
  `${names.join(", ")} hold the same up to byte ${offset}; ${chosen} is read on`;

export const cannotUnpack = (path: string, packing: string): string =>
  `${path} is not read, and may be wanted: .${packing} cannot be unpacked here; unpack it`;

export const damaged = (path: string, why: string, bytes: number): string =>
  `${path}: ${why}; no more than ${bytes} bytes can be read of what it holds`;

export const anotherLog = (stream: string, folder: string): string =>
  `the stream '${stream}' is another log than the one that ${folder} was for: it was made anew, or it is another service's; what was forwarded before is not sent again`;
