// What a client is told where a kubelet answers a request for logs with an error: its status, in the words of upstream's client.
import { badRequest, internalError, StatusError } from "../../api/meta/status-error.ts";
import { statusError } from "../webhook/webhook-error.ts";

const reasons: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  409: "Conflict",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** `status`: of the answer, no success; `body`: the beginning of it; `name`: the pod's. */
export function kubeletRefusal(status: number, body: string, name: string): StatusError {
  const said = body.trim();
  if (status === 500) return internalError(new Error(said));
  if (status === 400) return badRequest(said);
  const reason = reasons[status] ?? (status > 500 ? "InternalError" : undefined);
  return new StatusError({
    code: status,
    ...(reason === undefined ? {} : { reason }),
    message: `${statusError(status, body, undefined).message} ( pods/log ${name})`,
    details: { name, kind: "pods/log" },
  });
}
