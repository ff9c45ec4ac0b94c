/// Where lines of records go, one for each record: what `eve-log` and `fast` have in common.
struct RecordTargetSettings: Equatable {
  enum Kind: String {
    /// A file, or whatever has its name.
    case regular
    /// A unix socket that somebody listens at, one line after the other.
    case unixStream = "unix_stream"
    /// A unix socket that takes datagrams, a line each.
    case unixDatagram = "unix_dgram"
  }

  var kind = Kind.regular
  /// Within the log folder, unless it begins with `/`; a file's may hold the conversions of strftime(3).
  var fileName: String
  /// Whether lines are added to what the file already holds; otherwise it begins anew.
  var appends = false
  /// When a new file begins by itself; nil for never.
  var rotation: RecordRotation?

  static var eve: RecordTargetSettings { RecordTargetSettings(fileName: "eve.json") }
  static var fastLog: RecordTargetSettings { RecordTargetSettings(fileName: "fast.log") }
}

/// When a file of records makes room for the next: `rotate-interval`.
struct RecordRotation: Equatable {
  /// Seconds from one file to the next.
  var seconds: Int
  /// Whether files begin when the clock does: with the minute, the hour, the day (UTC).
  var isAligned = false

  init(seconds: Int, isAligned: Bool = false) {
    self.seconds = seconds
    self.isAligned = isAligned
  }

  /// `minute`, `hour`, `day`, or a number with `s`, `m`, `h`, `d` or no unit.
  init?(_ text: String) {
    switch text {
    case "minute": self.init(seconds: 60, isAligned: true)
    case "hour": self.init(seconds: 3600, isAligned: true)
    case "day": self.init(seconds: 86_400, isAligned: true)
    default:
      let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
      let unit = text.last.flatMap { units[$0] }
      guard let number = Int(unit == nil ? text[...] : text.dropLast()), (1...1_000_000).contains(number) else {
        return nil
      }
      self.init(seconds: number * (unit ?? 1))
    }
  }

  /// When the file that begins at a time ends, both in seconds since 1970.
  func end(ofFileFrom time: Int) -> Int { isAligned ? time - time % seconds + seconds : time + seconds }
}

/// Where files go that rules or settings keep: `outputs: - file-store:`.
struct FileStoreSettings: Equatable {
  var isEnabled = false
  /// Within the log folder, unless it begins with `/`.
  var folder = "filestore"
}
