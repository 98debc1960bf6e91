// The calls of the file system that put small files in place. Node's own are made on a pool of threads, so that a slow disk
// holds nobody up: each costs two threads a turn. Where thousands of files of a few hundred bytes are written to a disk that
// nobody but this process waits for, as those of simulated pods are, the calls themselves are a tenth of that.

import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as promises from "node:fs/promises";

export interface FileCalls {
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, uid: number, gid: number): Promise<void>;
  lstat(path: string): Promise<{ readonly mode: number; isFile(): boolean; isDirectory(): boolean }>;
  mkdir(path: string, options: { readonly recursive: true; readonly mode?: number }): Promise<unknown>;
  mkdtemp(prefix: string): Promise<string>;
  readdir(path: string): Promise<readonly string[]>;
  readFile(path: string): Promise<Buffer>;
  readlink(path: string): Promise<string>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly force: true; readonly recursive?: boolean }): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  writeFile(path: string, data: string | Uint8Array, options?: { readonly mode: number }): Promise<void>;
}

/** Never holds the process up. */
export const pooledFiles: FileCalls = promises;

/** Holds the process up while the disk works. */
export const immediateFiles: FileCalls = {
  chmod: async (path, mode) => chmodSync(path, mode),
  chown: async (path, uid, gid) => chownSync(path, uid, gid),
  lstat: async (path) => lstatSync(path),
  mkdir: async (path, options) => mkdirSync(path, options),
  mkdtemp: async (prefix) => mkdtempSync(prefix),
  readdir: async (path) => readdirSync(path),
  readFile: async (path) => readFileSync(path),
  readlink: async (path) => readlinkSync(path),
  rename: async (from, to) => renameSync(from, to),
  rm: async (path, options) => rmSync(path, options),
  symlink: async (target, path) => symlinkSync(target, path),
  writeFile: async (path, data, options) => writeFileSync(path, data, options),
};
