/**
 * Files that are dropped on the page or picked, and files that it gives back.
 *
 * @module
 */
import { unzip, type Unzipped, zipSync } from "fflate";
import type { Files } from "./protocol.ts";

/** What was dropped: a name, and files by path. */
export interface Dropped {
  readonly name: string;
  readonly files: Files;
}

/**
 * Reads what was dropped: one folder, some files, or a .zip of either. The paths of a folder are
 * those in it. Must be called in the handler of the event, as a `DataTransfer` is empty later.
 */
export async function readDropped(transfer: DataTransfer): Promise<Dropped> {
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  const found: [string, File][] = [];
  for (const entry of entries) await walk(entry, "", found);
  return gather(found);
}

/** Reads what was picked with `<input type="file">`, with `webkitdirectory` or without it. */
export function readPicked(list: FileList): Promise<Dropped> {
  return gather([...list].map((file) => [file.webkitRelativePath || file.name, file]));
}

/** The data sets and the runs among the folders of what was dropped, itself included. */
export function foldersIn(
  { name, files }: Dropped,
): { readonly data: readonly Dropped[]; readonly runs: readonly Dropped[] } {
  const folders = Map.groupBy(files, ([path]) => path.replace(/[^/]*$/, ""));
  const found = [...folders].map(([folder, files]): Dropped => ({
    name: folder === "" ? name : folder.replace(/\/$/, "").replace(/^.*\//, ""),
    files: new Map(files.map(([path, bytes]) => [path.slice(folder.length), bytes])),
  }));
  const having = (file: RegExp): Dropped[] =>
    found.filter(({ files }) => files.keys().some((path) => file.test(path)));
  return {
    data: having(/^(inter|id2name4Rec)\.json$/),
    runs: having(/^config\.json$|\.safetensors$/),
  };
}

/** Offers the files of a folder as NAME.zip. */
export function downloadFiles(name: string, files: Files): void {
  const paths = Object.fromEntries([...files].map(([path, bytes]) => [`${name}/${path}`, bytes]));
  const zipped = zipSync(paths, { level: 0 }) as Uint8Array<ArrayBuffer>; // weights do not shrink
  download(`${name}.zip`, new Blob([zipped], { type: "application/zip" }));
}

/** Offers a file. */
export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Adds the files of a dropped entry, by path. */
async function walk(entry: FileSystemEntry, at: string, found: [string, File][]): Promise<void> {
  const path = `${at}${entry.name}`;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject)
    );
    found.push([path, file]);
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) { // a reader gives some entries at a time
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject)
    );
    if (some.length === 0) return;
    for (const child of some) await walk(child, `${path}/`, found);
  }
}

/** Reads files, unpacks a .zip, and takes away the folders that all of them are in. */
export async function gather(found: readonly [string, File][]): Promise<Dropped> {
  const read = new Map<string, Uint8Array>();
  for (const [path, file] of found) {
    const bytes = await reading(path, "the browser must be able to", () => file.arrayBuffer());
    read.set(path, new Uint8Array(bytes));
  }
  const [[first, bytes] = ["", undefined]] = read;
  if (read.size === 1 && bytes !== undefined && /\.zip$/i.test(first)) {
    const files = await reading(first, "it must be a whole .zip file", () => unpack(bytes));
    return inFolder(files, first.slice(0, -".zip".length));
  }
  return inFolder(read, read.size === 1 ? first : "the files");
}

async function reading<T>(path: string, requirement: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${requirement}, got: ${(error as Error).message}`);
  }
}

/** Files without the folders that all of them are in, the last of which gives the name. */
function inFolder(files: Files, name: string): Dropped {
  const visible = [...files].filter(([path]) => !/(^|\/)(\.|__MACOSX\/)/.test(path));
  const folder = /^[^/]+\//.exec(visible[0]?.[0] ?? "")?.[0];
  if (folder === undefined || !visible.every(([path]) => path.startsWith(folder))) {
    return { name, files: new Map(visible) };
  }
  const inside = visible.map(([path, bytes]) => [path.slice(folder.length), bytes] as const);
  return inFolder(new Map(inside), folder.slice(0, -1));
}

/** The files of a .zip. */
async function unpack(bytes: Uint8Array): Promise<Files> {
  const unzipped = await new Promise<Unzipped>((resolve, reject) => {
    unzip(bytes, (error, data) => error ? reject(error) : resolve(data));
  });
  return new Map(Object.entries(unzipped).filter(([path]) => !path.endsWith("/")));
}
