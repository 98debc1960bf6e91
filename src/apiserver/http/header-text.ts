// Values of headers are bytes: names of people that are not ASCII come in UTF-8, where Node reads every byte as a character.

const isAscii = /^[\x20-\x7e]*$/;

/** A header's value as its sender wrote it. */
export const headerText = (value: string): string => (isAscii.test(value) ? value : Buffer.from(value, "latin1").toString("utf8"));
