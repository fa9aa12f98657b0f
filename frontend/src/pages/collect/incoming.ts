// Files on their way in, from wherever: dropped, chosen or pasted. Each with the path that its folders give it.

export interface Incoming {
  path: string;
  file: File;
}

async function readAll(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    // Browsers hand out a hundred at a time, and none when it is over.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return found;
    found.push(...part);
  }
}

async function walk(entry: FileSystemEntry, into: Incoming[]): Promise<void> {
  if (entry.isDirectory) {
    for (const child of await readAll(entry as FileSystemDirectoryEntry)) await walk(child, into);
  } else {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    into.push({ path: entry.fullPath.replace(/^\//, ""), file });
  }
}

/** Must be called while the drop is handled: afterwards the browser shows nothing any more. */
export function fromTransfer(transfer: DataTransfer): Promise<Incoming[]> {
  const entries: FileSystemEntry[] = [];
  const loose: File[] = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry();
    const file = entry ? null : item.getAsFile();
    if (entry) entries.push(entry);
    else if (file) loose.push(file);
  }
  return (async () => {
    const found = fromFiles(loose);
    for (const entry of entries) await walk(entry, found);
    return found;
  })();
}

export function fromFiles(files: Iterable<File>): Incoming[] {
  return [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}
