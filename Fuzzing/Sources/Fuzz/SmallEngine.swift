internal import AllyDPI

/// Engines small enough to make one for each input.
enum SmallEngine {
  /// Everything on and every table small, so that inputs fill them. Checksums are not looked at: an input cannot guess
  /// them.
  static var configuration: DPIConfiguration {
    var configuration = DPIConfiguration()
    configuration.validatesChecksums = false
    configuration.flowMemoryCap = 64 << 10
    configuration.streamMemoryCap = 64 << 10
    configuration.reassemblyMemoryCap = 128 << 10
    configuration.defragmentationMemoryCap = 128 << 10
    configuration.hashSeed = 1
    configuration.thresholdEntries = 16
    configuration.stateBitEntries = 16
    configuration.records = [.alerts, .drops, .flows, .decodeAnomalies, .streamAnomalies]
    return configuration
  }
}

/// Checks each record.
final class RecordCheck: RecordSink {
  private(set) var count = 0

  func write(record: RawSpan) {
    count += 1
    let bytes = unsafe record.withUnsafeBytes { unsafe Array($0) }
    require(
      JSONLine.isValid(bytes), "a record is no JSON object on one line: \(String(decoding: bytes, as: UTF8.self))")
  }
}
