internal import CAllyLinux
internal import Glibc

/// What stands for a guest's network cable: a place in this system that takes and gives Ethernet frames, one a read or a
/// write, without preamble and frame check sequence.
///
/// A TAP interface, an interface of this machine, a unix datagram socket or another guest: ``tap(_:)``, ``packet(_:)``,
/// ``datagram(local:remote:)`` and ``guest(_:)`` make one. Nothing blocks.
@safe
public struct Uplink: ~Copyable {
  /// Bytes of the longest frame that an uplink gives or takes: an IP packet of 64 KiB behind a link header.
  public static var longestFrame: Int { 65_535 + 14 + 8 }

  let file: OwnedDescriptor
  /// The interface whose carrier counts; nil for what has none.
  let interface: String?
  /// A file that goes with the uplink.
  private let path: String?
  /// What it is, for messages: `tap:ally0`.
  public let name: String
  /// Frames that it did not take: its queue was full, or its other side gone.
  public private(set) var refused: UInt64 = 0
  /// Of a packet socket alone: frames come behind a header, and may have to be taken apart.
  private var packets: PacketLine?
  /// Of another guest alone: its queue holds the sender up when it is full, and loses nothing.
  private let holdsUp: Bool

  init(
    _ file: consuming OwnedDescriptor, name: String, interface: String? = nil, path: String? = nil,
    packets: PacketLine? = nil, holdsUp: Bool = false
  ) {
    self.file = file
    self.name = name
    self.interface = interface
    self.path = path
    self.packets = packets
    self.holdsUp = holdsUp
  }

  deinit {
    if let path { unsafe unlink(path) }
  }

  /// Readable when a frame waits.
  public var descriptor: Int32 { file.number }

  /// Whether the cable is plugged in: the guest's link follows it. What has no carrier is always.
  public func hasCarrier() -> Bool {
    guard let interface else { return true }
    return unsafe ally_interface_is_running(interface) == 1
  }

  /// Takes a frame that waits.
  ///
  /// - Returns: how many of the bytes it has; nil when none waits. A frame that is longer than there is room is cut.
  public mutating func receive(into bytes: inout MutableSpan<UInt8>) -> Int? {
    if packets != nil { return packets?.receive(from: file.number, into: &bytes) }
    // An empty datagram is no frame; a socket whose other side is gone tells so once.
    for _ in 0..<Self.mostFailures {
      let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file.number, $0.baseAddress, $0.count) }
      if count > 0 { return count }
      if count < 0, errno != EINTR, errno != ECONNREFUSED { return nil }
    }
    return nil
  }

  private static var mostFailures: Int { 16 }

  /// Whether it takes another frame now, or as many as one of the longest is cut into. What loses frames when its queue is full
  /// always does.
  public func hasRoom() -> Bool {
    guard holdsUp else { return true }
    var entry = pollfd(fd: file.number, events: Int16(POLLOUT), revents: 0)
    return unsafe ally_wait(&entry, 1, 0) > 0
  }

  /// Gives a frame away; one that cannot be taken now is lost, as on a cable.
  public mutating func send(_ frame: Span<UInt8>) -> Bool {
    while true {
      let hasHeader = packets != nil
      let count = unsafe frame.withUnsafeBytes { bytes in
        unsafe hasHeader
          ? ally_packet_send(file.number, bytes.baseAddress, bytes.count)
          : write(file.number, bytes.baseAddress, bytes.count)
      }
      if count >= 0 { return true }
      if errno == EINTR { continue }
      refused &+= 1
      return false
    }
  }
}
