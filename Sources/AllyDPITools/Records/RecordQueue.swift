/// Lines that wait for their reader, in a bounded number of bytes.
struct RecordQueue {
  private var bytes: [UInt8] = []
  /// Where the first byte is that waits.
  private var start = 0
  /// Whether the line at ``start`` was begun: its beginning is gone.
  private(set) var isTorn = false
  private let capacity: Int

  /// - Parameter capacity: the most bytes.
  init(capacity: Int) { self.capacity = capacity }

  var isEmpty: Bool { start == bytes.count }
  var count: Int { bytes.count - start }
  /// All that waits.
  var waiting: ArraySlice<UInt8> { bytes[start...] }
  /// The first line, with its line feed.
  var firstLine: ArraySlice<UInt8> {
    let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
    return bytes[start..<end]
  }

  /// Whether a line of so many bytes has room, with its line feed.
  func hasRoom(for length: Int) -> Bool { count + length + 1 <= capacity }

  mutating func append(_ record: RawSpan) {
    if start > 0, start >= count { compact() }
    unsafe record.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    bytes.append(UInt8(ascii: "\n"))
  }

  /// Takes bytes away that the reader has.
  mutating func removeFirst(_ count: Int) {
    guard count > 0 else { return }
    isTorn = bytes[start + count - 1] != UInt8(ascii: "\n")
    start += count
    if isEmpty { compact() }
  }

  private mutating func compact() {
    bytes.removeFirst(start)
    start = 0
  }
}
