internal import AllyDeviceModels
internal import Synchronization

/// Where a frame lies between the uplink and the NIC; a view of memory that outlives its worker where there is a keeper.
///
/// Frames are numbered. That a frame came is noted as soon as it is there; that the NIC took it belongs to the NIC's own
/// record (``taken``), so that both count at one moment. One thread uses it.
@safe
struct FrameStaging {
  private static let buffer = 64
  static let byteCount = (buffer + Uplink.longestFrame + 0xFFF) & ~0xFFF

  /// Invariant: `byteCount` bytes; their owner outlives every use of a copy.
  private let place: UnsafeMutableRawPointer

  init(at place: UnsafeMutableRawPointer) { unsafe self.place = place }

  private enum Word {
    static let staged = 0
    static let length = 8
    static let isReading = 16
  }

  /// How many frames came, of which the last is here.
  var staged: UInt64 { unsafe place.load(fromByteOffset: Word.staged, as: UInt64.self) }

  /// Lends the last frame that came.
  func withFrame<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
    let length = min(unsafe place.load(fromByteOffset: Word.length, as: Int.self), Uplink.longestFrame)
    let bytes = unsafe UnsafeBufferPointer(
      start: (place + Self.buffer).assumingMemoryBound(to: UInt8.self), count: length)
    return unsafe body(bytes.span)
  }

  /// Takes the next frame from an uplink.
  ///
  /// - Returns: whether there was one.
  func fetch(from uplink: inout Uplink) -> Bool {
    // What the headers would tell a successor of a frame that came without its length.
    unsafe (place + Self.buffer).initializeMemory(as: UInt8.self, repeating: 0, count: Self.headers)
    set(Word.isReading, 1)
    let bytes = unsafe UnsafeMutableBufferPointer(
      start: (place + Self.buffer).assumingMemoryBound(to: UInt8.self), count: Uplink.longestFrame)
    var span = unsafe bytes.mutableSpan
    let count = uplink.receive(into: &span)
    if let count {
      DeathPoint.reach(.afterUplinkRead)
      note(length: count)
    }
    set(Word.isReading, 0)
    return count != nil
  }

  /// Takes up what a worker left that died while it took a frame.
  ///
  /// - Returns: false when a frame came that is lost: only its sender knows how long it was.
  func takeUp(after taken: UInt64) -> Bool {
    guard unsafe place.load(fromByteOffset: Word.isReading, as: UInt64.self) != 0 else { return true }
    defer { set(Word.isReading, 0) }
    let bytes = unsafe UnsafeBufferPointer(
      start: (place + Self.buffer).assumingMemoryBound(to: UInt8.self), count: Self.headers)
    let headers = unsafe bytes.span
    guard staged == taken, headers.indices.contains(where: { headers[$0] != 0 }) else { return true }
    guard let length = FrameLength.said(by: headers) else { return false }
    note(length: min(length, Uplink.longestFrame))
    return true
  }

  /// Bytes of a frame that tell its length: Ethernet with two tags, and an IPv6 header.
  private static let headers = 64

  private func note(length: Int) {
    unsafe place.storeBytes(of: length, toByteOffset: Word.length, as: Int.self)
    set(Word.staged, staged &+ 1)
  }

  /// Stores a word after all before it, and before all after it.
  private func set(_ word: Int, _ value: UInt64) {
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    unsafe place.storeBytes(of: value, toByteOffset: word, as: UInt64.self)
    atomicMemoryFence(ordering: .acquiringAndReleasing)
  }
}

/// The length of a frame as its headers have it.
enum FrameLength {
  /// - Parameter headers: the first 64 bytes of a frame, or all of it and zeros.
  /// - Returns: bytes without padding; nil when no header says a length.
  static func said(by headers: Span<UInt8>) -> Int? {
    var place = 12
    while place + 4 <= headers.count, [0x8100, 0x88A8].contains(word(headers, place)) { place += 4 }
    guard place + 8 <= headers.count else { return nil }
    let type = word(headers, place)
    let payload = place + 2
    switch type {
    case 0x0800: return payload + word(headers, payload + 2)
    case 0x86DD: return payload + 40 + word(headers, payload + 4)
    // Two hardware addresses and two protocol addresses (RFC 826).
    case 0x0806: return payload + 8 + 2 * (Int(headers[payload + 4]) + Int(headers[payload + 5]))
    case 1...1500: return payload + type
    default: return nil
    }
  }

  private static func word(_ bytes: Span<UInt8>, _ place: Int) -> Int { Int(bytes[place]) << 8 | Int(bytes[place + 1]) }
}
