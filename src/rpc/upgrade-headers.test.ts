import { describe, expect, it } from "vitest";
import { upgradeHeaders } from "./upgrade.ts";

describe("upgradeHeaders()", () => {
  it("passes on what is about the upgrade, and no credentials", () => {
    const token = `base64url.bearer.authorization.k8s.io.${Buffer.from("secret").toString("base64url")}`;
    const headers = {
      connection: "Upgrade",
      upgrade: "websocket",
      authorization: "Bearer secret",
      cookie: "a=b",
      "sec-websocket-key": "k",
      "sec-websocket-protocol": `${token}, v5.channel.k8s.io`,
    };
    expect(upgradeHeaders(headers)).toEqual({
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-key": "k",
      "sec-websocket-protocol": "v5.channel.k8s.io",
    });
  });
});
