/// What becomes of frames while there is no inspector: an operator's choice, without a default.
public enum InspectorFailure: String, Sendable, CaseIterable {
  /// They pass.
  case open
  /// They end here.
  case closed
}

/// What crossed to an inspector in another process, and what did not.
public struct InspectionReport: Sendable, Equatable, BitwiseCopyable {
  /// Frames that have a verdict of the inspector's.
  public var inspected: UInt64 = 0
  /// Times that the ring's head moved: batches of frames.
  public var batches: UInt64 = 0
  /// Times that the inspector had to be woken, and that the interceptor slept for a verdict.
  public var inspectorWakeUps: UInt64 = 0
  public var interceptorWakeUps: UInt64 = 0
  /// Frames that had to be copied for the inspector to see them, because they did not lie in memory that it has.
  public var copies: UInt64 = 0
  /// Frames that got the verdict of ``InspectorFailure``.
  public var undecided: UInt64 = 0
  /// Frames that the inspector saw, and that were then taken out of the queue; a frame that comes again is inspected again.
  public var withdrawn: UInt64 = 0
  /// Answers that could not be carried out: too long, no room, or nothing that an inspector says.
  public var refusedAnswers: UInt64 = 0
  /// Inspectors that ended, that gave no verdict in time, and that wrote what no inspector writes.
  public var ended: UInt64 = 0
  public var stuck: UInt64 = 0
  public var misbehaved: UInt64 = 0
  /// Inspectors that were started after the first.
  public var restarts: UInt64 = 0

  public init() {}
}
