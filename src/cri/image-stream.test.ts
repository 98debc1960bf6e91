import { once } from "node:events";
import { gzipSync } from "node:zlib";
import { extract, pack } from "tar-stream";
import { describe, expect, test } from "vitest";
import { buildImageArchive } from "./image-archive.ts";
import { normalizeImageName } from "./image-name.ts";
import { prepareArchive } from "./image-stream.ts";

async function tarOf(files: Readonly<Record<string, string>>): Promise<Uint8Array> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, content);
  tar.finalize();
  return bytesOf(tar as AsyncIterable<Uint8Array>);
}

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function filesOf(bytes: Uint8Array): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const input = extract();
  input.on("entry", (header, stream, next) => {
    void bytesOf(stream as AsyncIterable<Uint8Array>).then((content) => {
      files[header.name] = Buffer.from(content).toString();
      next();
    });
  });
  input.end(bytes);
  await once(input, "finish");
  return files;
}

async function prepare(archive: Parameters<typeof prepareArchive>[0], name?: string) {
  const prepared = prepareArchive(archive, name === undefined ? {} : { name });
  const files = await filesOf(await bytesOf(prepared.stream));
  return { names: prepared.names(), files };
}

const index = (...annotations: Record<string, string>[]): string =>
  JSON.stringify({ schemaVersion: 2, manifests: annotations.map((a, i) => ({ digest: `sha256:${i}`, annotations: a })) });

describe("prepareArchive()", () => {
  test("gives docker archives full names and keeps everything else", async () => {
    const archive = await buildImageArchive({ name: "app", files: [{ path: "/x/y", content: "z" }], config: {} });
    const { names, files } = await prepare(archive);
    expect(names).toEqual(["docker.io/library/app:latest"]);
    const original = await filesOf(archive);
    expect(Object.keys(files)).toEqual(Object.keys(original));
    expect(JSON.parse(files["manifest.json"] ?? "")).toEqual([{ ...JSON.parse(original["manifest.json"] ?? "")[0], RepoTags: names }]);
    for (const [path, text] of Object.entries(original)) if (path !== "manifest.json") expect(files[path]).toBe(text);
  });

  test("reads gzip, and streams in pieces of any size", async () => {
    const archive = gzipSync(
      await tarOf({ "manifest.json": JSON.stringify([{ RepoTags: ["a:1", "b:2"], Layers: [] }]), layer: "x".repeat(300_000) }),
    );
    async function* pieces() {
      for (let i = 0; i < archive.length; i += 7) yield archive.subarray(i, i + 7);
    }
    const { names, files } = await prepare(pieces());
    expect(names).toEqual(["docker.io/library/a:1", "docker.io/library/b:2"]);
    expect(files.layer).toHaveLength(300_000);
  });

  test("names OCI images by the containerd annotation, then by a full reference name", async () => {
    const { names, files } = await prepare(
      await tarOf({
        "oci-layout": "{}",
        "./index.json": index(
          { "io.containerd.image.name": "ghcr.io/a/b:1", "org.opencontainers.image.ref.name": "1" },
          { "org.opencontainers.image.ref.name": "c/d:2" },
        ),
      }),
    );
    expect(names).toEqual(["ghcr.io/a/b:1", "docker.io/c/d:2"]);
    const written = JSON.parse(files["index.json"] ?? "");
    expect(written.manifests.map((m: { annotations: Record<string, string> }) => m.annotations["io.containerd.image.name"])).toEqual(names);
  });

  test("takes the name given for an image that is named only by a tag, or not at all", async () => {
    const tagged = await tarOf({ "index.json": index({ "org.opencontainers.image.ref.name": "latest" }) });
    expect((await prepare(tagged, "mine:3")).names).toEqual(["docker.io/library/mine:3"]);
    await expect(prepare(tagged)).rejects.toThrow('named only by the tag "latest": give it a full name');
    const nameless = await tarOf({ "manifest.json": JSON.stringify([{ RepoTags: null }]) });
    expect((await prepare(nameless, "mine")).names).toEqual(["docker.io/library/mine:latest"]);
    const two = await tarOf({ "index.json": index({}, {}) });
    await expect(prepare(two, "mine")).rejects.toThrow("the archive holds 2 images, one of them without a name");
  });

  test("refuses what is no image archive, and broken input, with the reason", async () => {
    await expect(prepare(await tarOf({ "a.txt": "a" }))).rejects.toThrow("the archive holds no image");
    await expect(prepare(Buffer.alloc(2000, "text"))).rejects.toThrow(/tar/i);
    await expect(prepare("/nonexistent/archive.tar")).rejects.toThrow("ENOENT");
    const broken = gzipSync(await tarOf({ "manifest.json": "[]", layer: "x".repeat(10_000) })).subarray(0, 60);
    await expect(prepare(broken)).rejects.toThrow("the archive cannot be unpacked");
    await expect(prepare(await tarOf({ "manifest.json": "{}" }))).rejects.toThrow("manifest.json of the archive is not a list of images");
  });

  test("lets go of its source when the reader leaves early", async () => {
    let closed = false;
    const tar = await tarOf({ layer: "x".repeat(5_000_000), "manifest.json": "[]" });
    async function* endless() {
      try {
        for (let i = 0; i < tar.length; i += 65_536) yield tar.subarray(i, i + 65_536);
      } finally {
        closed = true;
      }
    }
    for await (const _ of prepareArchive(endless()).stream) break;
    for (let i = 0; i < 50 && !closed; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(true);
  });
});

describe("normalizeImageName()", () => {
  test.each([
    ["busybox", "docker.io/library/busybox:latest"],
    ["busybox:1", "docker.io/library/busybox:1"],
    ["me/app", "docker.io/me/app:latest"],
    ["index.docker.io/app:2", "docker.io/library/app:2"],
    ["localhost/app", "localhost/app:latest"],
    ["localhost:5000/a/b:c", "localhost:5000/a/b:c"],
    ["registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"],
    [`ghcr.io/a/b@sha256:${"0".repeat(64)}`, `ghcr.io/a/b@sha256:${"0".repeat(64)}`],
    [`a:1@sha256:${"0".repeat(64)}`, `docker.io/library/a:1@sha256:${"0".repeat(64)}`],
  ])("completes %s", (name, full) => {
    expect(normalizeImageName(name)).toBe(full);
    expect(normalizeImageName(full)).toBe(full);
  });

  test.each(["", "UPPER", "a b", "a:", "a/:1", "a@sha256:12", "a//b", "-a", "a:b:c"])("refuses %j", (name) => {
    expect(() => normalizeImageName(name)).toThrow("invalid image name");
  });
});
