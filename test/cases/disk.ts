/**
 * One folder of files in memory, for tests of what rotations do to whoever reads: its time is the test's, inodes of files that
 * are gone may be given out again, times of files may be inexact, or unknown. Behaves as Linux does: a file that is open lives
 * on without a name.
 */

export interface DiskOptions {
  /** Times of files are told by so many ns. */
  readonly exactNs: bigint;
  /** It is known when a file was made. */
  readonly births: boolean;
  /** A file that is made gets the lowest inode that is free, as with ext4; else each a new one. */
  readonly reuse: boolean;
}

interface Inode {
  readonly ino: bigint;
  data: Buffer;
  names: number;
  open: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  readonly birthtimeNs: bigint;
}

const dev = 7n;
const fdMin = 1_000_000;

export class Disk {
  /** Since 1970. */
  nowMs = 1_800_000_000_000;
  readonly #names = new Map<string, Inode>();
  readonly #used = new Set<bigint>();
  #lastIno = 100n;
  readonly #open = new Map<number, Inode>();
  #lastFd = fdMin;
  #changedMs = 0;

  constructor(
    readonly folder: string,
    readonly options: DiskOptions,
  ) {
    this.#changedMs = this.#exactMs;
  }

  holds = (path: unknown): path is string =>
    typeof path === "string" && (path === this.folder || path.startsWith(`${this.folder}/`));
  holdsFd = (fd: unknown): fd is number => typeof fd === "number" && fd >= fdMin;

  get names(): string[] {
    return [...this.#names.keys()].sort();
  }

  get openFiles(): number {
    return this.#open.size;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  data(name: string): Buffer {
    return this.#named(name).data;
  }

  /** Makes it where it is not there. */
  append(name: string, bytes: Buffer): void {
    const file = this.#names.get(name) ?? this.#make(name);
    file.data = Buffer.concat([file.data, bytes]);
    this.#touch(file);
  }

  truncate(name: string): void {
    const file = this.#named(name);
    file.data = Buffer.alloc(0);
    this.#touch(file);
  }

  rename(from: string, to: string): void {
    const file = this.#named(from);
    if (this.#names.has(to)) this.unlink(to);
    this.#names.delete(from);
    this.#names.set(to, file);
    file.ctimeNs = this.#nowNs;
    this.#changedMs = this.#exactMs;
  }

  /** A second name. */
  link(from: string, to: string): void {
    const file = this.#named(from);
    this.#names.set(to, file);
    file.names++;
    file.ctimeNs = this.#nowNs;
    this.#changedMs = this.#exactMs;
  }

  unlink(name: string): void {
    const file = this.#named(name);
    this.#names.delete(name);
    file.names--;
    file.ctimeNs = this.#nowNs;
    this.#changedMs = this.#exactMs;
    this.#free(file);
  }

  /** When it was written to, as if it had been when the other one was. */
  copyTime(from: string, to: string, secondsOnly: boolean): void {
    const { mtimeNs } = this.#named(from);
    const file = this.#named(to);
    file.mtimeNs = secondsOnly ? mtimeNs - (mtimeNs % 1_000_000_000n) : mtimeNs;
    file.ctimeNs = this.#nowNs;
  }

  readdir(path: string): string[] {
    if (path !== this.folder) throw failure("ENOTDIR", path);
    return this.names;
  }

  stat(path: string, bigint: boolean) {
    if (path === this.folder) return { isFile: () => false, isDirectory: () => true, mtimeMs: this.#changedMs };
    return this.#statOf(this.#at(path), bigint);
  }

  fstat(fd: number, bigint: boolean) {
    return this.#statOf(this.#opened(fd), bigint);
  }

  open(path: string): number {
    const file = this.#at(path);
    file.open++;
    this.#open.set(++this.#lastFd, file);
    return this.#lastFd;
  }

  close(fd: number): void {
    const file = this.#opened(fd);
    this.#open.delete(fd);
    file.open--;
    this.#free(file);
  }

  read(fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
    return this.#opened(fd)
      .data.subarray(position, position + length)
      .copy(buffer, offset);
  }

  get #nowNs(): bigint {
    const ns = BigInt(Math.round(this.nowMs * 1_000)) * 1_000n;
    return ns - (ns % this.options.exactNs);
  }

  get #exactMs(): number {
    return Number(this.#nowNs) / 1e6;
  }

  #make(name: string): Inode {
    let ino = this.options.reuse ? 101n : this.#lastIno + 1n;
    while (this.#used.has(ino)) ino++;
    this.#lastIno = ino;
    this.#used.add(ino);
    const now = this.#nowNs;
    const birthtimeNs = this.options.births ? now : 0n;
    const file = { ino, data: Buffer.alloc(0), names: 1, open: 0, mtimeNs: now, ctimeNs: now, birthtimeNs };
    this.#names.set(name, file);
    this.#changedMs = this.#exactMs;
    return file;
  }

  #free({ ino, names, open }: Inode): void {
    if (names === 0 && open === 0) this.#used.delete(ino);
  }

  #touch(file: Inode): void {
    file.mtimeNs = this.#nowNs;
    file.ctimeNs = this.#nowNs;
  }

  #at(path: string): Inode {
    const file = this.#names.get(path.slice(this.folder.length + 1));
    if (file === undefined) throw failure("ENOENT", path);
    return file;
  }

  #named(name: string): Inode {
    return this.#at(`${this.folder}/${name}`);
  }

  #opened(fd: number): Inode {
    const file = this.#open.get(fd);
    if (file === undefined) throw failure("EBADF", String(fd));
    return file;
  }

  #statOf({ ino, data, mtimeNs, ctimeNs, birthtimeNs }: Inode, bigint: boolean) {
    const kind = { isFile: () => true, isDirectory: () => false };
    if (!bigint) return { ...kind, ino: Number(ino), size: data.length, mtimeMs: Number(mtimeNs) / 1e6 };
    return { ...kind, dev, ino, size: BigInt(data.length), mtimeNs, ctimeNs, birthtimeNs };
  }
}

const failure = (code: string, path: string) => Object.assign(new Error(`${code}: ${path}`), { code });
