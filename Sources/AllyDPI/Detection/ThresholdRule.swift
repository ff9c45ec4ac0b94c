internal import AllyPacket

/// ``Threshold``, flat.
struct ThresholdRule: BitwiseCopyable, Sendable {
  var kind: Threshold.Kind
  var track: Threshold.Track
  var count: UInt32
  var seconds: UInt32

  init(_ threshold: Threshold) {
    kind = threshold.kind
    track = threshold.track
    count = threshold.count
    seconds = threshold.seconds
  }
}

/// ``RateFilter``, flat.
struct RateFilterRule: BitwiseCopyable, Sendable {
  var track: Threshold.Track
  var count: UInt32
  var seconds: UInt32
  var timeout: UInt32
  var newActions: Actions

  init(_ filter: RateFilter) {
    track = filter.track
    count = filter.count
    seconds = filter.seconds
    timeout = filter.timeout
    newActions = Actions(filter.newAction)
  }
}

/// ``Suppression``, flat.
struct SuppressionTest: BitwiseCopyable, Sendable {
  var side: Suppression.Side
  /// Index of an address list.
  var addresses: UInt32
}
