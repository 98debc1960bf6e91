import { createDecipheriv } from "node:crypto";
import { describe, expect, it } from "vitest";
import { aesCbc, aesGcm, expandedKey, secretBox, seededAesGcm } from "./ciphers.ts";
import { type Cipher, DecryptError } from "./transformer.ts";

const hex = (text: string): Buffer => Buffer.from(text, "hex");
const key = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
const text = Buffer.from('{"kind":"Secret"}');
const at = "/registry/secrets/default/s";

const ciphers: readonly (readonly [string, () => Cipher | Promise<Cipher>])[] = [
  ["aescbc", () => aesCbc(key)],
  ["aescbc of 128 bits", () => aesCbc(key.subarray(16))],
  ["aesgcm", () => aesGcm(key)],
  ["aesgcm of 192 bits", () => aesGcm(key.subarray(8))],
  ["seeded aesgcm", () => seededAesGcm(key)],
  ["secretbox", () => secretBox(key)],
];

describe.each(ciphers)("%s", (_name, create) => {
  it("gives back what it was given, never in the same form", async () => {
    const cipher = await create();
    for (const length of [0, 1, 15, 16, 17, 5000]) {
      const plain = Buffer.alloc(length, 7);
      const stored = cipher.encrypt(plain, at);
      expect(Buffer.from(cipher.decrypt(stored, at)).equals(plain)).toBe(true);
      expect(Buffer.from(cipher.encrypt(plain, at)).equals(stored)).toBe(false);
    }
  });

  it("refuses what is cut short", async () => {
    const cipher = await create();
    expect(() => cipher.decrypt(cipher.encrypt(text, at).subarray(0, 11), at)).toThrow(DecryptError);
  });
});

describe("what was written with another key, or changed", () => {
  const other = Buffer.alloc(32, 9);

  it("is refused in upstream's words", async () => {
    const cipherWords = "cipher: message authentication failed";
    expect(() => aesGcm(other).decrypt(aesGcm(key).encrypt(text, at), at)).toThrow(cipherWords);
    expect(() => seededAesGcm(other).decrypt(seededAesGcm(key).encrypt(text, at), at)).toThrow(cipherWords);
    const [box, otherBox] = [await secretBox(key), await secretBox(other)];
    expect(() => otherBox.decrypt(box.encrypt(text, at), at)).toThrow("output array was not large enough for encryption");
  });

  it("is refused for its padding with aescbc", () => {
    const stored = Buffer.from(aesCbc(key).encrypt(text, at));
    expect(() => aesCbc(key).decrypt(stored.subarray(0, 40), at)).toThrow("the stored data is not a multiple of the block size");
    // The block before the last one is added to the last: of its 15 bytes of padding one is another, or all say another length.
    const changed = (byte: number, to: number): Buffer => {
      const copy = Buffer.from(stored);
      copy[byte] = (copy[byte] ?? 0) ^ to;
      return copy;
    };
    expect(() => aesCbc(key).decrypt(changed(20, 1), at)).toThrow("invalid padding on input");
    expect(() => aesCbc(key).decrypt(changed(31, 15), at)).toThrow("invalid PKCS7 data (empty or not padded)");
  });
});

describe("the forms in the store", () => {
  it("of aescbc is the IV and PKCS#7 padded blocks", () => {
    const stored = aesCbc(key).encrypt(text, at);
    const cipher = createDecipheriv("aes-256-cbc", key, stored.subarray(0, 16)).setAutoPadding(false);
    const padded = Buffer.concat([cipher.update(stored.subarray(16)), cipher.final()]);
    expect(padded.subarray(0, text.length)).toEqual(text);
    expect([...padded.subarray(text.length)]).toEqual(Array.from({ length: 15 }, () => 15));
  });

  it.each([["aesgcm", aesGcm(key)] as const, ["seeded aesgcm", seededAesGcm(key)] as const])(
    "of %s is bound to its place",
    (_name, cipher) => {
      const stored = cipher.encrypt(text, at);
      expect(() => cipher.decrypt(stored, "/registry/secrets/other/s")).toThrow(DecryptError);
      const changed = Buffer.from(stored);
      changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
      expect(() => cipher.decrypt(changed, at)).toThrow(DecryptError);
    },
  );

  it("derives keys as RFC 5869 does (A.1)", () => {
    const prk = hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    expect(Buffer.from(expandedKey(prk, hex("f0f1f2f3f4f5f6f7f8f9"))).toString("hex")).toBe(
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    );
  });

  it("of secretbox is NaCl's (its own example)", async () => {
    const box = await secretBox(hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389"));
    const nonce = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
    const stored =
      "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5";
    const plain =
      "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705";
    expect(Buffer.from(box.decrypt(hex(nonce + stored), at)).toString("hex")).toBe(plain);
  });
});
