import { expect, it } from "vitest";
import { httpBodyProblem, httpParseProblem } from "./http-parse-problem.ts";

const problem = (head: string, code = "HPE_INVALID_CONSTANT") =>
  httpParseProblem(Object.assign(new Error("Parse Error"), { code, rawPacket: Buffer.from(head) }));
const broken = "net/http: HTTP/1.x transport connection broken:";

it("httpParseProblem() says what is no HTTP about an answer", () => {
  expect(problem("garbage\r\n\r\n")).toBe(`${broken} malformed HTTP response "garbage"`);
  expect(problem("HTTP/1.1 abc OK\r\n\r\n")).toBe(`${broken} malformed HTTP status code "abc"`);
  expect(problem("HTTP/1.1 200 OK\r\nBad Header\r\n\r\n")).toBe(`${broken} malformed MIME header: missing colon: "Bad Header"`);
  expect(problem("HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 3\r\n\r\n")).toBe(
    `${broken} http: message cannot contain multiple Content-Length headers; got ["2" "3"]`,
  );
});

it("httpParseProblem() leaves other errors alone", () => {
  expect(httpParseProblem(Object.assign(new Error("x"), { code: "ECONNRESET" }))).toBeUndefined();
});

it("httpBodyProblem() tells broken chunks from answers that end early", () => {
  expect(httpBodyProblem(Object.assign(new Error("x"), { code: "HPE_INVALID_CHUNK_SIZE" }))).toBe("invalid byte in chunk length");
  expect(httpBodyProblem(new Error("aborted"))).toBe("unexpected EOF");
});
