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

/** Whether files are those of a run, or of several; else they are data. */
export function isRun(files: Files): boolean {
  return files.keys().some((path) => /(^|\/)(config\.json|[^/]*\.safetensors)$/.test(path));
}

/** The runs in a folder: itself, or those of its folders that have a model. */
export function runsIn({ name, files }: Dropped): Dropped[] {
  const folders = Map.groupBy(files.keys(), (path) => path.replace(/[^/]*$/, ""));
  const runs = [...folders].filter(([, paths]) => isRun(new Map(paths.map((p) => [p, EMPTY]))));
  return runs.map(([folder, paths]) => ({
    name: folder === "" ? name : folder.replace(/\/$/, "").replace(/^.*\//, ""),
    files: new Map(paths.map((path) => [path.slice(folder.length), files.get(path) ?? EMPTY])),
  }));
}

const EMPTY = new Uint8Array(0);

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

/** Reads files, unpacks a .zip, and takes away the folder that all of them are in. */
async function gather(found: readonly [string, File][]): Promise<Dropped> {
  const read = new Map<string, Uint8Array>();
  for (const [path, file] of found) read.set(path, new Uint8Array(await file.arrayBuffer()));
  const [first] = read.keys();
  if (read.size === 1 && first.endsWith(".zip")) {
    return inFolder(await unpack(read.get(first) as Uint8Array), first.slice(0, -".zip".length));
  }
  return inFolder(read, read.size === 1 ? first : "the files");
}

/** Files without the folder that all of them are in, which gives the name. */
function inFolder(files: Files, name: string): Dropped {
  const visible = [...files].filter(([path]) => !/(^|\/)(\.|__MACOSX\/)/.test(path));
  const folder = /^[^/]+\//.exec(visible[0]?.[0] ?? "")?.[0];
  if (folder === undefined || !visible.every(([path]) => path.startsWith(folder))) {
    return { name, files: new Map(visible) };
  }
  const inside = visible.map(([path, bytes]): [string, Uint8Array] => [
    path.slice(folder.length),
    bytes,
  ]);
  return { name: folder.slice(0, -1), files: new Map(inside) };
}

/** The files of a .zip. */
async function unpack(bytes: Uint8Array): Promise<Files> {
  const unzipped = await new Promise<Unzipped>((resolve, reject) => {
    unzip(bytes, (error, data) => error ? reject(error) : resolve(data));
  });
  return new Map(Object.entries(unzipped).filter(([path]) => !path.endsWith("/")));
}
