internal import Foundation

/// A frame of a pcap file.
struct Frame {
  /// Microseconds since 1970.
  var time: UInt64
  var lengthOnWire: UInt32
  var bytes: [UInt8]
}

/// The frames of a pcap file, of either byte order and unit of time.
struct Capture {
  var linkType: UInt32
  var frames: [Frame] = []

  /// - Returns: nil of what is no pcap file, or has no frame.
  init?(_ data: Data) {
    let data = [UInt8](data)
    guard data.count >= 24 else { return nil }
    func number(_ place: Int, isSwapped: Bool) -> UInt32 {
      let bytes = data[place..<place + 4]
      return (isSwapped ? Array(bytes) : bytes.reversed()).reduce(0) { $0 << 8 | UInt32($1) }
    }
    let magics: [UInt32] = [0xA1B2_C3D4, 0xA1B2_3C4D]
    guard let isSwapped = [false, true].first(where: { magics.contains(number(0, isSwapped: $0)) }) else { return nil }
    let countsNanoseconds = number(0, isSwapped: isSwapped) == magics[1]
    linkType = number(20, isSwapped: isSwapped)
    var place = 24
    while place + 16 <= data.count {
      let words = (0..<4).map { number(place + 4 * $0, isSwapped: isSwapped) }
      place += 16
      guard Int(words[2]) <= data.count - place else { break }
      let fraction = UInt64(words[1]) / (countsNanoseconds ? 1000 : 1)
      frames.append(
        Frame(
          time: UInt64(words[0]) * 1_000_000 + fraction, lengthOnWire: words[3],
          bytes: Array(data[place..<place + Int(words[2])])))
      place += Int(words[2])
    }
    if frames.isEmpty { return nil }
  }

  /// The file, in little-endian order, with times in microseconds.
  var file: [UInt8] {
    var file: [UInt8] = []
    func append(_ number: UInt32) {
      for shift in [0, 8, 16, 24] { file.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }
    for word in [0xA1B2_C3D4, 4 << 16 | 2, 0, 0, 262_144, linkType] as [UInt32] { append(word) }
    for frame in frames {
      append(UInt32(truncatingIfNeeded: frame.time / 1_000_000))
      append(UInt32(frame.time % 1_000_000))
      append(UInt32(frame.bytes.count))
      append(frame.lengthOnWire)
      file += frame.bytes
    }
    return file
  }
}
