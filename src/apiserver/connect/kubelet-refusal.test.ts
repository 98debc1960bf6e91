import { expect, it } from "vitest";
import { kubeletRefusal } from "./kubelet-refusal.ts";

it.each([
  [400, "bad\n", "BadRequest", "bad"],
  [401, "Unauthorized", "Unauthorized", "the server has asked for the client to provide credentials ( pods/log p)"],
  [403, "Forbidden (user=x)\n", "Forbidden", "Forbidden (user=x) ( pods/log p)"],
  [404, "", "NotFound", "the server could not find the requested resource ( pods/log p)"],
  [500, "broken", "InternalError", "Internal error occurred: broken"],
  [502, "gone", "InternalError", 'an error on the server ("gone") has prevented the request from succeeding ( pods/log p)'],
  [503, "", "ServiceUnavailable", "the server is currently unable to handle the request ( pods/log p)"],
])("a kubelet's %d keeps its status", (status, body, reason, message) => {
  expect(kubeletRefusal(status, body, "p")).toMatchObject({ code: status, reason, message });
});
