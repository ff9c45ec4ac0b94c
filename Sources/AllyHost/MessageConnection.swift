internal import CAllyLinux
internal import Glibc

/// What begins each message of a protocol over a stream socket.
protocol MessageHeader {
  static var byteCount: Int { get }
  /// The most bytes that follow a header.
  static var longestPayload: Int { get }
  /// Reads a header; nil of fewer than ``byteCount`` bytes.
  init?(_ bytes: ArraySlice<UInt8>)
  /// How many bytes follow; nil when the header cannot be one.
  var payloadLength: Int? { get }
  var bytes: [UInt8] { get }
}

/// Why a connection ends.
enum ConnectionEnd: Error, Equatable {
  case closed
  /// The stream is none of the protocol, or no longer one.
  case damaged(String)
}

/// An emulator's connection: whole messages with their descriptors in, replies out. Never waits.
struct MessageConnection<Header: MessageHeader>: ~Copyable {
  struct Message {
    var header: Header
    var payload: ArraySlice<UInt8>
    /// What came with it.
    var descriptors: ReceivedDescriptors
  }

  private let socket: OwnedDescriptor
  /// The message that is coming in, as far as it has come.
  private var input: [UInt8]
  private var received = 0
  private var wanted = Header.byteCount
  private var header: Header?
  private var descriptors = ReceivedDescriptors()
  /// Descriptors that come with a read; kept for its memory.
  private var numbers = [Int32](repeating: -1, count: 16)
  /// Replies that the client has not taken yet, and the descriptor that goes with their first byte.
  private var output: [UInt8] = []
  private var outputFile: OwnedFile?

  init(_ socket: consuming OwnedDescriptor) {
    self.socket = socket
    input = Array(repeating: 0, count: Header.byteCount + Header.longestPayload)
  }

  var descriptor: Int32 { socket.number }
  /// Whether ``flush()`` has to be called when the client takes more.
  var hasOutput: Bool { !output.isEmpty }

  /// The next message; nil when it has not come yet.
  ///
  /// A message is read in two steps, header and payload, so that no read reaches into another message: descriptors come with
  /// the first bytes of theirs.
  mutating func next() throws(ConnectionEnd) -> Message? {
    while true {
      while received < wanted {
        guard try receive() else { return nil }
      }
      if header == nil {
        guard let found = Header(input[..<Header.byteCount]) else { throw .damaged("no header") }
        guard let length = found.payloadLength, length >= 0, length <= Header.longestPayload else {
          throw .damaged("a message whose header says an impossible length")
        }
        header = found
        wanted = Header.byteCount + length
        continue
      }
      guard let header = header.take() else { return nil }
      let taken = descriptors
      descriptors = ReceivedDescriptors()
      let payload = Array(input[Header.byteCount..<wanted])
      received = 0
      wanted = Header.byteCount
      return Message(header: header, payload: payload[...], descriptors: taken)
    }
  }

  /// Reads what there is of the message; false when nothing is.
  private mutating func receive() throws(ConnectionEnd) -> Bool {
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

  /// Sends a reply as far as the client takes it now. One with a descriptor is the first: ``hasOutput`` was false.
  mutating func reply(_ header: Header, _ payload: [UInt8], _ file: OwnedFile? = nil) throws(ConnectionEnd) {
    outputFile = file ?? outputFile
    output += header.bytes
    output += payload
    try flush()
  }

  /// Sends what the client takes now.
  mutating func flush() throws(ConnectionEnd) {
    while !output.isEmpty {
      let files = outputFile.map { [$0.number] } ?? []
      let count = unsafe output.withUnsafeBytes {
        unsafe ally_send(socket.number, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT), files, files.count)
      }
      if count > 0 {
        outputFile = nil
        output.removeFirst(count)
      } else if errno == EAGAIN {
        return
      } else if errno != EINTR {
        throw .closed
      }
    }
  }
}
