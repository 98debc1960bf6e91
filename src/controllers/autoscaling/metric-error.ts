// Why a metric of an autoscaler cannot be used. The message goes into the condition ScalingActive and an event with the
// reason; what the caller adds to it goes into its own report.

export class MetricError extends Error {
  /** "FailedGetResourceMetric": reason of the event and of the condition. */
  readonly reason: string;
  /** What went wrong, as event and condition say it; the error's message has more around it. */
  readonly detail: string;

  constructor(reason: string, detail: string, message: string) {
    super(message);
    this.name = "MetricError";
    this.reason = reason;
    this.detail = detail;
  }
}
