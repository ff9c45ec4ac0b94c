internal import CAllyLinux
internal import Glibc

/// The cable of a NIC in another process: a pair of datagram sockets, of which that process has one end, and an uplink, which it
/// does not have. Frames are carried between the two.
///
/// A frame that the NIC does not take stays here for up to two seconds, and those behind it in the uplink's queue.
struct QEMUWire: ~Copyable {
  private var uplink: Uplink
  private let near: OwnedDescriptor
  private(set) var traffic = WireTraffic()
  /// The frame on its way to the NIC, and how long it is; 0 without one.
  private var frame = [UInt8](repeating: 0, count: Uplink.longestFrame)
  private var length = 0
  private var arrival: UInt64 = 0
  /// What comes from the NIC.
  private var sent = [UInt8](repeating: 0, count: Uplink.longestFrame)

  private static var patience: UInt64 { 2_000_000_000 }

  init(_ uplink: consuming Uplink, near: consuming OwnedDescriptor) {
    self.uplink = uplink
    self.near = near
  }

  /// Whether the uplink did not take what the NIC may have sent.
  private var isHeldUp = false

  /// Whether a frame waits on either side.
  var isWaiting: Bool { length > 0 || isHeldUp }
  /// What is readable when a frame comes; nil while one waits already.
  var inputDescriptor: Int32? { length > 0 ? nil : uplink.descriptor }

  /// Carries frames to the NIC, as many as it takes.
  ///
  /// - Returns: whether any went.
  mutating func carryToNIC(_ frames: Int, at now: UInt64) -> Bool {
    // Taken out while the uplink works with it.
    var frame: [UInt8] = []
    swap(&frame, &self.frame)
    defer { swap(&frame, &self.frame) }
    for carried in 0..<frames {
      if length > 0, now &- arrival > Self.patience {
        traffic.expired &+= 1
        length = 0
      }
      if length == 0 {
        var bytes = frame.mutableSpan
        guard let count = uplink.receive(into: &bytes) else { return carried > 0 }
        length = count
        arrival = now
      }
      let result = unsafe frame.withUnsafeBytes { bytes in
        // `length` is at most what is there.
        unsafe send(near.number, bytes.baseAddress, length, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
      }
      guard result >= 0 else { return carried > 0 }
      traffic.received &+= 1
      length = 0
    }
    return true
  }

  /// Carries away what the NIC has sent, as much as the uplink takes.
  ///
  /// - Returns: whether there was anything.
  mutating func carryFromNIC(_ frames: Int) -> Bool {
    var sent: [UInt8] = []
    swap(&sent, &self.sent)
    defer { swap(&sent, &self.sent) }
    for carried in 0..<frames {
      isHeldUp = !uplink.hasRoom()
      if isHeldUp { return carried > 0 }
      let length = unsafe sent.withUnsafeMutableBytes { bytes in
        unsafe recv(near.number, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT))
      }
      guard length > 0 else { return carried > 0 }
      if uplink.send(sent.span.extracting(0..<length)) { traffic.sent &+= 1 } else { traffic.refused &+= 1 }
    }
    return true
  }
}
