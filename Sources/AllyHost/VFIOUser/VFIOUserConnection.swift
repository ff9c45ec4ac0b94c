internal import CAllyLinux
internal import Glibc

/// A vfio-user client's connection: whole messages with their descriptors in, replies out. Never waits.
struct VFIOUserConnection: ~Copyable {
  /// Why a connection ends.
  enum End: Error, Equatable {
    case closed
    /// The stream is no vfio-user stream, or no longer one.
    case damaged(String)
  }

  struct Message {
    var header: VFIOUserHeader
    var payload: ArraySlice<UInt8>
    /// What came with it.
    var descriptors: ReceivedDescriptors
  }

  private let socket: OwnedDescriptor
  /// The message that is coming in, as far as it has come.
  private var input: [UInt8]
  private var received = 0
  private var wanted = VFIOUserHeader.byteCount
  private var header: VFIOUserHeader?
  private var descriptors = ReceivedDescriptors()
  /// Replies that the client has not taken yet.
  private var output: [UInt8] = []

  init(_ socket: consuming OwnedDescriptor) {
    self.socket = socket
    input = Array(repeating: 0, count: VFIOUserHeader.byteCount + VFIOUserRequest.longestPayload)
  }

  var descriptor: Int32 { socket.number }
  /// Whether ``flush()`` has to be called when the client takes more.
  var hasOutput: Bool { !output.isEmpty }

  /// The next message; nil when it has not come yet.
  ///
  /// A message is read in two steps, header and payload, so that no read reaches into another message: descriptors come with
  /// the first bytes of theirs.
  mutating func next() throws(End) -> Message? {
    while true {
      while received < wanted {
        guard try receive() else { return nil }
      }
      if header == nil {
        guard let found = VFIOUserHeader(input[..<VFIOUserHeader.byteCount]) else { throw .damaged("no header") }
        guard found.size >= UInt32(VFIOUserHeader.byteCount), found.size <= UInt32(input.count) else {
          throw .damaged("a message of \(found.size) bytes")
        }
        header = found
        wanted = Int(found.size)
        continue
      }
      guard let header = header.take() else { return nil }
      let taken = descriptors
      descriptors = ReceivedDescriptors()
      let payload = Array(input[VFIOUserHeader.byteCount..<wanted])
      received = 0
      wanted = VFIOUserHeader.byteCount
      return Message(header: header, payload: payload[...], descriptors: taken)
    }
  }

  /// Reads what there is of the message; false when nothing is.
  private mutating func receive() throws(End) -> Bool {
    var numbers = [Int32](repeating: -1, count: 16)
    var count = 0
    let place = received
    let room = wanted - received
    let result = unsafe input.withUnsafeMutableBytes { bytes in
      // `room` bytes are left from `place`: the message fits into the buffer.
      unsafe ally_receive(
        socket.number, bytes.baseAddress! + place, room, Int32(MSG_DONTWAIT), &numbers, numbers.count, &count)
    }
    let code = errno
    if count > 0 { descriptors.append(numbers[..<count]) }
    guard descriptors.count <= 64 else { throw .damaged("more than 64 descriptors with a message") }
    if result > 0 {
      received += result
      return true
    }
    if result < 0, code == EAGAIN || code == EINTR { return false }
    throw .closed
  }

  mutating func reply(_ header: VFIOUserHeader, _ payload: [UInt8]) throws(End) {
    output += header.bytes
    output += payload
    try flush()
  }

  /// Sends what the client takes now.
  mutating func flush() throws(End) {
    while !output.isEmpty {
      let count = unsafe output.withUnsafeBytes {
        unsafe ally_send(socket.number, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT), nil, 0)
      }
      if count > 0 {
        output.removeFirst(count)
      } else if errno == EAGAIN {
        return
      } else if errno != EINTR {
        throw .closed
      }
    }
  }
}
